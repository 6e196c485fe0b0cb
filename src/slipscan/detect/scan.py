"""Scan a field for transients: the strongest cluster first, taken out, and again."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from slipscan.detect.cluster import Cluster, Rules, best_cluster
from slipscan.detect.statistic import Candidate, Field, amplitudes, candidates, templates
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid, pixel_area_km2
from slipscan.settings import DetectSettings

Float = NDArray[np.float64]

MAX_TRANSIENTS = 50
MERGE_GAP_D = 24.0
"""Two transients are one when the gap is shorter than this or than half the shorter duration (SCIENCE.md
section 10), and their footprints lie within the joining distance."""


@dataclass(frozen=True)
class Transient:
    """One transient of one track.

    Attributes
    ----------
    candidate
        its history
    statistic
        of the cluster
    amplitude
        (pixel,) total displacement, m, everywhere; NaN where there is no data
    footprint
        (pixel,) bool
    """

    candidate: Candidate
    statistic: float
    amplitude: Float
    footprint: NDArray[np.bool_]


def rules_of(settings: DetectSettings, grid: Grid) -> Rules:
    """The settings in pixels of a grid."""
    spacing_km = float(np.mean(grid.spacing)) / 1e3
    return Rules(
        pixel_threshold=settings.pixel_threshold,
        min_pixels=max(1, round(settings.min_area_km2 / pixel_area_km2(grid))),
        join_distance_px=settings.join_distance_km / spacing_km,
        join_correlation=settings.join_correlation,
    )


def scan(
    field: Field,
    time: NDArray[np.datetime64],
    segment: NDArray[np.integer] | None,
    grid: Grid,
    settings: DetectSettings,
    floor: float,
    at_most: int = MAX_TRANSIENTS,
) -> list[Transient]:
    """Every transient whose statistic reaches `floor`, strongest first.

    Parameters
    ----------
    field
        from `statistic.raw_field` or `denoised_field`; pixels in row-major order of the grid
    time, segment
        (time,)
    grid
        metric grid
    settings
        of detection
    floor
        smallest statistic that is kept
    at_most
        stop after so many

    Raises
    ------
    SlipscanError
        more than MAX_TRANSIENTS: the noise is not what was assumed
    """
    rules = rules_of(settings, grid)
    tried = candidates(time, settings.durations_d, settings.edge_epochs)
    shapes = templates(field, time, segment, tried, settings.edge_epochs)
    values = field.values.copy()
    area = pixel_area_km2(grid)
    found: list[Transient] = []
    for _ in range(MAX_TRANSIENTS):
        amplitude, statistic = amplitudes(replace(field, values=values), shapes.filters)
        best = _strongest(statistic, grid.shape, area, rules, values)
        if best is None or best[1].statistic < floor or len(found) == at_most:
            return found
        index, cluster = best
        footprint = np.zeros(values.shape[1], bool)
        footprint[cluster.pixels] = True
        new = Transient(
            tried[index],
            cluster.statistic,
            np.where(np.isfinite(field.std), amplitude[index], np.nan),
            footprint,
        )
        around = _within(footprint.reshape(grid.shape), rules.join_distance_px).ravel()
        if not any(_same(new, other, around) for other in found):
            found.append(new)
        taken_out = shapes.histories[:, [index]] * amplitude[index, around]
        values[:, around] -= np.where(field.valid[:, around], taken_out, 0.0)
    raise SlipscanError(
        f"more than {MAX_TRANSIENTS} transients above a statistic of {floor:.1f}: the noise model does not fit "
        "this stack; raise detect.pixel_threshold or check the stack for unwrapping errors"
    )


def _strongest(
    statistic: Float, shape: tuple[int, int], area: float, rules: Rules, values: Float
) -> tuple[int, Cluster] | None:
    """The candidate with the strongest cluster; a bound on the sum skips most candidates."""
    above = np.where(np.abs(statistic) >= rules.pixel_threshold, statistic**2, 0.0).sum(axis=1)
    best: tuple[int, Cluster] | None = None
    for index in np.argsort(-above, kind="stable"):
        if above[index] == 0 or (best is not None and area * above[index] <= best[1].statistic ** 2):
            break
        cluster = best_cluster(statistic[index].reshape(shape), area, rules, values)
        if cluster is not None and (best is None or cluster.statistic > best[1].statistic):
            best = int(index), cluster
    return best


def _within(mask: NDArray[np.bool_], distance_px: float) -> NDArray[np.bool_]:
    """Pixels within a distance of a mask."""
    return np.asarray(ndimage.distance_transform_edt(~mask) <= distance_px)


def _same(new: Transient, other: Transient, around: NDArray[np.bool_]) -> bool:
    """Whether a new transient is the rest of one already found."""
    a, b = new.candidate, other.candidate
    gap = max(a.start_d, b.start_d) - min(a.reached(1), b.reached(1))
    allowed = max(MERGE_GAP_D, min(a.duration_d, b.duration_d) / 2)
    return gap < allowed and bool((around & other.footprint).any())
