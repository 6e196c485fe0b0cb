"""White variances of epochs and a random walk from series of one kind, by restricted maximum likelihood (REML).

Patterson & Thompson (1971, Biometrika 58). Places have the same covariance up to a scale of their own, which is
profiled out. Variances of epochs go to where z_t^2 has the mean P_tt, with z = P y and
P = C^-1 - C^-1 X (X' C^-1 X)^-1 X' C^-1; the walk goes by Fisher's scoring.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from slipscan.fit.temporal import random_walk
from slipscan.noise.temporal_events import SIGNIFICANT, histories, strongest
from slipscan.noise.temporal_places import Places

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]

FIRST: Final = 0.2
"""Where the red part starts, over the white level, 1/yr."""
FIRST_STEPS: Final = 2
CALM: Final = 0.7
"""Share of the places, those of the least slow motion, that the first steps look at: many events would else pass as
noise that hides them."""
ROUNDS: Final = (2, 1, 2)
"""Steps each time that places with events were left out."""
CLIP: Final = 2.5
"""Standard deviations at which single values are clipped for the variance of an epoch."""
PRIOR_PLACES: Final = 12.0
"""Weight, in places, of the shape that other bands give the variances of epochs (WHOLE_SERIES.md: n0)."""
RANK: Final = 1e-9
"""Singular values of the background's columns over the largest that are rounding."""
LEAST_SEEN: Final = 0.25
"""Share of the places that have an epoch which counts."""
FLOOR: Final = 1e-5
"""Least white variance of an epoch, over the mean one: as of one that is 300 times as calm."""
DRAWS: Final = 200
LEAST_KEPT: Final = 0.5
"""Share of the places that is kept, whatever seems to happen in them."""


@dataclass(frozen=True)
class RedFit:
    """Noise in time of one band.

    Attributes
    ----------
    white
        (time,) variance of the white part of every epoch in a typical place, m2
    red, error
        variance that the random walk gains in a year over the median of `white`, and its standard error, 1/yr
    kept
        share of the places in which no event was seen
    """

    white: Float
    red: float
    error: float
    kept: float


def fit_red(
    places: Places, days: Float, design: Float, shape: Float | None = None, given: float | None = None
) -> RedFit:
    """Fit the places of one band; NaN in epochs that few of them have, everywhere if the rest is too little.

    Parameters
    ----------
    days
        (time,)
    design
        (time, column) of the background
    shape
        (time,) variances of epochs that other bands show, about 1; None: unknown
    given
        red part that is taken as it is, 1/yr; None: estimated
    """
    known = np.isfinite(places.series)
    seen = known.mean(axis=1) >= LEAST_SEEN
    enough = known[seen].sum(axis=0) > design.shape[1] + 1
    if not enough.any():
        return RedFit(np.full(len(days), math.nan), math.nan, math.nan, math.nan)
    part = Places(places.series[np.ix_(seen, enough)], places.sector[enough])
    # A column that the epochs do not have, or have twice, is none.
    columns, sizes, _ = np.linalg.svd(design[seen], full_matrices=False)
    basis = columns[:, sizes > RANK * sizes[0]]
    found = _fit(part, days[seen], basis, None if shape is None else shape[seen], given)
    white = np.full(len(days), math.nan)
    white[seen] = found.white
    return dataclasses.replace(found, white=white)


def _fit(places: Places, days: Float, design: Float, shape: Float | None, given: float | None) -> RedFit:
    """Of complete epochs, with an orthonormal basis of the background, (time, column)."""
    walk = random_walk(torch.from_numpy(days)).numpy()
    state = _State.first(places.series, design, FIRST if given is None else given)
    found = _products(state, places.series, walk, design)
    slow = _slow(found, walk)
    keep = slow <= np.quantile(slow, CALM)
    found, tried = found.of(keep), None
    for steps in (FIRST_STEPS, *ROUNDS):
        if tried is not None:
            found = _products(state, places.series, walk, design)
            size = strongest(tried, found.projection, found.z)
            keep = size <= max(SIGNIFICANT, float(np.quantile(size, LEAST_KEPT)))
            found = found.of(keep)
        for _ in range(steps):
            state = _step(state, found, walk, shape, given)
            found = _products(state, places.series[:, keep], walk, design)
        tried = histories(days, state.white, design) if tried is None else tried
    scale, level = float(np.median(found.scale)), float(np.median(state.white))
    if given is not None:
        return RedFit(state.white * scale, given, math.nan, float(keep.mean()))
    error = _error(found, places.sector[keep], walk) / level
    return RedFit(state.white * scale, state.red / level, error, float(keep.mean()))


@dataclass(frozen=True)
class _State:
    """(time,) white variances and what the walk gains in a year, m2."""

    white: Float
    red: float

    @classmethod
    def first(cls, series: Float, design: Float, red: float) -> _State:
        """From an ordinary fit."""
        rest = np.where(np.isfinite(series), series, 0.0)
        rest = rest - design @ (design.T @ rest)
        square = np.where(np.isfinite(series), rest**2, np.nan)
        white = np.nanmean(square, axis=1) * (len(series) / (len(series) - design.shape[1]))
        return cls(_floored(white), red * float(np.median(white)))


@dataclass(frozen=True)
class _Products:
    """Of P with the series: z (time, place), of places in which every pattern of gaps has its own P.

    Attributes
    ----------
    projection
        P of complete series
    z
        (time, place) P y over the scale's root, 0 where there is no data
    diagonal
        (time, place) P_tt, 0 where there is no data
    scale
        (place,) y' P y over the degrees of freedom
    walk_trace
        (place,) trace of P K
    """

    projection: Float
    z: Float
    diagonal: Float
    scale: Float
    walk_trace: Float

    def of(self, keep: Bool) -> _Products:
        """Those of some places."""
        some = (self.z[:, keep], self.diagonal[:, keep], self.scale[keep], self.walk_trace[keep])
        return _Products(self.projection, *some)


def _projection(state: _State, walk: Float, design: Float) -> Float:
    covariance = np.diag(state.white) + state.red * walk
    inverse = np.linalg.inv(covariance)
    columns = inverse @ design
    return np.asarray(inverse - columns @ np.linalg.solve(design.T @ columns, columns.T))


def _products(state: _State, series: Float, walk: Float, design: Float) -> _Products:
    projection = _projection(state, walk, design)
    known = np.isfinite(series)
    values = np.where(known, series, 0.0)
    diagonal = np.repeat(np.diag(projection)[:, None], series.shape[1], axis=1)
    trace = np.full(series.shape[1], float((projection * walk).sum()))
    if not known.all():
        _complete(values, known, projection, diagonal, trace, walk)
    z = np.where(known, projection @ values, 0.0)
    scale = (values * z).sum(axis=0) / (known.sum(axis=0) - design.shape[1])
    return _Products(projection, z / np.sqrt(scale), diagonal, scale, trace)


def _complete(values: Float, known: Bool, projection: Float, diagonal: Float, trace: Float, walk: Float) -> None:
    """Fill gaps by the best guess beside the background, and take from P_tt and the trace of P K what gaps take.

    P of the epochs that are there is P - P_m (P_mm)^-1 P_m' with the epochs m that are missing.
    """
    gappy = np.flatnonzero(~known.all(axis=0))
    missing = ~known[:, gappy].T
    most = int(missing.sum(axis=1).max())
    gone = np.argsort(~missing, axis=1, kind="stable")[:, :most]
    real = np.take_along_axis(missing, gone, axis=1)
    rows = projection[gone] * real[:, :, None]
    inner = np.take_along_axis(rows, gone[:, None, :].repeat(most, 1), axis=2) * real[:, None, :]
    # Places with fewer gaps than the most have the unit matrix for the rest.
    inner[:, np.arange(most), np.arange(most)] += ~real
    solved = np.linalg.inv(inner) @ rows
    guess = -np.einsum("pmt,tp->pm", solved, values[:, gappy])
    place, number = np.nonzero(real)
    values[gone[place, number], gappy[place]] = guess[place, number]
    diagonal[:, gappy] -= np.einsum("pmt,pmt->tp", rows, solved)
    diagonal[~known] = 0.0
    trace[gappy] -= np.einsum("pmt,pmt->p", (projection @ walk)[gone] * real[:, :, None], solved)


def _step(state: _State, found: _Products, walk: Float, shape: Float | None, given: float | None) -> _State:
    """One step of both."""
    expected, count = found.diagonal, found.z.shape[1]
    size = np.divide(found.z**2, expected, out=np.zeros_like(found.z), where=expected > 0)
    mean = np.minimum(size, CLIP**2).sum(axis=1) / np.maximum((expected > 0).sum(axis=1), 1) / _CLIPPED_MEAN
    white = state.white * np.clip(mean, 0.2, 5.0)
    if shape is not None:
        level = float(np.median(white / shape))
        white = (count * white + PRIOR_PLACES * level * shape) / (count + PRIOR_PLACES)
    white = _floored(white)
    if given is not None:
        return _State(white, given * float(np.median(white)))
    score, information = _score(found, walk)
    return _State(white, max(0.0, state.red + float(score.sum()) / (count * information)))


def _floored(white: Float) -> Float:
    return np.maximum(white, FLOOR * white.mean())


def _score(found: _Products, walk: Float) -> tuple[Float, float]:
    """Derivative of twice the log-likelihood by the walk's variance (place,), and that of its mean per place."""
    score = _slow(found, walk) - found.walk_trace
    product = found.projection @ walk
    return score, float((product * product.T).sum())


def _slow(found: _Products, walk: Float) -> Float:
    """Energy of places (place,) that looks like the walk's."""
    return np.asarray(np.einsum("tp,tp->p", found.z, walk @ found.z))


def _error(found: _Products, sector: NDArray[np.intp], walk: Float) -> float:
    """Standard error of the walk's variance: the larger of the curvature's and a bootstrap's of sectors, m2/yr."""
    score, information = _score(found, walk)
    # Curvature beside the variances of the epochs, which are estimated from the same places.
    both = np.diag(found.projection @ walk @ found.projection)
    beside = information - float(both @ np.linalg.solve(found.projection**2, both))
    count = len(score)
    curvature = math.sqrt(2 / (count * beside))
    parts, which = np.unique(sector, return_inverse=True)
    sums = np.bincount(which.ravel(), score - score.mean())
    drawn = np.random.default_rng(0).integers(len(parts), size=(DRAWS, len(parts)))
    spread = float(sums[drawn].sum(axis=1).std()) * math.sqrt(len(parts) / max(len(parts) - 1, 1))
    return max(curvature, spread / (count * beside))


def _clipped_mean(clip: float) -> float:
    """Mean of min(x^2, clip^2) of a standard normal x."""
    inside = math.erf(clip / math.sqrt(2))
    return inside - clip * math.sqrt(2 / math.pi) * math.exp(-(clip**2) / 2) + clip**2 * (1 - inside)


_CLIPPED_MEAN: Final = _clipped_mean(CLIP)
