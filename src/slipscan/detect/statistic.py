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
    values
        (time, pixel) m, without rate and season, 0 where there is no data
    valid
        (time, pixel)
    std
        (pixel,) noise scale of an amplitude, m; infinite where the pixel has no data
    denoised
        whether the field is a denoised transient, whose errors are correlated in time, so that `std` is
        that of an amplitude; else `std` is that of one epoch and averages down over epochs
    """

    values: Float
    valid: NDArray[np.bool_]
    std: Float
    denoised: bool


@dataclass(frozen=True)
class Templates:
    """What a candidate looks like in a field.

    Attributes
    ----------
    filters
        (time, candidate) f; the amplitude of a series d is (f . d) / (f . f)
    histories
        (time, candidate) what a transient of amplitude 1 leaves in the field
    """

    filters: Float
    histories: Float


def raw_field(series: Float, time: NDArray[np.datetime64], segment: NDArray[np.integer] | None) -> Field:
    """A field of raw displacement, (time, pixel) m with NaN = no data: the background model is taken out."""
    matrix, _ = seriesmodel.design_matrix(time, segment)
    residual = series - matrix @ seriesmodel.fit(matrix, series)
    return _field(residual, temporal_noise(residual), denoised=False)


def denoised_field(transient: Float, std: Float) -> Field:
    """A field of a denoised `transient`, (time, pixel) m, and its `transient_std`, (pixel,) m."""
    return _field(transient, std, denoised=True)


def _field(values: Float, std: Float, *, denoised: bool) -> Field:
    valid = np.isfinite(values)
    known = valid.any(axis=0) & np.isfinite(std) & (std > 0)
    return Field(np.where(valid, values, 0.0), valid, np.where(known, std, np.inf), denoised)


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


def templates(
    field: Field,
    time: NDArray[np.datetime64],
    segment: NDArray[np.integer] | None,
    tried: Sequence[Candidate],
    side: int,
) -> Templates:
    """Filters and histories of the candidates.

    In a raw field an amplitude is estimated jointly with offset, rate and season. In a denoised transient
    these are gone, and the amplitude is the mean of `side` epochs after the ramp less that of as many
    before it: local, so that another event at the same place does not leak in.
    """
    if not field.denoised:
        projected = without_background(time, segment, tried)
        return Templates(projected, projected)
    days = seriesmodel.days_since_2014(time)
    filters = np.zeros((len(time), len(tried)))
    for column, candidate in enumerate(tried):
        before = np.flatnonzero(days <= candidate.start_d)[-side:]
        after = np.flatnonzero(days >= candidate.reached(1.0))[:side]
        if len(before) and len(after):
            filters[before, column], filters[after, column] = -1 / len(before), 1 / len(after)
            filters[:, column] /= (filters[:, column] ** 2).sum()
    return Templates(filters, _ramps(time, tried))


def _ramps(time: NDArray[np.datetime64], tried: Sequence[Candidate]) -> Float:
    return np.stack([seriesmodel.transient_column(time, c.start_d, c.duration_d) for c in tried], axis=1)


def without_background(
    time: NDArray[np.datetime64], segment: NDArray[np.integer] | None, tried: Sequence[Candidate]
) -> Float:
    """The candidates' ramps with the background model projected out, (time, candidate)."""
    matrix, _ = seriesmodel.design_matrix(time, segment)
    ramps = _ramps(time, tried)
    return ramps - matrix @ np.linalg.lstsq(matrix, ramps, rcond=None)[0]


def amplitudes(field: Field, filters: Float) -> tuple[Float, Float]:
    """Amplitude and its statistic for every candidate and pixel, each (candidate, pixel).

    The amplitude is the least-squares estimate where a pixel's series is complete, and the estimate from
    the valid epochs of the same filter elsewhere.
    """
    information = (filters**2).T @ field.valid
    known = (information > 1e-9) & np.isfinite(field.std)
    safe = np.where(known, information, 1.0)
    amplitude = np.where(known, (filters.T @ field.values) / safe, 0.0)
    std = np.where(np.isfinite(field.std), field.std, 1.0)
    return amplitude, amplitude / (std if field.denoised else std / np.sqrt(safe))
