"""The trajectory of a GNSS station and the displacement of a transient in it, with honest errors.

The series is offset (one a monument) + rate + annual + semi-annual + steps + transient, estimated jointly
by generalised least squares. Its noise is white (the formal one, or the scatter from day to day), flicker
of the set amplitude, and a random walk estimated from the series: a white-only model is 5-11 times too sure
of a rate (Mao, Harrison & Dixon 1999).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slipscan.gnss.covariance import fit_with_random_walk, flicker_covariance, random_walk_covariance
from slipscan.gnss.steps import Step
from slipscan.gnss.tenv3 import Station
from slipscan.seriesmodel import DAYS_PER_YEAR, MIN_EPOCHS, days_since_2014, design_matrix, transient_column
from slipscan.settings import GnssSettings

Float = NDArray[np.float64]
Interval = tuple[np.datetime64, np.datetime64]

BIN_D = 3.0
"""Daily positions are averaged over three days: flicker hardly changes within, and matrices stay small."""
MIN_BINS_AROUND = 5
"""Binned positions needed before t05 and after t95; fewer do not tell a transient from noise."""
OUTLIER = 6.0
"""Positions that leave the running median by so many robust standard deviations are dropped."""
_RUNNING = 15
_MAD = 1.4826


@dataclass(frozen=True)
class Binned:
    """A station's positions within a window, averaged over `BIN_D` days.

    Attributes
    ----------
    time
        (time,) datetime64[ns], centres; ascending, twice the same where two monuments were occupied
    enu, white_std
        (time, 3) metres; white_std is the white part of the noise of a mean
    monument
        (time,)
    bin_number
        (time,) counts bins from the window's first one
    days
        number of daily positions used
    correlation
        (3,) median formal correlations east-north, east-up, north-up
    """

    time: NDArray[np.datetime64]
    enu: Float
    white_std: Float
    monument: NDArray[np.int64]
    bin_number: NDArray[np.int64]
    days: int
    correlation: Float


@dataclass(frozen=True)
class TransientEstimate:
    """Displacement of a transient at one station.

    Attributes
    ----------
    displacement
        (3,) east, north, up, metres
    covariance
        (3, 3) m2, white and flicker noise, increased where the residuals are larger than both
    days
        daily positions used
    binned, model, background
        the series behind it; (time, 3) metres: the whole fit, and the fit without the transient
    """

    displacement: Float
    covariance: Float
    days: int
    binned: Binned
    model: Float
    background: Float


def bin_positions(station: Station, start: np.datetime64, end: np.datetime64) -> Binned | None:
    """Average the positions of a window over three days, without outliers; None where hardly any are."""
    inside = (station.time >= start) & (station.time <= end)
    if inside.sum() < _RUNNING:
        return None
    monument = station.monument[inside]
    enu = station.enu[inside]
    for part in np.unique(monument):
        # Numbers of 10^6 m would cost digits; the offsets mean nothing.
        enu[monument == part] -= np.median(enu[monument == part], axis=0)
    white = _white_std(enu, monument, station.sigma[inside])
    kept = ~_outliers(enu, monument, white)
    day = days_since_2014(station.time[inside])[kept]
    number = np.floor(day / BIN_D).astype(np.int64)
    keys, group = np.unique(np.stack([number, monument[kept]], axis=1), axis=0, return_inverse=True)
    group = group.ravel()
    weight = 1.0 / white[kept] ** 2
    total = np.stack([np.bincount(group, weight[:, c]) for c in range(3)], axis=1)
    mean = np.stack([np.bincount(group, weight[:, c] * enu[kept][:, c]) for c in range(3)], axis=1) / total
    centre = np.datetime64("2014-01-01", "ns") + ((keys[:, 0] + 0.5) * BIN_D * 86400e9).astype("timedelta64[ns]")
    return Binned(
        time=centre,
        enu=mean,
        white_std=1.0 / np.sqrt(total),
        monument=keys[:, 1],
        bin_number=keys[:, 0] - keys[0, 0],
        days=int(kept.sum()),
        correlation=np.median(station.correlation[inside][kept], axis=0),
    )


def _white_std(enu: Float, monument: NDArray[np.int64], sigma: Float) -> Float:
    """White noise of daily positions: formal sigma, or the scatter from day to day where that is larger."""
    steps = np.diff(enu, axis=0)[np.diff(monument) == 0]
    scatter = _MAD * np.median(np.abs(steps - np.median(steps, axis=0)), axis=0) / np.sqrt(2.0)
    ratio = np.maximum(1.0, scatter / np.median(sigma, axis=0))
    scaled: Float = sigma * ratio
    return scaled


def _outliers(enu: Float, monument: NDArray[np.int64], white: Float) -> NDArray[np.bool_]:
    """Positions far from the running median of their own monument."""
    bad = np.zeros(len(enu), bool)
    for part in np.unique(monument):
        rows = np.flatnonzero(monument == part)
        half = min(_RUNNING // 2, len(rows) - 1)
        padded = np.pad(enu[rows], ((half, half), (0, 0)), mode="reflect")
        running = np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1, axis=0), axis=-1)
        bad[rows] = (np.abs(enu[rows] - running) > OUTLIER * white[rows]).any(axis=1)
    return bad


def fit_transient(
    station: Station,
    interval: Interval,
    settings: GnssSettings,
    steps: Sequence[Step] = (),
    others: Sequence[Interval] = (),
) -> TransientEstimate | None:
    """Displacement (east, north, up) of a transient at a station.

    Parameters
    ----------
    station
        daily positions
    interval
        t05 and t95 of the transient; its history is linear
    settings
        window, flicker amplitudes, positions needed
    steps
        possible offsets of the station; those inside the window get a column each
    others
        t05 and t95 of other transients, estimated beside this one

    Returns
    -------
    estimate
        None where the window holds fewer than `settings.min_epochs` positions, too few on one side of the
        event, or cannot tell the event from a step at the same time
    """
    margin = np.timedelta64(int(settings.window_yr * DAYS_PER_YEAR), "D")
    binned = bin_positions(station, interval[0] - margin, interval[1] + margin)
    if binned is None or binned.days < settings.min_epochs or len(binned.time) < MIN_EPOCHS:
        return None
    if min((binned.time < interval[0]).sum(), (binned.time > interval[1]).sum()) < MIN_BINS_AROUND:
        return None
    background, _ = design_matrix(binned.time, binned.monument)
    own = interval_column(binned.time, interval)
    extra = [interval_column(binned.time, other) for other in others]
    extra += [(binned.time >= step.time).astype(float) for step in steps]
    matrix = np.column_stack([own, background])
    if np.linalg.matrix_rank(matrix) < matrix.shape[1]:
        return None
    for column in extra:
        widened = np.column_stack([matrix, column])
        if np.ptp(column) > 0 and np.linalg.matrix_rank(widened) == widened.shape[1]:
            matrix = widened
        elif np.ptp(column) > 0 and _same(column, own):
            return None  # a step at the very time of the event: which of the two it was, nobody can tell
    return _estimate(matrix, binned, settings)


def _same(column: Float, other: Float) -> bool:
    return bool(np.allclose(column, other))


def interval_column(time: NDArray[np.datetime64], interval: Interval) -> Float:
    """Linear history with 5 % at t05 and 95 % at t95 (a step for equal times), 0 to 1."""
    start, end = days_since_2014(np.array(interval, "datetime64[ns]"))
    duration = (end - start) / 0.9
    return transient_column(time, start - 0.05 * duration, duration)


def _estimate(matrix: Float, binned: Binned, settings: GnssSettings) -> TransientEstimate:
    """Fit the three components by generalised least squares; the transient is column 0."""
    unit_flicker = flicker_covariance(binned.bin_number, BIN_D)
    unit_walk = random_walk_covariance(binned.bin_number, BIN_D)
    displacement, std = np.empty(3), np.empty(3)
    model, background = np.empty_like(binned.enu), np.empty_like(binned.enu)
    for component in range(3):
        noise = np.diag(binned.white_std[:, component] ** 2)
        noise += (settings.flicker_mm[component] * 1e-3) ** 2 * unit_flicker
        fit = fit_with_random_walk(matrix, binned.enu[:, component], noise, unit_walk)
        displacement[component], std[component] = fit.parameters[0], np.sqrt(fit.covariance[0, 0])
        model[:, component] = matrix @ fit.parameters
        background[:, component] = matrix[:, 1:] @ fit.parameters[1:]
    en, eu, nu = binned.correlation
    correlation = np.array([[1.0, en, eu], [en, 1.0, nu], [eu, nu, 1.0]])
    return TransientEstimate(displacement, correlation * np.outer(std, std), binned.days, binned, model, background)
