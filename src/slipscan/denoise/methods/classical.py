"""The classical denoiser: ramps and height delay taken out, then a filter in time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field as Setting
from scipy.ndimage import gaussian_filter1d

from slipscan.denoise.method import Method
from slipscan.field import Field, Observation
from slipscan.models import Frozen


class Options(Frozen):
    """Of the filter."""

    filter_d: float = Setting(48.0, ge=1.0, le=3650.0, description="two standard deviations of the Gaussian, days")


class Classical(Method):
    """What rate, season and delay leave, smoothed in time by a mask-aware Gaussian."""

    name = "classical"
    options_model = Options
    options: Options

    def fields(self, observations: Sequence[Observation]) -> list[Field]:
        """Filtered residuals."""
        return [_filtered(one, self.options.filter_d) for one in observations]


def _filtered(seen: Observation, filter_d: float) -> Field:
    cleaned = seen.cleaned()
    residual, valid = cleaned.residual().numpy(), cleaned.valid.numpy()
    sigma_epochs = filter_d / 2 / max(float(np.median(np.diff(seen.days))), 1e-9)
    weight = (valid * cleaned.weight.numpy()[:, None]).astype(np.float32)

    def smooth(values: np.ndarray) -> np.ndarray:
        return np.asarray(gaussian_filter1d(values, sigma_epochs, axis=0, mode="constant"))

    total = smooth(weight)
    enough = total > 1e-6 * total.max()
    safe = np.where(enough, total, 1.0)
    transient = np.where(enough, smooth(weight * residual) / safe, 0.0)
    # The filter averages about 2 sqrt(pi) sigma epochs of equal noise.
    variance = np.where(enough, 1 / safe, 0.0) / max(1.0, 2 * np.sqrt(np.pi) * sigma_epochs)
    shape = seen.displacement.shape
    return Field(
        (transient - transient.mean(axis=0)).reshape(shape).astype(np.float32),
        np.sqrt(variance).reshape(shape).astype(np.float32),
        np.zeros(seen.shape, np.float32),
    )
