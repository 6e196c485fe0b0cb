"""Weighted least squares from interferograms to displacement, pixel by pixel (Berardino et al. 2002).

The unknowns are the displacements at the epochs; the first epoch of a connected part is zero, so that no
minimum-norm solution ever bridges a gap. Pixels with the same valid interferograms share one estimator and are
solved in one product. Nothing here calls a threaded linear-algebra library: its results differ in the last bits
with the number of threads, and slipscan's may not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slipscan.seriesmodel import groups_of_equal_validity
from slipscan.timeseries.network import Index, Network, parts

Float = NDArray[np.float64]

COHERENCE_RANGE = (0.05, 0.99)
"""Coherence is clipped to it before it becomes a variance, so that no pair rules alone."""


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


def invert(network: Network, segment: NDArray[np.int64], observed: NDArray[np.floating], weight: Float) -> Solution:
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

    Returns
    -------
    solution
        the standard deviation is the formal one times the square root of the pixel's chi-square per degree of
        freedom; it holds no atmosphere, which closes exactly in every network
    """
    times, (pairs, pixels) = len(network.dates), observed.shape
    displacement = np.full((times, pixels), np.nan)
    std = np.full((times, pixels), np.nan)
    residual = np.full((pairs, pixels), np.nan)
    for valid, members in groups_of_equal_validity(np.isfinite(observed)):
        reached = _reached(network, segment, valid)
        used = valid[reached[network.reference[valid]]]
        if not len(used):
            continue
        unknown = np.flatnonzero(reached & ~_first_epochs(segment))
        estimator, variance = _estimator(network, unknown, used, weight[used])
        data = observed[np.ix_(used, members)].astype(np.float64)
        solved = np.zeros((times, len(members)))
        solved[unknown] = np.einsum("up,pn->un", estimator, data)
        misfit = data - (solved[network.secondary[used]] - solved[network.reference[used]])
        solved[~reached] = np.nan
        displacement[:, members] = solved
        residual[np.ix_(used, members)] = misfit
        freedom = len(used) - len(unknown)
        if freedom > 0:
            chi2 = (weight[used][:, None] * misfit**2).sum(axis=0) / freedom
            deviation = np.full(times, np.nan)
            deviation[reached] = 0.0
            deviation[unknown] = np.sqrt(variance)
            std[:, members] = deviation[:, None] * np.sqrt(chi2)
    return Solution(displacement, std, residual)


def temporal_coherence(residual: Float, radar_wavelength_m: float) -> Float:
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
    phase = residual * (4 * np.pi / radar_wavelength_m)
    used = np.isfinite(phase)
    count = used.sum(axis=0)
    real = np.where(used, np.cos(phase), 0.0).sum(axis=0)
    imaginary = np.where(used, np.sin(phase), 0.0).sum(axis=0)
    return np.where(count > 0, np.hypot(real, imaginary) / np.maximum(count, 1), np.nan)


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
    inverse = _inverse(laplacian[np.ix_(unknown, unknown)])
    covariance[np.ix_(unknown, unknown)] = inverse
    estimator = (covariance[:, j] - covariance[:, i])[unknown] * weight
    return np.ascontiguousarray(estimator), np.diag(inverse).copy()


def _inverse(matrix: Float) -> Float:
    """Invert a positive definite matrix with the sweep operator (Goodnight 1979).

    Elementwise arithmetic only, so that the result does not depend on the number of threads.
    """
    a = matrix.copy()
    for k in range(len(a)):
        pivot = a[k, k]
        row = a[k] / pivot
        column = a[:, k].copy()
        a -= column[:, None] * row[None, :]
        a[k] = row
        a[:, k] = -column / pivot
        a[k, k] = 1 / pivot
    return a
