"""What a transient of given times did to each station: generalised least squares of unaveraged daily positions.

Many times are tried at once: the Kalman filter (`kalman`) whitens a ramp of each, the background and the series
together, and the inner products tell the ramp's size beside the background, for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from slipscan.fit.model import days_since_2014, design_matrix
from slipscan.gnss.daily import daily_series
from slipscan.gnss.kalman import Noise, products
from slipscan.gnss.noise import estimate_noise
from slipscan.gnss.steps import Step
from slipscan.gnss.tenv3 import Station

Float = NDArray[np.float64]

AROUND_D, MIN_AROUND = 30.0, 5
"""Daily positions needed within so many days before and after a transient."""
UNSEEN_M = 1e3
"""Standard deviation of what a station cannot tell, say because its antenna was changed that day."""
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
    noise
        of the series
    """

    stations: tuple[Station, ...]
    days: Float
    series: Float
    columns: Float
    noise: Noise

    def window(self, first: float, last: float) -> Daily:
        """The days from `first` to `last`; columns that say the same there are made zero."""
        inside = np.flatnonzero((self.days >= first) & (self.days <= last))
        part = slice(inside[0], inside[-1] + 1) if len(inside) else slice(0, 0)
        series = self.series[:, part]
        columns = _independent(self.columns[:, :, part], np.isfinite(series))
        noise = Noise(self.noise.white[:, part], self.noise.flicker, self.noise.walk)
        return Daily(self.stations, self.days[part], series, columns, noise)

    def beside(self, transients: Sequence[tuple[float, float]]) -> Daily:
        """With columns of linear transients of which t05 and t95 (days since 2014) are known."""
        ends = np.array(transients, float).reshape(-1, 2)
        return self.with_histories(ramp_columns(self.days, ends.mean(axis=1), ends[:, 1] - ends[:, 0]))

    def with_histories(self, histories: Float) -> Daily:
        """With columns of these (history, day) in every series, where they are not made by the others."""
        more = np.broadcast_to(histories, (len(self.series), *histories.shape))
        columns = _independent(np.concatenate([self.columns, more], axis=1), np.isfinite(self.series))
        return replace(self, columns=columns)

    def of(self, stations: NDArray[np.int64]) -> Daily:
        """Some of the stations."""
        rows = (3 * stations[:, None] + np.arange(3)).ravel()
        noise = Noise(self.noise.white[rows], self.noise.flicker[rows], self.noise.walk[rows])
        chosen = tuple(self.stations[i] for i in stations)
        return Daily(chosen, self.days, self.series[rows], self.columns[rows], noise)


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


def prepare(
    stations: Sequence[Station], steps: Mapping[str, Sequence[Step]], transients: Sequence[tuple[float, float]] = ()
) -> Daily | None:
    """As `lay`, with the noise of the series beside transients of which t05 and t95 (days since 2014) are known.

    Left among the noise, a few of them in some years pass for a random walk.
    """
    daily = lay(stations, steps)
    if daily is None:
        return None
    beside, excess = daily.beside(transients), daily.noise.white
    residual = _residual(daily.series, beside.columns, excess)
    ramps = [(round(first - daily.days[0]), round(last - first)) for first, last in transients]
    return replace(daily, noise=estimate_noise(daily.series, beside.columns, residual, excess, ramps))


def lay(stations: Sequence[Station], steps: Mapping[str, Sequence[Step]]) -> Daily | None:
    """Lay daily positions on a common axis, without outliers (`daily`); None without any station.

    The noise is white and no more, 1 m, times the factors of doubted days. Every listed step has a column, whether the
    series shows it or not, as one that is left out would pass for an event; the trajectories of the search for
    transients (`background`), which keeps those alone that are seen, are not used.
    """
    axis = daily_series(stations)
    if axis is None:
        return None
    known = {station.name: station for station in stations}
    chosen = tuple(known[name] for name in axis.names)
    days = days_since_2014(axis.days.astype("datetime64[ns]")) + 0.5
    series = axis.position.reshape(-1, len(days))
    designs = [_background(axis.monument[i], days, steps.get(name, ())) for i, name in enumerate(axis.names)]
    columns = np.zeros((len(series), max(d.shape[1] for d in designs), len(days)))
    for i, design in enumerate(designs):
        columns[3 * i : 3 * i + 3, : design.shape[1]] = design.T
    columns = _independent(columns, np.isfinite(series))
    none = np.zeros(len(series))
    return Daily(chosen, days, series, columns, Noise(np.repeat(axis.excess, 3, axis=0), none, none))


def _background(monument: NDArray[np.int64], days: Float, steps: Sequence[Step]) -> Float:
    """Columns (day, column) of one station: an offset a monument, rate, season, steps."""
    time = np.datetime64("2014-01-01", "ns") + (days * 86400e9).astype("m8[ns]")
    design, _ = design_matrix(time, np.maximum(monument, 0))
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


def _residual(series: Float, columns: Float, excess: Float) -> Float:
    """What least squares, white but for doubted days, leaves, (series, day)."""
    out = np.full_like(series, np.nan)
    for i, row in enumerate(series):
        present = np.isfinite(row)
        design, weight = columns[i][:, present].T, 1.0 / excess[i, present]
        found = np.linalg.lstsq(design * weight[:, None], row[present] * weight, rcond=None)[0]
        out[i, present] = row[present] - design @ found
    return out


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
    background = daily.with_histories(others).columns
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
