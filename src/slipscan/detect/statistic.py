"""The matched statistic in time: a step or ramp beside offset, rate and season, per pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slipscan import seriesmodel
from slipscan.denoise.nuisance import temporal_noise
from slipscan.errors import SlipscanError

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Candidate:
    """A history that is tried: a ramp around `middle_d` (days since 2014-01-01); duration 0 is a step."""

    middle_d: float
    duration_d: float

    @property
    def start_d(self) -> float:
        """When the ramp starts."""
        return self.middle_d - self.duration_d / 2

    def reached(self, fraction: float) -> float:
        """The day at which the ramp has reached a fraction of its total."""
        return self.start_d + fraction * self.duration_d


@dataclass(frozen=True)
class Field:
    """A displacement field ready to be scanned.

    Attributes
    ----------
    residual
        (time, pixel) what the background model leaves, m, 0 where there is no data
    valid
        (time, pixel)
    std
        (pixel,) noise scale of an amplitude, m; infinite where the pixel has no data
    white
        whether `std` is that of one epoch and averages down over epochs (raw displacement), or that of
        the whole field (denoised, whose errors are correlated in time)
    """

    residual: Float
    valid: NDArray[np.bool_]
    std: Float
    white: bool


def prepare(
    series: Float, time: NDArray[np.datetime64], segment: NDArray[np.integer] | None, field_std: Float | None
) -> Field:
    """Take the background model out of a field, jointly for every pixel.

    Parameters
    ----------
    series
        (time, pixel) m, NaN = no data: `denoised`, or raw `displacement`
    time, segment
        (time,)
    field_std
        (time, pixel) `denoised_std`, or None for a raw field, whose scatter in time is taken
    """
    matrix, _ = seriesmodel.design_matrix(time, segment)
    residual = series - matrix @ seriesmodel.fit(matrix, series)
    valid = np.isfinite(residual)
    seen = valid.any(axis=0)
    if field_std is None:
        std = temporal_noise(residual)
    else:
        squared = np.where(np.isfinite(field_std), field_std, 0.0) ** 2
        std = np.sqrt(squared.sum(axis=0) / np.maximum(np.isfinite(field_std).sum(axis=0), 1))
    std = np.where(seen & (std > 0), std, np.inf)
    return Field(np.where(valid, residual, 0.0), valid, std, white=field_std is None)


def candidates(time: NDArray[np.datetime64], durations_d: Sequence[float], edge_epochs: int) -> list[Candidate]:
    """Middles half way between consecutive epochs, outside the edges, with every duration.

    Raises
    ------
    SlipscanError
        the series has no interval outside its edges
    """
    days = seriesmodel.days_since_2014(time)
    middles = (days[1:] + days[:-1]) / 2
    inner = middles[edge_epochs - 1 : len(middles) - edge_epochs + 1]
    if not len(inner):
        raise SlipscanError(
            f"a series of {len(days)} epochs has no interval between edges of {edge_epochs} epochs: "
            "lower detect.edge_epochs or add epochs"
        )
    return [Candidate(float(middle), float(duration)) for duration in durations_d for middle in inner]


def columns(time: NDArray[np.datetime64], segment: NDArray[np.integer] | None, tried: Sequence[Candidate]) -> Float:
    """The candidates' columns with the background model projected out, (time, candidate)."""
    matrix, _ = seriesmodel.design_matrix(time, segment)
    raw = np.stack([seriesmodel.transient_column(time, c.start_d, c.duration_d) for c in tried], axis=1)
    return raw - matrix @ np.linalg.lstsq(matrix, raw, rcond=None)[0]


def amplitudes(field: Field, projected: Float) -> tuple[Float, Float]:
    """Amplitude and its statistic for every candidate and pixel, each (candidate, pixel).

    The amplitude is the joint least-squares estimate where a pixel's series is complete, and the estimate
    from the valid epochs of the same projected column elsewhere.
    """
    information = (projected**2).T @ field.valid
    known = (information > 1e-9) & np.isfinite(field.std)
    safe = np.where(known, information, 1.0)
    amplitude = np.where(known, (projected.T @ field.residual) / safe, 0.0)
    std = np.where(np.isfinite(field.std), field.std, 1.0)
    return amplitude, amplitude / (std / np.sqrt(safe) if field.white else std)
