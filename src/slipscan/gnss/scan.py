"""Every onset of a ramp in daily series: its offset over its standard deviation, without a fit for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slipscan.fit.scatter import MAD_TO_STD
from slipscan.gnss.background import Background, event_column, flat
from slipscan.gnss.kalman import Noise, fit_onsets, products

Float = NDArray[np.float64]

INFORMATIVE = 0.1
"""Share of its median information from which a station counts at a day: at its ends it tells nothing."""
LEAST_SCALE = 0.5
DURATIONS_D = (1, 2, 3, 4, 5, 7, 9, 12, 15, 18, 22, 26, 30, 36, 43, 51, 60, 72, 85)
"""Of ramps that are tried."""
MEMORY_D = 365
"""Onsets that are farther apart are independent."""
MAD_VARIANCE = 1.36
"""Variance of the logarithm of a scatter from a median, of one Gaussian number."""
SERIES_D = (730, 3653)
"""Days of the series in which the information of ramps is worked out: those of the network, within these."""


@dataclass(frozen=True)
class Ramps:
    """Offsets of ramps of one duration, by their first day.

    Attributes
    ----------
    z
        (station, 3, day) offset over its standard deviation; NaN where the station tells nothing
    sigma
        (station, 3, day) standard deviation of the offset, metres
    """

    z: Float
    sigma: Float


@dataclass(frozen=True)
class Onset:
    """Score and information (station, 3, day) of a step at every day, and what neighbouring ones share.

    Attributes
    ----------
    smoothing
        (station, 3) by duration: information of a ramp over the mean of its days' steps
    scale
        (station, 3) robust scatter of score / sqrt(information); 1 where the noise model is right
    """

    score: Float
    information: Float
    smoothing: dict[int, Float]
    scale: Float

    def ramps(self, duration_d: int) -> Ramps:
        """Ramps of `duration_d` equal daily steps."""
        score, information = (_forward_mean(v, duration_d) for v in (self.score, self.information))
        information = information * self.smoothing[duration_d][:, :, None]
        information[:, :, max(0, information.shape[2] - duration_d) :] = 0.0
        informative = information > INFORMATIVE * _typical(information)[:, :, None]
        root = np.sqrt(np.where(informative, information, np.nan))
        informative &= np.isfinite(root).all(axis=1, keepdims=True)
        z = np.where(informative, score / root / self.scale[:, :, None], np.nan)
        return Ramps(z, np.where(informative, self.scale[:, :, None] / root, np.nan))


def onset_of(background: Background, scale: Float | None = None, smoothing: dict[int, Float] | None = None) -> Onset:
    """Every onset of a network; `scale` and `smoothing` are worked out where they are not given."""
    return onset_in(*flat(background.series, background.columns), background.noise, scale, smoothing)


def onset_in(
    series: Float,
    columns: Float,
    noise: Noise,
    scale: Float | None = None,
    smoothing: dict[int, Float] | None = None,
    durations_d: Sequence[int] = DURATIONS_D,
) -> Onset:
    """As `onset_of`, of series (3 station, day) with their columns (3 station, column, day), for some durations."""
    found = fit_onsets(np.nan_to_num(series), columns, noise)[1]
    shape = (len(series) // 3, 3, series.shape[1])
    score, information = found.score.reshape(shape), found.information.reshape(shape)
    if scale is None:
        informative = information > INFORMATIVE * _typical(information)[:, :, None]
        z = score / np.sqrt(np.maximum(information, 1e-9))
        rows = zip(z.reshape(-1, z.shape[2]), informative.reshape(-1, z.shape[2]), strict=True)
        scale = _scale([row[there] for row, there in rows]).reshape(shape[:2])
    return Onset(score, information, smoothing or _smoothing(noise, np.isfinite(series), durations_d), scale)


def _scale(z: list[Float]) -> Float:
    """Robust scatter (series,) of onsets over their error, drawn to that of all series by what chance makes of it.

    Onsets of neighbouring days tell the same, for months in flicker noise: six years hold a few dozen.
    """
    known = np.array([len(row) > 0 for row in z])
    size = np.array([MAD_TO_STD * float(np.median(np.abs(row))) if len(row) else 1.0 for row in z])
    chance = np.array([MAD_VARIANCE / _independent(row) if len(row) else 1.0 for row in z])
    level = np.log(np.maximum(size, LEAST_SCALE))
    usual = float(np.mean(level[known])) if known.any() else 0.0
    real = max(0.0, float(np.mean((level[known] - usual) ** 2 - chance[known]))) if known.any() else 0.0
    return np.asarray(np.exp(usual + (level - usual) * real / (real + chance)))


def _independent(row: Float) -> float:
    """Number of independent squares among onsets of consecutive days."""
    lags = min(MEMORY_D, len(row) - 1)
    spectrum = np.abs(np.fft.rfft(row, 2 * len(row))) ** 2
    alike = np.fft.irfft(spectrum, 2 * len(row))[: lags + 1]
    # Of two numbers that correlate by r the squares do by r^2.
    return max(1.0, len(row) / (1.0 + 2.0 * float(np.sum((alike[1:] / max(alike[0], 1e-12)) ** 2))))


def _typical(information: Float) -> Float:
    """Median (station, 3) over the days on which a station tells anything (rounding is above zero, too)."""
    rows = information.reshape(-1, information.shape[2])
    medians = [np.median(row[row >= 1e-3 * row.max()]) if row.max() > 0 else 1.0 for row in rows]
    return np.array(medians).reshape(information.shape[:2])


def _forward_mean(values: Float, count: int) -> Float:
    """Mean over a day and the `count` - 1 next ones, (…, day); over fewer at the end."""
    sums = np.concatenate([np.zeros((*values.shape[:-1], 1)), np.cumsum(values, axis=-1)], axis=-1)
    day = np.arange(values.shape[-1])
    end = np.minimum(day + count, values.shape[-1])
    return np.asarray((sums[..., end] - sums[..., day]) / (end - day))


def _smoothing(noise: Noise, present: NDArray[np.bool_], durations_d: Sequence[int]) -> dict[int, Float]:
    """Information (station, 3) of a ramp over the mean of its days' steps, by duration, far from the ends."""
    # White noise of a series with gaps counts for more, as if spread over all days.
    full = [there.sum() / max(1.0, np.ptp(np.flatnonzero(there)) + 1.0) for there in present]
    white = np.array(
        [np.median(row[there]) / np.sqrt(f) for row, there, f in zip(noise.white, present, full, strict=True)]
    )
    length = int(np.clip(noise.white.shape[1], *SERIES_D))
    day, count = np.arange(length), len(white)
    first = length // 2 - DURATIONS_D[-1] // 2
    trend = [np.ones(length), day / length - 0.5]
    ramps = [event_column(day, first, duration) for duration in durations_d]
    columns = np.broadcast_to(np.stack([*trend, *ramps]), (count, len(trend) + len(ramps), length))
    typical = Noise(np.repeat(white[:, None], length, axis=1), noise.flicker, noise.walk)
    nothing = np.zeros((count, length))
    information = fit_onsets(nothing, columns[:, :2], typical)[1].information
    gram = products(nothing, columns, typical)
    of_ramps = gram[:, 2:-1, :2]
    taken = np.einsum("src,scr->sr", of_ramps, np.linalg.solve(gram[:, :2, :2], of_ramps.transpose(0, 2, 1)))
    exact = np.diagonal(gram, axis1=1, axis2=2)[:, 2:-1] - taken
    of_days = np.stack([information[:, first : first + duration].mean(axis=1) for duration in durations_d], axis=1)
    smoothing = (exact / of_days).T.reshape(len(durations_d), -1, 3)
    return dict(zip(durations_d, smoothing, strict=True))
