"""Weighted least squares from interferograms to displacement, pixel by pixel (Berardino et al. 2002).

The unknowns are the displacements at the epochs; the first epoch of a connected part is zero, so that no
minimum-norm solution ever bridges a gap. Many pixels with the same valid interferograms share one estimator and are
solved in one product; pixels with a set of their own are solved together by elimination (`elimination.py`). A batch
of pixels belongs to one thread, and the linear-algebra library must have one thread too (`one_thread`): its results
differ in the last bits with the number of threads, and slipscan's may not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from slipscan.timeseries.elimination import Elimination, eliminate, factorise, reached_epochs, solve, variances
from slipscan.timeseries.network import Index, Network, parts

Float = NDArray[np.float64]
Norm = Literal["l2", "l1"]

COHERENCE_RANGE = (0.05, 0.99)
"""Coherence is clipped to it before it becomes a variance, so that no pair rules alone."""
SHARED_FROM = 48
"""Pixels of equal validity from which an estimator of their own costs less than elimination."""
ELIMINATION_VALUES = 2**20
"""Values in the largest array of one elimination."""
L1_THRESHOLDS_M = tuple(np.geomspace(5e-3, 1e-5, 20).tolist())
"""Residuals below it are squared; it shrinks over the iterations, so that the last is the L1 norm to 0.01 mm."""


@dataclass(frozen=True)
class Solution:
    """What the inversion of a block of pixels gives.

    Attributes
    ----------
    displacement
        (time, pixel) m toward the satellite; exactly 0 at the first epoch of a segment, NaN where the pixel's
        interferograms do not connect an epoch with it
    std
        (time, pixel) m, from the misclosure; NaN where nothing is redundant
    residual
        (pair, pixel) m, observed minus predicted; NaN where the interferogram was not used
    """

    displacement: Float
    std: Float
    residual: Float


def weight_of_coherence(coherence: NDArray[np.floating]) -> Float:
    """Return the weight of an interferogram, the inverse of its phase variance, from its coherence g.

    The Cramer-Rao bound of multilooked phase is var = (1 - g^2) / (2 L g^2) (Rodriguez & Martin 1992); the number
    of looks L is common to all and cancels. One coherence per interferogram (its median over space) keeps the
    pixels of equal validity in one product.

    Parameters
    ----------
    coherence
        (pair,) 0-1

    Returns
    -------
    weight
        (pair,) with mean 1
    """
    g2 = np.clip(np.asarray(coherence, np.float64), *COHERENCE_RANGE) ** 2
    weight = g2 / (1 - g2)
    return np.asarray(weight / weight.mean())


def invert(
    network: Network,
    segment: NDArray[np.int64],
    observed: NDArray[np.floating],
    weight: Float,
    norm: Norm = "l2",
    pattern: Elimination | None = None,
) -> Solution:
    """Invert the interferograms of many pixels.

    Parameters
    ----------
    network
        epochs and pairs
    segment
        (time,) connected part of every epoch; each has its own zero
    observed
        (pair, pixel) m toward the satellite, referenced, NaN = no data
    weight
        (pair,) inverse variances up to a common factor
    norm
        'l2': least squares; 'l1': the least sum of sqrt(weight) |residual|, by iterated weights (Schlossmacher
        1973), which a few unwrapping errors among redundant interferograms do not move
    pattern
        `eliminate(network, segment)`, where the caller has it

    Returns
    -------
    solution
        the standard deviation is the formal one times the square root of the pixel's chi-square per degree of
        freedom; it holds no atmosphere, which closes exactly in every network. With 'l1' it is the same function of
        the residuals, so that the errors that the series resists stay visible in it
    """
    order, starts = sorted_by_validity(np.isfinite(observed))
    if (order == np.arange(len(order))).all():
        return _invert_sorted(network, segment, observed, weight, norm, pattern, starts)
    found = _invert_sorted(network, segment, observed[:, order], weight, norm, pattern, starts)
    back = np.argsort(order)
    return Solution(found.displacement[:, back], found.std[:, back], found.residual[:, back])


def _invert_sorted(
    network: Network,
    segment: NDArray[np.int64],
    observed: NDArray[np.floating],
    weight: Float,
    norm: Norm,
    pattern: Elimination | None,
    starts: Index,
) -> Solution:
    """Invert pixels of which those of equal validity stand together, from `starts` on."""
    times, (pairs, pixels) = len(network.dates), observed.shape
    out = Solution(*(np.full((rows, pixels), np.nan) for rows in (times, times, pairs)))
    sizes = np.diff(starts, append=pixels)
    shared = (sizes >= SHARED_FROM) & (norm == "l2")
    for start, size in zip(starts[shared].tolist(), sizes[shared].tolist(), strict=True):
        _shared(network, segment, observed, weight, slice(start, start + size), out)
    apart = np.flatnonzero(np.repeat(~shared, sizes))
    if len(apart):
        pattern = pattern or eliminate(network, segment)
        largest = max([len(step.later) ** 2 for step in pattern.steps] + [pairs, pattern.size])
        batch = max(16, ELIMINATION_VALUES // largest)
        for first in range(0, len(apart), batch):
            _apart(pattern, observed, weight, norm, apart[first : first + batch], out)
    return out


def sorted_by_validity(valid: NDArray[np.bool_]) -> tuple[Index, Index]:
    """Sort the columns of a mask so that equal ones stand together.

    Parameters
    ----------
    valid
        (row, pixel)

    Returns
    -------
    order
        (pixel,) positions, in an order that the mask alone decides
    starts
        (group,) where in `order` a group of equal columns begins
    """
    packed = np.packbits(valid, axis=0)
    words = np.zeros((-(-len(packed) // 8) * 8, valid.shape[1]), np.uint8)
    words[: len(packed)] = packed
    keys = np.ascontiguousarray(words.T).view(np.uint64)
    order = np.lexsort(keys.T)
    differs = (keys[order[1:]] != keys[order[:-1]]).any(axis=1)
    return order, np.flatnonzero(np.concatenate([np.ones(min(len(order), 1), bool), differs]))


def _shared(
    network: Network,
    segment: NDArray[np.int64],
    observed: NDArray[np.floating],
    weight: Float,
    members: slice,
    out: Solution,
) -> None:
    """Solve pixels of equal validity with one estimator."""
    times = len(network.dates)
    valid = np.flatnonzero(np.isfinite(observed[:, members.start]))
    reached = _reached(network, segment, valid)
    used = valid[reached[network.reference[valid]]]
    if not len(used):
        return
    unknown = np.flatnonzero(reached & ~_first_epochs(segment))
    estimator, variance = _estimator(network, unknown, used, weight[used])
    data = observed[used, members].astype(np.float64)
    solved = np.zeros((times, data.shape[1]))
    solved[unknown] = estimator @ data
    misfit = data
    misfit -= solved[network.secondary[used]]
    misfit += solved[network.reference[used]]
    solved[~reached] = np.nan
    out.displacement[:, members] = solved
    out.residual[used, members] = misfit
    freedom = len(used) - len(unknown)
    if freedom > 0:
        deviation = np.full(times, np.nan)
        deviation[reached] = 0.0
        deviation[unknown] = np.sqrt(variance)
        chi2 = weight[used] @ np.square(misfit, out=misfit) / freedom
        np.multiply(deviation[:, None], np.sqrt(chi2), out=out.std[:, members])


def _apart(
    pattern: Elimination,
    observed: NDArray[np.floating],
    weight: Float,
    norm: Norm,
    members: Index,
    out: Solution,
) -> None:
    """Solve pixels that have sets of valid interferograms of their own."""
    network = pattern.network
    data = observed[:, members].astype(np.float64)
    valid = np.isfinite(data)
    reached = reached_epochs(pattern, valid)
    used = valid & reached[network.reference]
    data = np.where(used, data, 0.0)
    weights = np.where(used, weight[:, None], 0.0)
    factor = factorise(pattern, weights, reached)
    solved = solve(factor, weights, data)
    misfit = data - (solved[network.secondary] - solved[network.reference])
    if norm == "l1":
        root = np.sqrt(weights)
        for threshold in L1_THRESHOLDS_M:
            iterated = root / np.maximum(np.abs(misfit), threshold)
            solved = solve(factorise(pattern, iterated, reached), iterated, data)
            misfit = data - (solved[network.secondary] - solved[network.reference])
    misfit[~used] = 0.0
    freedom = used.sum(axis=0) - (reached & ~pattern.zero[:, None]).sum(axis=0)
    chi2 = np.full(len(members), np.nan)
    np.divide((weights * misfit**2).sum(axis=0), freedom, out=chi2, where=freedom > 0)
    out.std[:, members] = np.sqrt(variances(factor) * chi2)
    solved[~reached] = np.nan
    misfit[~used] = np.nan
    out.displacement[:, members] = solved
    out.residual[:, members] = misfit


def temporal_coherence(residual: NDArray[np.floating], radar_wavelength_m: float) -> NDArray[np.float32]:
    """Return how well the interferograms agree with the inverted series (Pepe & Lanari 2006, eq. 13).

    Parameters
    ----------
    residual
        (pair, pixel) m, NaN where not used

    Returns
    -------
    coherence
        (pixel,) |mean exp(i 4 pi residual / wavelength)|, 0-1; NaN without an interferogram; 1 says nothing where
        nothing is redundant
    """
    # Single precision: a ten-thousandth of a radian is far below what matters, and the sines cost a tenth.
    phase = (residual * (4 * np.pi / radar_wavelength_m)).astype(np.float32)
    used = np.isfinite(phase)
    count = used.sum(axis=0)
    phase[~used] = 0.0
    # A pair that was not used adds cos 0 = 1 to the sum.
    real = np.cos(phase).sum(axis=0) - (len(used) - count)
    imaginary = np.sin(phase).sum(axis=0)
    coherence = np.full(len(count), np.nan, np.float32)
    np.divide(np.hypot(real, imaginary), count, out=coherence, where=count > 0, casting="same_kind")
    return coherence


def _first_epochs(segment: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mark the first epoch of every segment, (time,)."""
    first = np.zeros(len(segment), bool)
    first[np.unique(segment, return_index=True)[1]] = True
    return first


def _reached(network: Network, segment: NDArray[np.int64], valid: Index) -> NDArray[np.bool_]:
    """Mark the epochs that valid interferograms connect with the first epoch of their segment, (time,)."""
    part = parts(network, valid)
    _, first, inverse = np.unique(segment, return_index=True, return_inverse=True)
    reached = part == part[first][inverse.ravel()]
    alone = np.bincount(part, minlength=len(part))[part] < 2
    return np.asarray(reached & ~alone)


def _estimator(network: Network, unknown: Index, used: Index, weight: Float) -> tuple[Float, Float]:
    """Return the least-squares estimator (unknown, pair) and the formal variances (unknown,).

    The normal matrix is the weighted graph Laplacian without the rows of the zero epochs: positive definite,
    since every unknown is connected with one.
    """
    times = len(network.dates)
    i, j = network.reference[used], network.secondary[used]
    laplacian = np.zeros((times, times))
    np.add.at(laplacian, (i, i), weight)
    np.add.at(laplacian, (j, j), weight)
    np.add.at(laplacian, (i, j), -weight)
    np.add.at(laplacian, (j, i), -weight)
    covariance = np.zeros((times, times))
    inverse = np.linalg.inv(laplacian[np.ix_(unknown, unknown)])
    covariance[np.ix_(unknown, unknown)] = inverse
    estimator = (covariance[:, j] - covariance[:, i])[unknown] * weight
    return np.ascontiguousarray(estimator), np.diag(inverse).copy()
