"""What is missing from a series: epochs that failed, gaps of months, and pixels that lost their coherence."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from slipscan.errors import SlipscanError
from slipscan.noise.simulate_checks import checked_shape
from slipscan.noise.simulate_surface import vegetation
from slipscan.noise.simulate_turbulence import TurbulenceSpectrum, turbulence

Bool = NDArray[np.bool_]

LONG_GAP_D = (24.0, 60.0)
"""Gaps in acquisition last so long."""
BLOB_M = 4e3
"""Outer scale of the blobs of lost pixels."""
_DAYS_PER_YEAR = 365.25


def missing_epochs(
    generator: np.random.Generator,
    days: ArrayLike,
    share: float = 0.1,
    long_gaps_yr: float = 0.0,
    long_gap_d: tuple[float, float] = LONG_GAP_D,
) -> Bool:
    """Which epochs of a schedule have no image (time,): single ones, and long gaps; never the first.

    Parameters
    ----------
    generator
        of random numbers
    days
        (time,) of the schedule
    share
        of epochs that fail one by one; 0.05-0.15 of Sentinel-1's
    long_gaps_yr
        expected number of long gaps a year
    long_gap_d
        shortest and longest of them, days

    Raises
    ------
    SlipscanError
        a share that is not in 0-1, a negative number of gaps, a longest gap below the shortest
    """
    if not 0 <= share < 1:
        raise SlipscanError(f"the share of missing epochs is {share}: give 0 or more and less than 1")
    if long_gaps_yr < 0 or not 0 < long_gap_d[0] <= long_gap_d[1]:
        raise SlipscanError(
            f"{long_gaps_yr} gaps a year of {long_gap_d} days cannot be: give 0 or more, and the shorter first"
        )
    t = np.asarray(days, dtype=float)
    missing = generator.random(len(t)) < share
    for _ in range(generator.poisson(long_gaps_yr * np.ptp(t) / _DAYS_PER_YEAR) if len(t) else 0):
        start = generator.uniform(t[0], t[-1])
        missing |= (t > start) & (t < start + generator.uniform(*long_gap_d))
    missing[:1] = False
    return missing


def missing_pixels(
    generator: np.random.Generator,
    shape: tuple[int, int, int],
    pixel_m: float | tuple[float, float],
    share: float = 0.1,
    epoch_share: float = 0.0,
    coherence: NDArray[np.floating] | None = None,
) -> Bool:
    """Which pixels of a series have no data (time, y, x): blobs that are never seen, others for an epoch.

    Parameters
    ----------
    generator
        of random numbers
    shape
        (time, y, x)
    pixel_m
        cell size, or height and width of a cell
    share
        of pixels that no epoch has: below 0.1 in arid land, 0.4-0.8 in vegetation; exact to a pixel
    epoch_share
        mean share of the remaining pixels that an epoch loses, uniform from 0 to twice that
    coherence
        (y, x): pixels of low coherence are lost first; None = random blobs

    Raises
    ------
    SlipscanError
        shares that are not in 0-1 (0-0.5 for `epoch_share`), an empty shape, arrays that do not match
    """
    if not (0 <= share < 1 and 0 <= epoch_share <= 0.5):
        raise SlipscanError(
            f"the shares of missing pixels are {share} and {epoch_share} per epoch: give 0 to 1 and 0 to 0.5"
        )
    scene = checked_shape(shape[1:])
    blobs = TurbulenceSpectrum(outer_scale_m=BLOB_M)
    weakness = turbulence(generator, scene, pixel_m, 1, blobs)[0]
    if coherence is not None:
        if coherence.shape != scene:
            raise SlipscanError(f"the coherence has shape {coherence.shape}, the scene {scene}: they must be equal")
        weakness = np.float32(0.3) * weakness + np.float32(3) * vegetation(coherence) - np.float32(3) * coherence
    missing = np.repeat((_rank(weakness) >= 1 - share)[None], shape[0], axis=0)
    if epoch_share > 0:
        shares = generator.uniform(0, 2 * epoch_share, shape[0])
        fields = turbulence(generator, scene, pixel_m, shape[0], blobs) + weakness
        for lost, field, part in zip(missing, fields, shares, strict=True):
            kept = ~lost
            lost[kept] = _rank(field[kept]) >= 1 - part
    return missing


def _rank(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Share of the values below each, 0 to (n-1)/n, same shape."""
    order = np.argsort(values, axis=None, kind="stable")
    rank = np.empty(values.size)
    rank[order] = np.arange(values.size) / values.size
    return rank.reshape(values.shape)
