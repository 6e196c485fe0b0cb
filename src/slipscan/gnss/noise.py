"""How noisy a GNSS series is: amplitudes of white, flicker and random-walk noise, robust to events.

Variances of differences between the means of adjacent blocks of 1 to 256 days are compared with what each kind of
noise would give. They come from medians, so that an event of some weeks, of which nobody knows yet, moves none of
them much.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import matmul_toeplitz
from scipy.stats import norm

from slipscan.fit.model import DAYS_PER_YEAR
from slipscan.fit.scatter import MAD_TO_STD
from slipscan.gnss.kalman import Noise, fit, flicker_autocovariance

Float = NDArray[np.float64]
Ramp = tuple[int, int]
"""First day, counted from that of the series, and duration, days."""

BLOCKS_D = tuple(2**power for power in range(9))
FULL = 0.6
"""Share of the days of a block that must have a position."""
ROUNDS = 300
NEGLIGIBLE_M2 = 1e-24
LENGTH_STEP = 1.2
"""What a trajectory takes out of noise is worked out for lengths in this ratio."""
MIN_GAIN = 1.0
"""Of the log likelihood, for a random walk to be kept."""
LOCAL_D, LOCAL_RANGE = 100, (0.6, 4.0)
"""White noise follows the scatter from day to day within so many days, within these bounds (times its typical size)."""
USUAL_D, ENOUGH_ALIKE = 64, 8
"""Blocks of days whose differences tell how alike stations are; so many stations at least."""
_NODE_D = 25
_BEGINNING_D = 30
TRIM = 2.5
"""Differences beyond so many robust deviations are an event's, an outlier's, or chance: they do not count."""
_TRIMMED_SQUARE = 1.0 - 2.0 * TRIM * norm.pdf(TRIM) / (2.0 * norm.cdf(TRIM) - 1.0)


def estimate_noise(
    series: Float, columns: Float, residual: Float, excess: Float | None = None, ramps: Sequence[Ramp] = ()
) -> Noise:
    """Amplitudes of the noise of daily series.

    Parameters
    ----------
    series
        (series, day) metres, NaN where there is no position
    columns
        (series, column, day) trajectory: offset, rate, season, steps; the first two columns at least
    residual
        (series, day) what an ordinary fit of them leaves
    excess
        (series, day) factors of the white noise of single days (1 and more), of outlying positions
    ramps
        known events among the columns: what they take out of the noise, too, is put back

    Returns
    -------
    noise
        a random walk only where the restricted likelihood of the series gains more than `MIN_GAIN` by it
    """
    white, flicker, walk = amplitudes(residual, ramps=ramps)
    without = amplitudes(residual, with_walk=False, ramps=ramps)
    local = local_white(residual) * (1.0 if excess is None else excess)

    def noise_of(white: Float, flicker: Float, walk: Float) -> Noise:
        return Noise(np.where(np.isfinite(series), white[:, None] * local, np.inf), flicker, walk)

    plain, rich = noise_of(*without), noise_of(white, flicker, walk)
    filled = np.nan_to_num(series)
    gain = fit(filled, columns, rich).log_likelihood - fit(filled, columns, plain).log_likelihood
    kept = gain > MIN_GAIN
    return Noise(
        np.where(kept[:, None], rich.white, plain.white),
        np.where(kept, flicker, without[1]),
        np.where(kept, walk, 0.0),
    )


def shrunk_to_network(noise: Noise, days: Float) -> Noise:
    """Shrink flicker noise and random walks of stations to the median of the network, as far as they are alike.

    An event that nobody knows yet makes those of the stations near it larger. Empirical Bayes on the logarithm of the
    noise between blocks of `USUAL_D`: the scatter over stations, from its median, less that of the estimate itself.

    Parameters
    ----------
    noise
        (3 station,) east, north, up of each station
    days
        (3 station,) days with a position
    """
    if len(days) < 3 * ENOUGH_ALIKE:
        return noise
    flicker, walk = (unit[BLOCKS_D.index(USUAL_D)] for unit in _unit_variances())
    level = 0.5 * np.log(np.maximum(noise.flicker**2 * flicker + noise.walk**2 * walk, NEGLIGIBLE_M2))
    own = USUAL_D / np.maximum(days, 2.0 * USUAL_D)
    change = np.empty_like(level)
    for component in range(3):
        rows = slice(component, None, 3)
        apart = level[rows] - np.median(level[rows])
        between = max(0.0, (MAD_TO_STD * float(np.median(np.abs(apart)))) ** 2 - float(np.median(own[rows])))
        change[rows] = -apart * own[rows] / (own[rows] + between)
    return Noise(noise.white, noise.flicker * np.exp(change), noise.walk * np.exp(change))


def amplitudes(residual: Float, with_walk: bool = True, ramps: Sequence[Ramp] = ()) -> tuple[Float, Float, Float]:
    """White (m), flicker (m yr^-1/4) and random-walk (m yr^-1/2) amplitudes (series,) of residuals (series, day).

    Variances of block differences are fitted by multiplicative updates that lower the Itakura-Saito divergence, the
    likelihood of variances (Fevotte & Idier 2011, Neural Computation 23, 2421); none gets negative.
    """
    variance, white, count = block_variances(residual)
    known = count > 0
    there = [np.flatnonzero(np.isfinite(row)) for row in residual]
    first = np.array([row[0] if len(row) else 0 for row in there], float)
    span = np.array([np.ptp(row) + 1.0 if len(row) else 1.0 for row in there])
    flicker, walk = _unit_variances()
    lengths = zip(_rounded(span), span, first, strict=True)
    share = np.stack([_kept(days, _within(ramps, start, days / whole)) for days, whole, start in lengths])
    parts = np.stack([white, *np.broadcast_arrays(flicker, walk, white)[:2]], axis=1) * share
    if not with_walk:
        parts = parts[:, :2]
    parts = np.where(known[:, None], parts, 1.0)
    weight, variance = np.where(known, count, 0.0), np.where(known, variance, 1.0)
    theta = np.maximum((weight * variance).sum(1), 1e-18)[:, None] / np.maximum((weight[:, None] * parts).sum(2), 1e-3)
    for _ in range(ROUNDS):
        model = (theta[:, :, None] * parts).sum(axis=1)
        up = ((weight * variance / model**2)[:, None] * parts).sum(axis=2)
        down = ((weight / model)[:, None] * parts).sum(axis=2)
        theta = np.maximum(theta * np.sqrt(up / np.maximum(down, 1e-300)), NEGLIGIBLE_M2)
    found = np.sqrt(theta)
    return found[:, 0], found[:, 1], found[:, 2] if with_walk else np.zeros(len(found))


def block_variances(residual: Float) -> tuple[Float, Float, Float]:
    """Variances (series, scale) of differences of adjacent block means, in m2, from their medians.

    Returns
    -------
    variance, white, count
        that of the data; that of unit white noise, by the number of positions in each block; the number of
        independent differences (0 where no pair of blocks is full enough)
    """
    present = np.isfinite(residual)
    start = np.zeros((len(residual), 1))
    sums = np.concatenate([start, np.cumsum(np.where(present, residual, 0.0), axis=1)], axis=1)
    numbers = np.concatenate([start, np.cumsum(present, axis=1)], axis=1)
    out = np.zeros((3, len(residual), len(BLOCKS_D)))
    for scale, block in enumerate(BLOCKS_D):
        at = np.arange(0, residual.shape[1] - 2 * block + 1, max(1, block // 4))
        first, second = (numbers[:, at + k * block + block] - numbers[:, at + k * block] for k in (0, 1))
        full = np.minimum(first, second) >= max(1.0, FULL * block)
        usable = full.any(axis=1)
        if not usable.any():
            continue
        means = [
            (sums[:, at + k * block + block] - sums[:, at + k * block]) / np.maximum(n, 1.0)
            for k, n in ((0, first), (1, second))
        ]
        gap = np.where(full, np.abs(means[1] - means[0]), np.nan)[usable]
        out[0, usable, scale] = _trimmed_variance(gap)
        inverse = np.where(full, 1.0 / np.maximum(first, 1.0) + 1.0 / np.maximum(second, 1.0), np.nan)[usable]
        out[1, usable, scale] = np.nanmean(inverse, axis=1)
        out[2, usable, scale] = full[usable].sum(axis=1) * max(1, block // 4) / (2.0 * block)
    return out[0], out[1], out[2]


def _trimmed_variance(gap: Float) -> Float:
    """Variance (series,) of sizes (series, time) of Gaussian numbers, without those beyond `TRIM` deviations.

    Most of the efficiency of a mean square at the robustness of a median, whose deviation tells where to trim.
    """
    limit = TRIM * MAD_TO_STD * np.nanmedian(gap, axis=1)
    inside = gap <= limit[:, None]
    return np.asarray(np.sum(gap**2, axis=1, where=inside) / inside.sum(axis=1) / _TRIMMED_SQUARE)


def local_white(residual: Float) -> Float:
    """Scatter from day to day around each day, (series, day), as a factor of its typical size."""
    change = np.abs(np.diff(residual, axis=1, prepend=np.nan))
    typical = _median(change)
    nodes = np.arange(0, residual.shape[1] + _NODE_D, _NODE_D)
    local = np.stack([_median(change[:, max(0, n - LOCAL_D) : n + LOCAL_D + 1]) for n in nodes], axis=1)
    ratio = np.clip(local / np.maximum(typical[:, None], 1e-12), *LOCAL_RANGE)
    ratio = np.where(np.isfinite(ratio), ratio, 1.0)
    days = np.arange(residual.shape[1])
    return np.stack([np.interp(days, nodes, row) for row in ratio])


def _median(values: Float) -> Float:
    """Median along the last axis of what is there; NaN where fewer than ten values are."""
    enough = np.isfinite(values).sum(axis=1) >= 10
    out = np.full(len(values), np.nan)
    if enough.any():
        out[enough] = np.nanmedian(values[enough], axis=1)
    return out


@lru_cache(maxsize=1)
def _unit_variances() -> tuple[Float, Float]:
    """Variances (scale,) of block differences of unit flicker noise and of a unit random walk."""
    flicker, walk = [], []
    for block in BLOCKS_D:
        weights = np.concatenate([np.full(block, -1.0 / block), np.full(block, 1.0 / block)])
        lags = np.correlate(weights, weights, mode="full")
        far = np.abs(np.arange(-2 * block + 1, 2 * block))
        flicker.append(lags @ flicker_autocovariance(far))
        # Of a walk the difference sums its daily changes with triangular weights.
        walk.append(np.sum(np.cumsum(weights[::-1])[:-1] ** 2) / DAYS_PER_YEAR)
    return np.array(flicker), np.array(walk)


def _rounded(days: Float) -> list[int]:
    """Lengths in days, in a ratio of LENGTH_STEP."""
    power = np.round(np.log(np.maximum(days, 30.0)) / np.log(LENGTH_STEP))
    return [round(float(LENGTH_STEP**p)) for p in power]


def _within(ramps: Sequence[Ramp], first: float, scale: float) -> tuple[Ramp, ...]:
    """Ramps on an axis that begins at day `first` and is stretched; series that begin in the same month share it."""
    start = _BEGINNING_D * round(first / _BEGINNING_D)
    return tuple((round((day - start) * scale), max(1, round(duration * scale))) for day, duration in ramps)


@lru_cache(maxsize=1024)
def _kept(days: int, ramps: tuple[Ramp, ...] = ()) -> Float:
    """Share (kind, scale) of the variance of block differences that a fit of offset, rate, season and ramps leaves."""
    day = np.arange(days)
    years = day / DAYS_PER_YEAR
    columns = [np.ones(days), years - years.mean()]
    if years[-1] >= 1.0:
        columns += [f(2 * np.pi * c * years) for c in (1, 2) for f in (np.cos, np.sin)]
    columns += [np.clip((day - first) / duration, 0.0, 1.0) for first, duration in ramps if 0 < first < days - duration]
    basis = np.linalg.qr(np.stack(columns, axis=1))[0]
    # A walk has no covariance of its own; beside an offset it is known by its variogram.
    covariances = (np.eye(1, days)[0], flicker_autocovariance(day), -years / 2.0)
    white = 2.0 / np.array(BLOCKS_D)
    share = np.ones((3, len(BLOCKS_D)))
    for kind, (covariance, whole) in enumerate(zip(covariances, (white, *_unit_variances()), strict=True)):
        coloured = matmul_toeplitz(covariance, basis)
        inner = basis.T @ coloured
        for scale, block in enumerate(BLOCKS_D):
            if days < 2 * block:
                continue
            own, its = (_block_differences(values, block) for values in (basis, coloured))
            taken = np.einsum("pk,pk->p", own, 2.0 * its - own @ inner)
            share[kind, scale] = 1.0 - taken.mean() / whole[scale]
    return np.maximum(share, 1e-3)


def _block_differences(values: Float, block: int) -> Float:
    """Differences (position, column) of the means of adjacent blocks of days of (day, column)."""
    sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    at = np.arange(0, len(values) - 2 * block + 1, max(1, block // 4))
    return np.asarray((sums[at + 2 * block] - 2.0 * sums[at + block] + sums[at]) / block)


def simulate(generator: np.random.Generator, count: int, days: int, white: float, flicker: float, walk: float) -> Float:
    """Draw daily series (count, day) of white, flicker and random-walk noise of these amplitudes (see `Noise`).

    Flicker noise is the sum of processes that the filter has, from their stationary state.
    """
    out = white * generator.standard_normal((count, days))
    if walk:
        out += walk / np.sqrt(DAYS_PER_YEAR) * np.cumsum(generator.standard_normal((count, days)), axis=1)
    return out + (flicker * simulate_flicker(generator, count, days) if flicker else 0.0)


def simulate_flicker(generator: np.random.Generator, count: int, days: int) -> Float:
    """Draw unit flicker noise (count, day) by its circulant covariance (Davies & Harte 1987), stationary."""
    length = 1 << int(np.ceil(np.log2(max(2, 2 * days))))
    lag = np.minimum(np.arange(length), length - np.arange(length))
    power = np.maximum(np.fft.rfft(flicker_autocovariance(lag)).real, 0.0)
    white = np.fft.rfft(generator.standard_normal((count, length)), axis=1)
    return np.asarray(np.fft.irfft(white * np.sqrt(power), length, axis=1)[:, :days])
