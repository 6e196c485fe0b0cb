"""What a transient of given times did to each station: generalised least squares of unaveraged daily positions.

Many times are tried at once: the Kalman filter (`kalman`) whitens a ramp of each, the background and the series
together, and the inner products tell the ramp's size beside the background, for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slipscan.fit.model import days_since_2014, design_matrix
from slipscan.gnss.kalman import Noise, products
from slipscan.gnss.noise import estimate_noise
from slipscan.gnss.steps import Step
from slipscan.gnss.tenv3 import Station

Float = NDArray[np.float64]

MIN_POSITIONS = 60
"""A station with fewer daily positions is left out."""
AROUND_D, MIN_AROUND = 30.0, 5
"""Daily positions needed within so many days before and after a transient."""
OUTLIER, RUNNING_D = 6.0, 15
"""Positions so many robust deviations from the running median are dropped."""
UNSEEN_M = 1e3
"""Standard deviation of what a station cannot tell, say because its antenna was changed that day."""
_MAD = 1.4826
_BETWEEN = 0.9
"""Of a linear ramp: from t05 to t95."""


@dataclass(frozen=True)
class Daily:
    """The daily positions of a network, with trajectory and noise.

    Attributes
    ----------
    stations
        those with enough positions
    days
        (day,) noons, days since 2014-01-01, one after another
    series
        (station * 3, day) east, north, up of each station, metres; NaN where there is no position
    columns
        (station * 3, column, day) offset, rate, season, steps; zero where a station has fewer
    residual
        (station * 3, day) what ordinary least squares leaves, metres
    noise
        of the series
    """

    stations: tuple[Station, ...]
    days: Float
    series: Float
    columns: Float
    residual: Float
    noise: Noise

    def window(self, first: float, last: float) -> Daily:
        """The days from `first` to `last`; columns that say the same there are made zero."""
        inside = np.flatnonzero((self.days >= first) & (self.days <= last))
        part = slice(inside[0], inside[-1] + 1) if len(inside) else slice(0, 0)
        series = self.series[:, part]
        columns = _independent(self.columns[:, :, part], np.isfinite(series))
        noise = Noise(self.noise.white[:, part], self.noise.flicker, self.noise.walk)
        return Daily(self.stations, self.days[part], series, columns, self.residual[:, part], noise)

    def of(self, stations: NDArray[np.int64]) -> Daily:
        """Some of the stations."""
        rows = (3 * stations[:, None] + np.arange(3)).ravel()
        noise = Noise(self.noise.white[rows], self.noise.flicker[rows], self.noise.walk[rows])
        chosen = tuple(self.stations[i] for i in stations)
        return Daily(chosen, self.days, self.series[rows], self.columns[rows], self.residual[rows], noise)


@dataclass(frozen=True)
class Offsets:
    """Size of ramps.

    Attributes
    ----------
    size, std
        (ramp, station, 3) east, north, up, metres, and its standard deviation
    response
        (history, ramp, station, 3) what the estimate makes of other histories of size 1
    """

    size: Float
    std: Float
    response: Float


def prepare(stations: Sequence[Station], steps: Mapping[str, Sequence[Step]]) -> Daily | None:
    """As `lay`, with the noise of the series."""
    daily = lay(stations, steps)
    if daily is None:
        return None
    return replace(daily, noise=estimate_noise(daily.series, daily.columns, daily.residual))


def lay(stations: Sequence[Station], steps: Mapping[str, Sequence[Step]]) -> Daily | None:
    """Lay daily positions on a common axis, without outliers; None without any station. The noise is open (NaN)."""
    chosen = tuple(s for s in stations if len(s.time) >= MIN_POSITIONS)
    if not chosen:
        return None
    first = min(int(np.floor(days_since_2014(s.time[:1])[0])) for s in chosen)
    last = max(int(np.floor(days_since_2014(s.time[-1:])[0])) for s in chosen)
    days = np.arange(first, last + 1, dtype=np.float64) + 0.5
    series = np.full((3 * len(chosen), len(days)), np.nan)
    designs = []
    for i, station in enumerate(chosen):
        at = np.floor(days_since_2014(station.time)).astype(int) - first
        series[3 * i : 3 * i + 3, at] = _centred(station).T
        design = _background(station, days, at, steps.get(station.name, ()))
        designs.append(design)
    widest = max(d.shape[1] for d in designs)
    columns = np.zeros((len(series), widest, len(days)))
    for i, design in enumerate(designs):
        columns[3 * i : 3 * i + 3, : design.shape[1]] = design.T
    columns = _independent(columns, np.isfinite(series))
    residual = _residual(series, columns)
    outlying = _outliers(residual)
    series, residual = np.where(outlying, np.nan, series), np.where(outlying, np.nan, residual)
    unknown = np.full(len(series), np.nan)
    return Daily(chosen, days, series, columns, residual, Noise(np.full_like(series, np.nan), unknown, unknown))


def _centred(station: Station) -> Float:
    """Positions less the median of each monument: numbers of 10^6 m would cost digits."""
    enu = station.enu.copy()
    for part in np.unique(station.monument):
        rows = station.monument == part
        enu[rows] -= np.median(enu[rows], axis=0)
    return enu


def _background(station: Station, days: Float, at: NDArray[np.int64], steps: Sequence[Step]) -> Float:
    """Columns (day, column) of one station: an offset a monument, rate, season, steps."""
    monument = np.zeros(len(days), np.int64)
    monument[at] = station.monument
    time = np.datetime64("2014-01-01", "ns") + (days * 86400e9).astype("m8[ns]")
    design, _ = design_matrix(time, monument)
    extra = [(days >= day).astype(float) for day in days_since_2014(np.array([s.time for s in steps], "M8[ns]"))]
    return np.column_stack([design, *extra])


def _independent(columns: Float, present: NDArray[np.bool_]) -> Float:
    """Columns of which those that the others before them can make are zero, on the days with a position."""
    out = columns.copy()
    for i in range(0, len(columns), 3):
        seen = columns[i][:, present[i]]
        basis = np.zeros((0, seen.shape[1]))
        for c, row in enumerate(seen):
            left = row - basis.T @ (basis @ row)
            left -= basis.T @ (basis @ left)
            size = float(np.linalg.norm(left))
            if size <= 1e-6 * max(float(np.linalg.norm(row)), 1e-12):
                out[i : i + 3, c] = 0.0
            else:
                basis = np.vstack([basis, left / size])
    return out


def _residual(series: Float, columns: Float) -> Float:
    """What ordinary least squares leaves, (series, day)."""
    out = np.full_like(series, np.nan)
    for i, row in enumerate(series):
        present = np.isfinite(row)
        design = columns[i][:, present].T
        out[i, present] = row[present] - design @ np.linalg.lstsq(design, row[present], rcond=None)[0]
    return out


def _outliers(residual: Float) -> NDArray[np.bool_]:
    """Days whose position in any component leaves the running median of its series."""
    frame = pd.DataFrame(residual.T)
    apart = (frame - frame.rolling(RUNNING_D, center=True, min_periods=3).median()).to_numpy().T
    scale = _MAD * np.nanmedian(np.abs(apart), axis=1, keepdims=True)
    bad = np.abs(apart) > OUTLIER * scale
    of_station = bad.reshape(-1, 3, bad.shape[1]).any(axis=1)
    return np.repeat(of_station, 3, axis=0)


def ramp_columns(days: Float, t50: Float, duration_d: Float) -> Float:
    """Linear histories (ramp, day), 0 to 1, that go from 5 to 95 per cent in `duration_d` (ramp,) around `t50`."""
    whole = np.maximum(duration_d, 1e-3) / _BETWEEN
    return np.asarray(np.clip((days - (t50 - 0.5 * whole)[:, None]) / whole[:, None], 0.0, 1.0))


def measure(daily: Daily, ramps: Float, others: Float, histories: Float | None = None) -> Offsets:
    """Estimate the size of each of many ramps, each alone, beside the background and `others`.

    Parameters
    ----------
    daily
        the window of a network
    ramps, others
        (ramp, day) and (other, day) histories
    histories
        (history, day): how the estimates would answer to them

    Returns
    -------
    offsets
        a ramp that a station cannot tell from its background has size zero and deviation `UNSEEN_M`
    """
    count, tried = len(daily.series), len(ramps)
    after = np.concatenate([ramps, histories if histories is not None else ramps[:0]])
    background = np.concatenate([daily.columns, np.broadcast_to(others, (count, *others.shape))], axis=1)
    background = _independent(background, np.isfinite(daily.series))
    columns = np.concatenate([background, np.broadcast_to(after, (count, *after.shape))], axis=1)
    gram = products(np.nan_to_num(daily.series), columns, daily.noise)
    left = _beside(gram, background.shape[1])
    information = np.einsum("skk->sk", left[:, :tried, :tried])
    whole = np.einsum("skk->sk", gram[:, background.shape[1] :, background.shape[1] :])[:, :tried]
    seen = information > np.maximum(1e-4 * whole, UNSEEN_M**-2)
    safe = np.where(seen, information, 1.0)
    answers = np.where(seen[:, :, None], left[:, :tried, tried:] / safe[:, :, None], 0.0)
    size, std = answers[:, :, -1], np.where(seen, 1.0 / np.sqrt(safe), UNSEEN_M)
    response = [_by_station(answers[:, :, i]) for i in range(answers.shape[2] - 1)]
    return Offsets(_by_station(size), _by_station(std), np.array(response).reshape(-1, tried, count // 3, 3))


def _beside(gram: Float, background: int) -> Float:
    """Products of what stands after the first columns, without what those take: M of `kalman.Onsets`."""
    normal = gram[:, :background, :background].copy()
    diagonal = np.arange(background)
    scale = np.sqrt(normal[:, diagonal, diagonal])
    scale[scale <= 0.0] = 1.0
    normal /= scale[:, :, None] * scale[:, None]
    normal[:, diagonal, diagonal] += np.where(normal[:, diagonal, diagonal] > 0.5, 1e-10, 1.0)
    cross = gram[:, :background, background:] / scale[:, :, None]
    return np.asarray(gram[:, background:, background:] - cross.transpose(0, 2, 1) @ np.linalg.solve(normal, cross))


def _by_station(values: Float) -> Float:
    """(station * 3, ramp) to (ramp, station, 3)."""
    return np.ascontiguousarray(values.T.reshape(values.shape[1], -1, 3))


def has_positions_around(daily: Daily, first: float, last: float, min_epochs: int) -> NDArray[np.bool_]:
    """Stations (station,) with `min_epochs` positions in all, and some just before `first` and just after `last`."""
    present = np.isfinite(daily.series[::3])
    before = (daily.days < first) & (daily.days >= first - AROUND_D)
    after = (daily.days > last) & (daily.days <= last + AROUND_D)
    enough = present.sum(axis=1) >= min_epochs
    return np.asarray(
        enough & (present[:, before].sum(axis=1) >= MIN_AROUND) & (present[:, after].sum(axis=1) >= MIN_AROUND)
    )
