"""From maps of a statistic to clusters: connected pixels, lobes of both signs joined into one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

Float = NDArray[np.float64]

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

    The statistic is sqrt(sum of squares of the pixels' statistics x pixel area in km2): an integrated
    signal-to-noise ratio, in units that do not depend on the pixel size.
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


def best_cluster(statistic: Float, pixel_area_km2: float, rules: Rules, values: Float) -> Cluster | None:
    """The strongest cluster of one map.

    Parameters
    ----------
    statistic
        (y, x)
    pixel_area_km2
        area of a cell
    rules
        thresholds and joining
    values
        (time, pixel) the field, for the histories of lobes

    Returns
    -------
    Cluster or None
        lobes of either sign within the joining distance whose histories correlate, as one
    """
    lobes = label_lobes(statistic, rules)
    if not lobes:
        return None
    flat = statistic.ravel()
    strength = np.array([pixel_area_km2 * float((flat[lobe] ** 2).sum()) for lobe in lobes])
    groups = _join(lobes, flat, statistic.shape, rules, values)
    totals = np.array([strength[groups == g].sum() for g in range(groups.max() + 1)])
    best = int(np.argmax(totals))
    pixels = np.sort(np.concatenate([lobe for lobe, g in zip(lobes, groups, strict=True) if g == best]))
    return Cluster(pixels, float(np.sqrt(totals[best])))


def _join(
    lobes: list[NDArray[np.intp]], flat: Float, shape: tuple[int, ...], rules: Rules, values: Float
) -> NDArray[np.intp]:
    """Group number of every lobe: near one another and with correlated (signed) histories."""
    n = len(lobes)
    if n == 1:
        return np.zeros(1, int)
    trees = [cKDTree(np.column_stack(np.unravel_index(lobe, shape))) for lobe in lobes]
    histories = np.stack([values[:, lobe] @ flat[lobe] for lobe in lobes])
    histories -= histories.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(histories, axis=1)
    pairs = []
    for i in range(n):
        for j in range(i + 1, n):
            correlation = histories[i] @ histories[j] / max(norms[i] * norms[j], 1e-300)
            if correlation < rules.join_correlation:
                continue
            near = trees[i].query(trees[j].data, distance_upper_bound=rules.join_distance_px + 1e-9)[0]
            if np.isfinite(near).any():
                pairs.append((i, j))
    rows, columns = np.array(pairs, int).reshape(-1, 2).T
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1])
