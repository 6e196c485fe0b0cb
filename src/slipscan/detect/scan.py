"""Scan a field for transients: the strongest cluster first, taken out, and again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from slipscan import seriesmodel
from slipscan.detect.cluster import Cluster, Rules, best_cluster
from slipscan.detect.history import refine
from slipscan.detect.statistic import (
    Candidate,
    Field,
    amplitudes,
    candidates,
    model_matrix,
    projected_out,
    ramps,
)
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid
from slipscan.metric import pixel_area_km2
from slipscan.settings import DetectSettings

Float = NDArray[np.float64]

MAX_TRANSIENTS = 50
MERGE_GAP_D = 24.0
"""Two transients are one when the gap is shorter than this or than half the shorter duration (SCIENCE.md
section 10), and their footprints lie within the joining distance."""


@dataclass(frozen=True)
class Transient:
    """One transient of one track: its history, the statistic of its cluster, and its footprint, (pixel,) bool."""

    candidate: Candidate
    statistic: float
    footprint: NDArray[np.bool_]


@dataclass(frozen=True)
class Scan:
    """Transients, strongest first, and the fields after all of them were taken out."""

    found: list[Transient]
    left: list[Field]


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
    fields: Sequence[Field],
    time: NDArray[np.datetime64],
    segment: NDArray[np.integer] | None,
    grid: Grid,
    settings: DetectSettings,
    floor: float,
    at_most: int = MAX_TRANSIENTS,
) -> Scan:
    """Every transient whose statistic reaches `floor`, strongest first, and what is left without them.

    A transient that was found is estimated beside rate and season around it from then on (orthogonal matching pursuit),
    since its misfit would else be found next.

    Parameters
    ----------
    fields
        the bands of a track's displacement; pixels in row-major order of the grid
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
    series = Series(time, segment)
    near = np.zeros((grid.shape[0] * grid.shape[1], 0), bool)
    found: list[Transient] = []
    taken: list[Candidate] = []
    left = list(fields)
    for _ in range(MAX_TRANSIENTS):
        if len(found) == at_most:
            return Scan(found, left)
        statistics = [_statistics(field, tried, taken, near, series) for field in left]
        best = _strongest(statistics, left, tried, grid, rules)
        if best is None or best.cluster.statistic < floor:
            return Scan(found, left)
        footprint = np.zeros(len(near), bool)
        footprint[best.cluster.pixels] = True
        candidate = tried[best.index] if at_most == 1 else _refined(left[best.field], statistics, best, tried, series)
        new = Transient(candidate, best.cluster.statistic, footprint)
        around = _within(footprint.reshape(grid.shape), rules.join_distance_px).ravel()
        if not any(_same(new, other, around) for other in found):
            found.append(new)
        taken.append(new.candidate)
        near = np.column_stack([near, around])
        left = [_refitted(field, taken, near, series) for field in fields]
    raise SlipscanError(
        f"more than {MAX_TRANSIENTS} transients above a statistic of {floor:.1f}: the noise model does not fit "
        "this stack; raise detect.pixel_threshold or check the stack for unwrapping errors"
    )


@dataclass(frozen=True)
class Series:
    """The epochs of a scan."""

    time: NDArray[np.datetime64]
    segment: NDArray[np.integer] | None


def _groups(taken: Sequence[Candidate], near: NDArray[np.bool_]) -> list[tuple[NDArray[np.intp], list[Candidate]]]:
    """Pixels by which of the transients found so far are near them."""
    combinations, inverse = np.unique(near, axis=0, return_inverse=True)
    return [
        (np.flatnonzero(inverse.ravel() == number), [c for c, is_near in zip(taken, row, strict=True) if is_near])
        for number, row in enumerate(combinations)
    ]


def _statistics(
    field: Field, tried: Sequence[Candidate], taken: Sequence[Candidate], near: NDArray[np.bool_], series: Series
) -> NDArray[np.float32]:
    """The statistic of every candidate, beside rate, season and the transients near a pixel, (candidate, pixel)."""
    columns = ramps(series.time, tried)
    out = np.zeros((len(tried), len(near)), np.float32)
    for pixels, beside in _groups(taken, near):
        matrix = model_matrix(series.time, series.segment, beside)
        part = replace(
            field, values=field.values[:, pixels], std=field.std[pixels], parameters=field.parameters[pixels]
        )
        out[:, pixels] = amplitudes(part, projected_out(columns, matrix, field.weight))[1]
    return out


def _refitted(field: Field, taken: Sequence[Candidate], near: NDArray[np.bool_], series: Series) -> Field:
    """A field less the transients near its pixels, estimated jointly with rate and season."""
    values = field.values.copy()
    parameters = field.parameters.copy()
    for pixels, beside in _groups(taken, near):
        if beside:
            matrix = model_matrix(series.time, series.segment, beside)
            fitted = seriesmodel.fit(matrix, values[:, pixels], field.weight)
            values[:, pixels] -= matrix @ fitted
            parameters[pixels] = matrix.shape[1]
    return replace(field, values=values, parameters=parameters)


@dataclass(frozen=True)
class Best:
    """The strongest cluster: in which field, at which candidate."""

    field: int
    index: int
    cluster: Cluster


def _strongest(
    statistics: Sequence[NDArray[np.float32]],
    fields: Sequence[Field],
    tried: Sequence[Candidate],
    grid: Grid,
    rules: Rules,
) -> Best | None:
    """The strongest cluster of any candidate in any field; a bound on the sum skips most of them."""
    above = np.stack([np.where(np.abs(s) >= rules.pixel_threshold, s**2, 0.0).sum(axis=1) for s in statistics])
    cells = np.array([pixel_area_km2(grid) / field.cell_km2 for field in fields])
    bound = above * cells[:, None]
    durations = np.array([candidate.duration_d for candidate in tried])
    best: Best | None = None
    for flat in np.argsort(-bound, axis=None, kind="stable"):
        number, index = (int(i) for i in np.unravel_index(flat, bound.shape))
        so_far = best.cluster.statistic if best is not None else 0.0
        if bound[number, index] <= so_far**2:
            break
        alike = np.flatnonzero(durations == durations[index])
        responses = statistics[number][alike]
        at = int(np.searchsorted(alike, index))
        cluster = best_cluster(
            statistics[number][index].reshape(grid.shape), float(cells[number]), rules, responses, at
        )
        if cluster is not None and cluster.statistic > so_far:
            best = Best(number, index, cluster)
    return best


def _refined(
    field: Field, statistics: Sequence[NDArray[np.float32]], best: Best, tried: Sequence[Candidate], series: Series
) -> Candidate:
    """The ramp that fits the cluster's own series best, finer than the candidates that were tried."""
    pixels = best.cluster.pixels
    weight = statistics[best.field][best.index, pixels].astype(float)
    values = field.values[:, pixels]
    valid = np.isfinite(values)
    information = valid @ weight**2
    total = np.where(valid, values, 0.0) @ weight
    projected = np.where(information > 0, total / np.where(information > 0, information, 1.0), np.nan)
    shape = projected_out(
        ramps(series.time, [tried[best.index]]), model_matrix(series.time, series.segment, []), field.weight
    )[:, 0]
    scale = np.nansum(shape * field.weight * projected) / np.nansum(shape**2 * field.weight)
    return refine(projected / scale, series.time, series.segment, tried[best.index]) if scale > 0 else tried[best.index]


def _within(mask: NDArray[np.bool_], distance_px: float) -> NDArray[np.bool_]:
    """Pixels within a distance of a mask."""
    return np.asarray(ndimage.distance_transform_edt(~mask) <= distance_px)


def _same(new: Transient, other: Transient, around: NDArray[np.bool_]) -> bool:
    """Whether a new transient is the rest of one already found."""
    a, b = new.candidate, other.candidate
    gap = max(a.start_d, b.start_d) - min(a.reached(1), b.reached(1))
    allowed = max(MERGE_GAP_D, min(a.duration_d, b.duration_d) / 2)
    return gap < allowed and bool((around & other.footprint).any())
