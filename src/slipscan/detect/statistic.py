"""The matched statistic in time: a step or ramp beside offset, rate and season, per pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slipscan.denoise.nuisance import temporal_noise
from slipscan.errors import SlipscanError
from slipscan.fit.model import days_since_2014, design_matrix, transient_column

Float = NDArray[np.float64]

MIN_RELATIVE_NOISE = 0.5
"""A pixel is not believed to be quieter than half the epoch's noise."""
MIN_SHAPE = 1e-3
"""Share of a series' information below which rate, season and other events leave nothing of a candidate."""
MIN_INFORMATION = 0.2
"""Share of a filter's information that the valid epochs of a pixel must hold."""


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
    """A displacement field ready to be scanned: one band of spatial scales.

    Attributes
    ----------
    values
        (time, pixel) m, less rate and season, NaN = no data
    weight
        (time,) inverse variance of an epoch, m^-2
    std
        (pixel,) noise of the pixel over that of the epoch; infinite where the pixel has no data
    cell_km2
        area over which the noise is correlated
    parameters
        (pixel,) how many were fitted to the series and taken out
    """

    values: Float
    weight: Float
    std: Float
    cell_km2: float
    parameters: NDArray[np.int64]


def field_of(residual: Float, epoch_std: Float, cell_km2: float, parameters: int) -> Field:
    """A field of displacement less its background model.

    Parameters
    ----------
    residual
        (time, pixel) m, NaN = no data
    epoch_std
        (time,) noise of an epoch, m
    parameters
        fitted to every pixel
    """
    relative = temporal_noise(residual / epoch_std[:, None])
    std = np.where(relative > 0, np.maximum(relative, MIN_RELATIVE_NOISE), np.inf)
    return Field(residual, 1 / epoch_std**2, std, cell_km2, np.full(residual.shape[1], parameters))


def candidates(time: NDArray[np.datetime64], durations_d: Sequence[float], edge_epochs: int) -> list[Candidate]:
    """Middles half way between consecutive epochs, outside the edges, with every duration.

    Raises
    ------
    SlipscanError
        the series has no interval outside its edges
    """
    days = days_since_2014(time)
    middles = (days[1:] + days[:-1]) / 2
    inner = middles[edge_epochs - 1 : len(middles) - edge_epochs + 1]
    if not len(inner):
        raise SlipscanError(
            f"a series of {len(days)} epochs has no interval between edges of {edge_epochs} epochs: "
            "lower detect.edge_epochs or add epochs"
        )
    return [Candidate(float(middle), float(duration)) for duration in durations_d for middle in inner]


def model_matrix(
    time: NDArray[np.datetime64], segment: NDArray[np.integer] | None, beside: Sequence[Candidate]
) -> Float:
    """Columns of the background model and of the ramps that are estimated beside it, (time, column)."""
    matrix, _ = design_matrix(time, segment)
    return np.hstack([matrix, ramps(time, beside)])


def ramps(time: NDArray[np.datetime64], tried: Sequence[Candidate]) -> Float:
    """The histories of candidates, (time, candidate)."""
    if not tried:
        return np.empty((len(time), 0))
    return np.stack([transient_column(time, c.start_d, c.duration_d) for c in tried], axis=1)


def projected_out(columns: Float, matrix: Float, weight: Float | None = None) -> Float:
    """What a weighted least-squares fit of `matrix` leaves of `columns`, (time, column)."""
    root = np.ones(len(matrix)) if weight is None else np.sqrt(weight / weight.mean())
    solve = np.linalg.pinv(matrix * root[:, None]) * root[None, :]
    return columns - matrix @ (solve @ columns)


def amplitudes(field: Field, shapes: Float) -> tuple[Float, Float]:
    """Amplitude (m) and its statistic for every candidate and pixel, each (candidate, pixel).

    Parameters
    ----------
    field
        what is scanned
    shapes
        (time, candidate) the candidates' ramps with the model projected out, by the field's weights

    Returns
    -------
    amplitude, statistic
        the joint generalised least-squares estimate where a pixel's series is complete, and the estimate from the
        valid epochs of the same filter elsewhere; 0 where too little of the filter's information is there
    """
    # Single precision: these two products are nearly all that detection costs.
    filters = (shapes * field.weight[:, None]).astype(np.float32)
    valid = np.isfinite(field.values)
    information = (filters * shapes.astype(np.float32)).T @ valid.astype(np.float32)
    least = MIN_INFORMATION * information.max(axis=1, keepdims=True) + MIN_SHAPE * float(field.weight.sum())
    known = (information > least) & np.isfinite(field.std)
    safe = np.where(known, information, np.float32(1.0))
    total = filters.T @ np.where(valid, field.values, 0.0).astype(np.float32)
    amplitude = np.where(known, total / safe, np.float32(0.0))
    std = np.where(np.isfinite(field.std), field.std, 1.0).astype(np.float32)
    return amplitude, amplitude * np.sqrt(safe) / std
