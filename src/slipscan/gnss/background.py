"""The trajectory of GNSS stations: offset, rate, seasons, steps, afterslip, events, fitted in their own noise.

Possible steps come from a list (equipment, earthquakes); each is kept only where the series shows it. After an
earthquake that is seen a logarithmic or exponential decay is tried (Bevis & Brown 2014, J. Geodesy 88, 283).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from slipscan.fit.model import DAYS_PER_YEAR
from slipscan.gnss.daily import DailySeries
from slipscan.gnss.kalman import Fit, Noise, fit
from slipscan.gnss.noise import estimate_noise
from slipscan.gnss.steps import Step

Float = NDArray[np.float64]

MIN_SEASON_YR = 1.2
MIN_BESIDE = 5
"""Positions needed on either side of a step."""
DEPENDENT = 1e-3
"""A column of which less than this share is left beside the others cannot be told from them."""
STEP_CHI2 = 16.3
"""Of three components, for a listed step to be kept: one in a thousand by chance."""
DECAY_CHI2 = 25.0
DECAYS: tuple[tuple[str, float], ...] = (("log", 3.0), ("log", 30.0), ("log", 300.0), ("exp", 100.0))
"""Histories after an earthquake that are tried, and their times in days."""


@dataclass(frozen=True)
class Term:
    """One column of a station's trajectory.

    Attributes
    ----------
    kind
        'offset', 'rate', 'annual', 'semiannual', 'step', 'log', 'exp', or 'event'
    day
        when a step, a decay or an event begins (number of the day; NaN for all else)
    time_d
        time of a decay, duration of an event, days
    text
        what a step is
    """

    kind: str
    day: float = np.nan
    time_d: float = np.nan
    text: str = ""


@dataclass(frozen=True)
class Background:
    """Stations fitted by their trajectories.

    Attributes
    ----------
    series
        what was fitted
    terms
        per station, of its columns
    columns
        (station, column, day); zeros beyond a station's own
    noise
        of the series (3 station, day): east, north, up of the first, then of the next
    fitted
        parameters of (3 station,) series
    """

    series: DailySeries
    terms: tuple[tuple[Term, ...], ...]
    columns: Float
    noise: Noise
    fitted: Fit

    def residual(self) -> Float:
        """(station, 3, day) positions less the trajectory; NaN where there is no position."""
        model = np.einsum("skc,scd->skd", self._by_station(), self.columns)
        return np.asarray(self.series.position - model)

    def _by_station(self) -> Float:
        return self.fitted.parameters.reshape(len(self.series.names), 3, -1)


def fit_background(
    series: DailySeries, steps: Mapping[str, Sequence[Step]], events: Sequence[tuple[float, float]] = ()
) -> Background:
    """Fit the trajectory of every station, and the noise of its components.

    Parameters
    ----------
    steps
        possible steps by station; those that the series does not show are left out
    events
        first day and duration (days) of transients that every station may have seen
    """
    terms = tuple(_terms(series, row, steps.get(name, ()), events) for row, name in enumerate(series.names))
    terms, columns = _independent(series, terms)
    residual = _ordinary_residual(series, columns)
    positions, wide = flat(series, columns)
    excess, ramps = np.repeat(series.excess, 3, axis=0), [(round(day), round(duration)) for day, duration in events]
    noise = estimate_noise(positions, wide, residual.reshape(positions.shape), excess, ramps)
    fitted = fit(np.nan_to_num(positions), wide, noise)
    kept = _significant(terms, fitted)
    if kept != terms:
        terms, columns = _independent(series, kept)
    whole = _refitted(series, terms, columns, noise)
    return _with_decays(whole)


def with_events(background: Background, events: Sequence[tuple[float, float]]) -> Background:
    """The same with these events (first day, duration) in place of any other, in the same noise."""
    own = tuple(tuple(t for t in terms if t.kind != "event") for terms in background.terms)
    more = tuple(Term("event", day, duration) for day, duration in events)
    return with_terms(background.series, tuple(terms + more for terms in own), background.noise)


def with_terms(series: DailySeries, terms: tuple[tuple[Term, ...], ...], noise: Noise) -> Background:
    """Trajectories of these terms, as far as the days can tell them apart, in this noise."""
    terms, columns = _independent(series, terms)
    return _refitted(series, terms, columns, noise)


def _refitted(series: DailySeries, terms: tuple[tuple[Term, ...], ...], columns: Float, noise: Noise) -> Background:
    positions, wide = flat(series, columns)
    return Background(series, terms, columns, noise, fit(np.nan_to_num(positions), wide, noise))


def flat(series: DailySeries, columns: Float) -> tuple[Float, Float]:
    """Series (3 station, day) and their columns (3 station, column, day)."""
    return series.position.reshape(-1, series.position.shape[2]), np.repeat(columns, 3, axis=0)


def _terms(
    series: DailySeries, row: int, steps: Sequence[Step], events: Sequence[tuple[float, float]]
) -> tuple[Term, ...]:
    there = np.flatnonzero(series.present[row])
    terms = [Term("offset", time_d=float(part)) for part in np.unique(series.monument[row, there])]
    terms.append(Term("rate"))
    if np.ptp(there) >= MIN_SEASON_YR * DAYS_PER_YEAR:
        terms += [Term(kind, time_d=phase) for kind in ("annual", "semiannual") for phase in (0.0, 90.0)]
    for step in sorted(steps, key=lambda s: s.time):
        terms.append(Term("step", series.day_of(step.time), text=f"{step.kind} {step.text}".strip()))
    return (*terms, *(Term("event", day, duration) for day, duration in events))


def _column(series: DailySeries, row: int, term: Term) -> Float:
    """(day,) of one term."""
    day = np.arange(series.position.shape[2])
    years = (series.start - np.datetime64("2014-01-01", "D")) / np.timedelta64(1, "D") + day
    years = years / DAYS_PER_YEAR
    if term.kind == "offset":
        return np.asarray(series.monument[row] == term.time_d, float)
    if term.kind == "rate":
        return np.asarray(years - years.mean())
    if term.kind in ("annual", "semiannual"):
        cycles = 1 if term.kind == "annual" else 2
        return np.asarray(np.cos(2 * np.pi * cycles * years - np.deg2rad(term.time_d)))
    if term.kind == "event":
        return event_column(day, term.day, term.time_d)
    since = np.maximum(day - term.day, 0.0)
    if term.kind == "log":
        return np.log1p(since / term.time_d)
    if term.kind == "exp":
        return -np.expm1(-since / term.time_d)
    return np.asarray(day >= term.day, float)


def event_column(day: NDArray[np.integer] | Float, first: float, duration_d: float) -> Float:
    """A ramp of `duration_d` equal daily steps that begins at day `first`, 0 to 1: one day is a step."""
    return np.asarray(np.clip((day - first + 1.0) / max(duration_d, 1.0), 0.0, 1.0))


def _independent(
    series: DailySeries, terms: tuple[tuple[Term, ...], ...]
) -> tuple[tuple[tuple[Term, ...], ...], Float]:
    """The terms of each station that its days can tell apart, and their columns, padded with zeros."""
    kept, columns = [], []
    for row, own in enumerate(terms):
        there = series.present[row]
        basis = np.zeros((int(there.sum()), 0))
        good, wide = [], []
        for term in own:
            column = _column(series, row, term)
            seen = column[there]
            if term.kind in ("step", "event") and min((seen > 0.5).sum(), (seen <= 0.5).sum()) < MIN_BESIDE:
                continue
            rest = seen - basis @ (basis.T @ seen)
            rest -= basis @ (basis.T @ rest)
            size = float(np.linalg.norm(rest))
            if size <= DEPENDENT * float(np.linalg.norm(seen)) or size == 0.0:
                continue
            basis = np.column_stack([basis, rest / size])
            good.append(term)
            wide.append(column)
        kept.append(tuple(good))
        columns.append(np.array(wide))
    out = np.zeros((len(terms), max(len(c) for c in columns), series.position.shape[2]))
    for row, wide_columns in enumerate(columns):
        out[row, : len(wide_columns)] = wide_columns
    return tuple(kept), out


def _ordinary_residual(series: DailySeries, columns: Float) -> Float:
    """What least squares, white but for doubted days, leave (station, 3, day); NaN where there is no position."""
    out = np.full_like(series.position, np.nan)
    for row, own in enumerate(columns):
        there = series.present[row]
        weight = 1.0 / series.excess[row, there]
        matrix = own[np.abs(own).sum(axis=1) > 0.0]
        data = series.position[row][:, there]
        found = np.linalg.lstsq((matrix[:, there] * weight).T, (data * weight).T, rcond=None)[0]
        out[row][:, there] = data - found.T @ matrix[:, there]
    return out


def _significant(terms: tuple[tuple[Term, ...], ...], fitted: Fit) -> tuple[tuple[Term, ...], ...]:
    """Leave out, one after the other, steps that the three components do not show together."""
    kept = []
    for station, own in enumerate(terms):
        rows = slice(3 * station, 3 * station + 3)
        beta, cov = fitted.parameters[rows].copy(), fitted.covariance[rows].copy()
        steps = [i for i, term in enumerate(own) if term.kind == "step"]
        while steps:
            chi2 = [float(np.sum(beta[:, i] ** 2 / cov[:, i, i])) for i in steps]
            least = int(np.argmin(chi2))
            if chi2[least] >= STEP_CHI2:
                break
            i = steps.pop(least)
            # A Gaussian estimate, given that this parameter is zero.
            gain = cov[:, :, i] / cov[:, i, i][:, None]
            beta -= gain * beta[:, i][:, None]
            cov -= gain[:, :, None] * cov[:, i][:, None]
        kept.append(tuple(t for i, t in enumerate(own) if t.kind != "step" or i in steps))
    return tuple(kept)


def _with_decays(background: Background) -> Background:
    """Add the decay after each earthquake that a station shows best, where it shows one."""
    series, terms = background.series, list(background.terms)
    for row, own in enumerate(background.terms):
        quakes = [t for t in own if t.kind == "step" and t.text.startswith("earthquake")]
        rows = slice(3 * row, 3 * row + 3)
        for quake in quakes:
            best, best_chi2 = None, DECAY_CHI2
            for kind, time_d in DECAYS:
                tried = Term(kind, quake.day, time_d, quake.text)
                alone = series.chosen([row])
                (with_it,), columns = _independent(alone, ((*terms[row], tried),))
                if with_it[-1] != tried:
                    continue
                found = fit(*_filled(alone, columns), background.noise[rows])
                last = len(with_it) - 1
                chi2 = float(np.sum(found.parameters[:, last] ** 2 / found.covariance[:, last, last]))
                if chi2 > best_chi2:
                    best, best_chi2 = tried, chi2
            if best is not None:
                terms[row] = (*terms[row], best)
    if tuple(terms) == background.terms:
        return background
    final, columns = _independent(series, tuple(terms))
    return _refitted(series, final, columns, replace(background).noise)


def _filled(series: DailySeries, columns: Float) -> tuple[Float, Float]:
    positions, wide = flat(series, columns)
    return np.nan_to_num(positions), wide
