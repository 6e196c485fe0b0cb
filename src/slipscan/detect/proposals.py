"""What may have happened in a window: candidates of a field, and what a scan proposes; each tested in the raw data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from slipscan.detect.crossfit import Tested, cross_fitted, power_of_map
from slipscan.detect.histories import Histories
from slipscan.detect.ramp import Epochs, Ramp
from slipscan.detect.timing import Course, Posterior
from slipscan.detect.window import Window, blurred
from slipscan.fit.robust import temporal_std
from slipscan.fit.temporal import TemporalCovariance

FOOTPRINT: Final = 0.3
"""Of a map's own peak: where the event is."""
SIGMAS: Final = 1.0
"""And of its standard deviation."""
LOBE: Final = 0.2
"""Of the energy of the strongest part of a footprint: another part with less is an island of noise."""
GAP_PX: Final = 2
"""Between parts of a footprint that are one: the trace between two lobes."""


@dataclass(frozen=True)
class Proposal:
    """Where and on which scales something is looked for.

    Attributes
    ----------
    history
        (time,) 0 to 1
    map
        (y, x) of the window, m; None: there is none, `taper` (y, x) says where
    """

    history: Tensor
    origin: str
    map: Tensor | None = None
    taper: Tensor | None = None

    def power(self, window: Window, history: Tensor, beside: Tensor) -> Tensor | None:
        """Power (octave, y, x) that its test looks for; None where nothing is left of the history."""
        if self.map is not None:
            return power_of_map(window, self.map)
        filters = window.temporal.filters(history, beside, window.temporal.every)
        if filters is None or self.taper is None:
            return None
        modes, size = window.amplitude(filters)
        squared = window.octaves.square()
        share = squared.mean(dim=(1, 2))
        variance = (squared * size.square()).sum(dim=(1, 2)) / squared.sum(dim=(1, 2))
        out = []
        for number, part in enumerate(window.back(window.octaves * modes)):
            above = blurred(part.square(), number) - share[number] * window.place[number]
            out.append(above.clamp(min=0) * variance[number] * self.taper.square())
        return torch.stack(out)


@dataclass(frozen=True)
class Judged:
    """A proposal with its test and its likeliest history."""

    proposal: Proposal
    tested: Tested
    ramp: Ramp


def judged(window: Window, proposal: Proposal, tried: Histories, beside: Tensor) -> Judged | None:
    """Test a proposal with its own history, and with the one that fits the series on its map best."""
    best: Judged | None = None
    history = proposal.history
    for _ in range(2):
        power = proposal.power(window, history, beside)
        found = None if power is None else cross_fitted(window, power, history, beside)
        if found is None:
            break
        posterior = _course(window, found, tried.epochs, beside).posterior(tried)
        if posterior is None:
            break
        best = Judged(proposal, found, posterior.likeliest)
        history = torch.from_numpy(best.ramp.column(tried.epochs.time))
    return best


def timed(window: Window, found: Tested, near_d: float, epochs: Epochs, beside: Tensor) -> Posterior | None:
    """How likely histories in small steps about a day are, by the cross-fitted course of what was tested.

    Its noise is as large as the differences of consecutive epochs say: what is not stationary in space adds to it.
    `beside` (time, n) are the histories of other events.
    """
    own = window.temporal.mixed(_shares(window, found))
    white, series = own.white[0].double(), found.held_out.double()
    known = torch.isfinite(white)
    scale = temporal_std(series[:, None], known[:, None], torch.where(known, white, 1.0).sqrt())
    covariance = TemporalCovariance(white * scale.square(), float(own.red[0] * scale.square()))
    whitener = covariance.whitener(torch.from_numpy(epochs.days))
    return Course(epochs, series, whitener, torch.cat([own.design, beside], 1)).close_posterior(near_d)


def _course(window: Window, found: Tested, epochs: Epochs, beside: Tensor) -> Course:
    own = window.temporal.mixed(_shares(window, found))
    return Course(epochs, found.course, own.every.whiteners[0], torch.cat([own.design, beside], 1))


def _shares(window: Window, found: Tested) -> Tensor:
    """Share (band,) of every band of `temporal` in a map."""
    power = (window.transformed(found.map[None])[0] * window.whitening).abs().square()
    shares = (window.bands * power).sum(dim=(1, 2)).double()
    return shares / shares.sum().clamp(min=1e-30)


def footprint_of(field: Tensor, std: Tensor) -> NDArray[np.bool_]:
    """Where an event is: a fair share of the peak and above its sigma, and one with the strongest part of it."""
    size, noise = field.abs().numpy(), std.numpy()
    seen = size > SIGMAS * noise
    if not seen.any():
        return np.asarray(size >= size.max())
    energy = (size / np.maximum(noise, 1e-12)) ** 2
    main = _parts(seen & (size >= FOOTPRINT / 2 * size[seen].max()), energy)
    peak = float(ndimage.median_filter(size, 3, mode="nearest")[main].max())
    out = _parts(seen & (size >= FOOTPRINT * peak), energy)
    return out if out.any() else main


def _parts(mask: NDArray[np.bool_], energy: NDArray[np.floating]) -> NDArray[np.bool_]:
    """The strongest part of a mask, and those that are not much weaker."""
    near = ndimage.binary_dilation(mask, structure=np.ones((3, 3), bool), iterations=GAP_PX // 2)
    label, count = ndimage.label(near, structure=np.ones((3, 3), int))
    if count == 0:
        return mask
    strength = ndimage.sum_labels(np.where(mask, energy, 0.0), label, np.arange(1, count + 1))
    kept = 1 + np.flatnonzero(strength >= LOBE * strength.max())
    return np.asarray(mask & np.isin(label, kept))
