"""Closure phase bias: short interferograms drift against long ones over soil and plants (Ansari et al. 2021).

The chain of two short pairs minus the long pair that spans both is zero for motion and for delay. Where it has a mean,
short pairs bring a false rate; it is mapped in metres per year of chain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from slipscan.fit.model import DAYS_PER_YEAR
from slipscan.timeseries.network import Index, Network

LONGEST_SPAN_D = 40.0
"""Long pairs that chains are held against: 12 + 12 against 24 d, 12 + 24 against 36 d."""
CLUSTER_D = 48.0
"""Triplets that begin within it share pairs and decorrelation: they count as one in the standard error."""
FEWEST_CLUSTERS = 5
THREE_SIGMA = 0.00135
"""One-sided probability of three standard errors."""


@dataclass(frozen=True)
class ShortTriplets:
    """The triplets whose long pair is short enough.

    Attributes
    ----------
    index
        (short,) positions among the triangles
    span_yr
        (short,) span of the long pair
    member
        (cluster, short) 1 where a triplet belongs to a cluster
    number
        (short,) clusters counted from the first epoch, empty ones too
    """

    index: Index
    span_yr: NDArray[np.float64]
    member: NDArray[np.float64]
    number: Index

    @property
    def clusters(self) -> int:
        """The number of clusters, empty ones too."""
        return int(self.number.max(initial=-1)) + 1

    def among(self, triangles: Index) -> ShortTriplets:
        """Those among some triangles (ascending positions), as positions among these."""
        chosen = np.flatnonzero(np.isin(self.index, triangles))
        place = np.searchsorted(triangles, self.index[chosen])
        return ShortTriplets(place, self.span_yr[chosen], self.member[:, chosen], self.number[chosen])


def short_triplets(network: Network, triangles: Index) -> ShortTriplets:
    """List the triplets of up to 40 days."""
    days = (network.dates - network.dates[0]) / np.timedelta64(1, "D")
    long_pair = triangles[:, 2]
    start = days[network.reference[long_pair]]
    span = days[network.secondary[long_pair]] - start
    index = np.flatnonzero(span <= LONGEST_SPAN_D)
    number = (start[index] // CLUSTER_D).astype(np.intp)
    cluster = np.unique(number, return_inverse=True)[1]
    member = np.zeros((int(cluster.max(initial=-1)) + 1, len(index)))
    member[cluster, np.arange(len(index))] = 1.0
    return ShortTriplets(index, span[index] / DAYS_PER_YEAR, member, number)


def phase_bias(
    closure: NDArray[np.floating], short: ShortTriplets, half_wavelength_m: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Estimate the rate of misclosure of every pixel.

    Parameters
    ----------
    closure
        (triangle, pixel) m, NaN = no data; what misclosed by a cycle is an unwrapping error and left out
    short
        the triplets to use

    Returns
    -------
    bias
        (pixel,) m/yr, short-pair chain minus long pair, positive toward the satellite; NaN without a triplet
    limit
        (pixel,) m/yr, three standard errors (as probable as 3 sigma, by Student's t; standard errors from clusters
        of triplets); inf with fewer than 5 clusters
    """
    used, span = _spans(closure, short, half_wavelength_m)
    valid = span > 0
    information = (span**2).sum(axis=0)
    known = information > 0
    bias = np.full(len(known), np.nan)
    np.divide((span * used).sum(axis=0), information, out=bias, where=known)
    scores = short.member @ (span * (used - np.where(known, bias, 0.0) * span))
    clusters = (short.member @ valid > 0).sum(axis=0)
    return bias, _limit(scores, clusters, information)


def bias_sums(
    closure: NDArray[np.floating], short: ShortTriplets, clusters: int, half_wavelength_m: float
) -> NDArray[np.float64]:
    """What `phase_bias` needs of some triplets: sums over those of every cluster.

    Returns
    -------
    sums
        (2 * clusters, pixel) of span times closure, and of the span squared
    """
    used, span = _spans(closure, short, half_wavelength_m)
    member = (short.number == np.arange(clusters)[:, None]).astype(np.float64)
    return np.concatenate([member @ (span * used), member @ span**2])


def bias_of_sums(sums: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """`phase_bias` from sums over all triplets."""
    products, squares = np.split(sums, 2)
    information = squares.sum(axis=0)
    known = information > 0
    bias = np.full(len(known), np.nan)
    np.divide(products.sum(axis=0), information, out=bias, where=known)
    scores = products - np.where(known, bias, 0.0) * squares
    return bias, _limit(scores, (squares > 0).sum(axis=0), information)


def _spans(
    closure: NDArray[np.floating], short: ShortTriplets, half_wavelength_m: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Closures that are used, m, and the years that they span, (short, pixel) each; 0 where there is none."""
    used = closure[short.index].astype(np.float64)
    valid = np.isfinite(used) & (np.abs(np.where(np.isfinite(used), used, 0.0)) < half_wavelength_m / 2)
    return np.where(valid, used, 0.0), short.span_yr[:, None] * valid


def _limit(scores: NDArray[np.float64], clusters: Index, information: NDArray[np.float64]) -> NDArray[np.float64]:
    """Three standard errors from scores (cluster, pixel); inf with fewer than 5 clusters."""
    limit = np.full(len(information), np.inf)
    enough = clusters >= FEWEST_CLUSTERS
    freedom = clusters[enough] - 1
    variance = (freedom + 1) / freedom * (scores[:, enough] ** 2).sum(axis=0) / information[enough] ** 2
    quantiles = stdtrit(np.arange(1, len(scores) + 1), 1 - THREE_SIGMA)
    limit[enough] = quantiles[freedom - 1] * np.sqrt(variance)
    return limit
