"""From maps of a statistic to clusters: connected pixels, lobes of both signs joined into one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

Float = NDArray[np.floating]

OVERLAP_INTERVALS = 4
"""Intervals within which the strongest response of a lobe lies from that of the cluster: beside an unknown rate and
season, events half a year apart look alike, but each is strongest at its own time."""
EIGHT_NEIGHBOURS = np.ones((3, 3), int)


@dataclass(frozen=True)
class Rules:
    """How pixels become clusters; see `DetectSettings`."""

    pixel_threshold: float
    min_pixels: int
    join_distance_px: float
    join_correlation: float


@dataclass(frozen=True)
class Cluster:
    """Pixels (flat indices) that belong together, and the statistic of the whole.

    The statistic is sqrt(sum of squares of the pixels' statistics x pixel area / area of a noise cell): the
    signal-to-noise ratio of the whole, since so many pixels share one independent value of the noise.
    """

    pixels: NDArray[np.intp]
    statistic: float


def label_lobes(statistic: Float, rules: Rules) -> list[NDArray[np.intp]]:
    """Connected pixels of one sign above the threshold, as flat indices, lobes of enough pixels only."""
    lobes: list[NDArray[np.intp]] = []
    for sign in (1, -1):
        labels, count = ndimage.label(sign * statistic >= rules.pixel_threshold, structure=EIGHT_NEIGHBOURS)
        if not count:
            continue
        flat = labels.ravel()
        order = np.argsort(flat, kind="stable")
        sizes = np.bincount(flat, minlength=count + 1)
        starts = np.concatenate([[0], np.cumsum(sizes)])
        lobes += [
            np.sort(order[starts[k] : starts[k + 1]]) for k in range(1, count + 1) if sizes[k] >= rules.min_pixels
        ]
    return lobes


def best_cluster(statistic: Float, cells_per_pixel: float, rules: Rules, responses: Float, at: int) -> Cluster | None:
    """The strongest cluster of one map.

    Parameters
    ----------
    statistic
        (y, x)
    cells_per_pixel
        pixel area over the area in which noise is correlated
    rules
        thresholds and joining
    responses
        (middle, pixel) the statistic for every middle of a ramp, for the histories of lobes: filtered in time, they
        tell more of a history than the series themselves
    at
        the row of `responses` that `statistic` is

    Returns
    -------
    Cluster or None
        lobes of either sign within the joining distance whose histories overlap in time and correlate, as one
    """
    lobes = label_lobes(statistic, rules)
    if not lobes:
        return None
    flat = statistic.ravel()
    strength = np.array([cells_per_pixel * float((flat[lobe] ** 2).sum()) for lobe in lobes])
    groups = _join(lobes, flat, statistic.shape, rules, responses, at)
    totals = np.array([strength[groups == g].sum() for g in range(groups.max() + 1)])
    best = int(np.argmax(totals))
    pixels = np.sort(np.concatenate([lobe for lobe, g in zip(lobes, groups, strict=True) if g == best]))
    return Cluster(pixels, float(np.sqrt(totals[best])))


def _join(
    lobes: list[NDArray[np.intp]], flat: Float, shape: tuple[int, ...], rules: Rules, responses: Float, at: int
) -> NDArray[np.intp]:
    """Group number of every lobe: near one another and with correlated (signed) histories."""
    n = len(lobes)
    if n == 1:
        return np.zeros(1, int)
    trees = [cKDTree(np.column_stack(np.unravel_index(lobe, shape))) for lobe in lobes]
    histories = np.stack([responses[:, lobe] @ flat[lobe] for lobe in lobes])
    norms = np.linalg.norm(histories, axis=1)
    in_time = np.abs(np.abs(histories).argmax(axis=1) - at) <= OVERLAP_INTERVALS
    pairs = []
    for i in range(n):
        for j in range(i + 1, n):
            correlation = histories[i] @ histories[j] / max(norms[i] * norms[j], 1e-300)
            if correlation < rules.join_correlation or not (in_time[i] and in_time[j]):
                continue
            near = trees[i].query(trees[j].data, distance_upper_bound=rules.join_distance_px + 1e-9)[0]
            if np.isfinite(near).any():
                pairs.append((i, j))
    rows, columns = np.array(pairs, int).reshape(-1, 2).T
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1])
