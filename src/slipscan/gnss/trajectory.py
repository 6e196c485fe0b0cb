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

from slipscan.fit.model import DAYS_PER_YEAR, MIN_EPOCHS, days_since_2014, design_matrix, transient_column
from slipscan.gnss.covariance import fit_with_random_walk, flicker_covariance, random_walk_covariance
from slipscan.gnss.days import proper
from slipscan.gnss.steps import Step
from slipscan.gnss.tenv3 import Station
from slipscan.settings import GnssSettings

Float = NDArray[np.float64]
Interval = tuple[np.datetime64, np.datetime64]

BIN_D, NEAR_D = 3, 15.0
"""Positions are averaged over three days, which keeps the matrices small, but kept daily within 15 days of t05
and t95, where they tell the event from a wandering station."""
MIN_BINS_AROUND = 5
"""Binned positions needed before t05 and after t95; fewer do not tell a transient from noise."""
OUTLIER = 6.0
"""Positions that leave the running median by so many robust standard deviations are dropped."""
_RUNNING = 15
_MAD = 1.4826


@dataclass(frozen=True)
class Binned:
    """A station's positions within a window, averaged.

    Attributes
    ----------
    time
        (time,) datetime64[ns], mean of the days; ascending, save where two monuments were occupied at once
    enu, white_std
        (time, 3) metres; white_std is the white part of the noise of a mean
    monument
        (time,)
    day, group
        (day,) number of each daily position's day from the window's first one, and of its mean
    correlation
        (3,) typical formal correlations east-north, east-up, north-up
    """

    time: NDArray[np.datetime64]
    enu: Float
    white_std: Float
    monument: NDArray[np.int64]
    day: NDArray[np.int64]
    group: NDArray[np.int64]
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
    binned, model, background
        the series behind it; (time, 3) metres: the whole fit, and the fit without the transient
    """

    displacement: Float
    covariance: Float
    binned: Binned
    model: Float
    background: Float


def bin_positions(station: Station, interval: Interval, margin: np.timedelta64) -> Binned | None:
    """Average the positions around an event, without outliers; None where there are hardly any."""
    inside = (station.time >= interval[0] - margin) & (station.time <= interval[1] + margin)
    if inside.sum() < _RUNNING:
        return None
    monument = station.monument[inside]
    enu = station.enu[inside]
    for part in np.unique(monument):
        # Numbers of 10^6 m would cost digits; the offsets mean nothing.
        enu[monument == part] -= np.median(enu[monument == part], axis=0)
    level = _without_lines(enu, days_since_2014(station.time[inside]), monument)
    white = _white_std(level, monument, station.sigma[inside])
    kept = ~_outliers(level, monument, white)
    if kept.sum() < _RUNNING:
        return None
    day = days_since_2014(station.time[inside][kept])
    group = _groups(day, monument[kept], interval)
    order = np.argsort(group, kind="stable")
    day, group = day[order], group[order]
    sizes = np.bincount(group)[:, None]

    def mean(values: Float) -> Float:
        rows = values[kept][order]
        return np.stack([np.bincount(group, rows[:, c]) for c in range(rows.shape[1])], axis=1) / sizes

    return Binned(
        time=np.datetime64("2014-01-01", "ns") + (np.bincount(group, day) / sizes[:, 0] * 86400e9).astype("m8[ns]"),
        enu=mean(enu),
        white_std=np.sqrt(mean(white**2) / sizes),
        monument=monument[kept][order][np.searchsorted(group, np.arange(len(sizes)))],
        day=(np.floor(day) - np.floor(day.min())).astype(np.int64),
        group=group,
        correlation=_typical(station.correlation[inside][kept]),
    )


def _typical(correlation: Float) -> Float:
    """Median correlations (3,) of days (day, 3), or their mean where the three medians make no covariance."""
    median = np.median(correlation, axis=0)
    return median if proper(median) else np.asarray(correlation.mean(axis=0))


def _groups(day: Float, monument: NDArray[np.int64], interval: Interval) -> NDArray[np.int64]:
    """Number of the mean that each daily position belongs to, ascending in time."""
    ends = days_since_2014(np.array(interval, "datetime64[ns]"))
    near = np.abs(day[:, None] - ends[None, :]).min(axis=1) <= NEAR_D
    first = np.floor(np.where(near, day, BIN_D * np.floor(day / BIN_D)))
    # A coarse bin cut by the edge of the daily stretch may begin at a day of its own: `near` keeps them apart.
    keys = np.stack([first, ~near, monument], axis=1)
    return np.asarray(np.unique(keys, axis=0, return_inverse=True)[1]).ravel()


def _without_lines(enu: Float, day: Float, monument: NDArray[np.int64]) -> Float:
    """Positions less a straight line per monument, so that what counts as an outlier does not depend on the rate."""
    out = np.empty_like(enu)
    for part in np.unique(monument):
        rows = monument == part
        columns = np.stack([np.ones(rows.sum()), day[rows] - day[rows].mean()], axis=1)
        out[rows] = enu[rows] - columns @ np.linalg.lstsq(columns, enu[rows], rcond=None)[0]
    return out


def _white_std(enu: Float, monument: NDArray[np.int64], sigma: Float) -> Float:
    """White noise of daily positions: formal sigma, or the scatter from day to day where that is larger."""
    steps = np.diff(enu, axis=0)[np.diff(monument) == 0]
    if not len(steps):
        return sigma
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
    binned = bin_positions(station, interval, margin)
    if binned is None or len(binned.day) < settings.min_epochs or len(binned.time) < MIN_EPOCHS:
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
    unit_flicker = flicker_covariance(binned.day, binned.group)
    unit_walk = random_walk_covariance(np.bincount(binned.group, binned.day) / np.bincount(binned.group) + 1.0)
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
    return TransientEstimate(displacement, correlation * np.outer(std, std), binned, model, background)
