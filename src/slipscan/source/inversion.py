"""Which rectangle of slip, or which volume source, makes the maps of a transient: all tracks together.

Non-linear least squares over position and shape from many starts; slip components (or volume change) and an
offset per track, since a map is relative to its reference area, are solved linearly inside (variable
projection, Golub & Pereyra 1973).

Points are weighted by `map_std`. This first version ignores that errors of a map are correlated in space; it
only counts `CORRELATED_POINTS` points as one where it weighs models against one another and against the weak
prior of a fault's shape. So it states no errors of the source.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import OptimizeResult, least_squares

from slipscan.source.projection import ASPECT, FaultProblem, Observations, VolumeProblem
from slipscan.source.sources import Float, Source

CORRELATED_POINTS = 10.0
"""Points of a map that count as one independent observation."""
MAX_DEPTH_TOP_KM, MAX_LENGTH_KM, MAX_WIDTH_KM = 30.0, 100.0, 50.0
MIN_DIP_DEG = 5.0
START_DEPTHS_TOP_KM = (0.0, 2.0, 5.0, 10.0)
START_DIPS_DEG = (85.0, 45.0, 20.0)
START_VOLUME_DEPTHS_KM = (1.5, 4.0, 8.0, 15.0)
STRIKE_NEIGHBOURHOOD_DEG = 20.0
SCAN_POINTS, SEARCH_POINTS, SEARCHES = 150, 300, 4


@dataclass(frozen=True)
class Inversion:
    """The best source of its kind.

    Attributes
    ----------
    source
        in the local frame of the observations
    criterion
        Bayesian information criterion, n ln(residual / n) + k ln n with n independent observations
    variance_explained
        by the source near the footprint, beyond one offset per track
    """

    source: Source
    criterion: float
    variance_explained: float


def invert_fault(
    points: Observations, poisson_ratio: float, size_km: float, fault_strike_deg: float | None
) -> Inversion:
    """Find the rectangle of uniform slip that explains the maps best.

    Parameters
    ----------
    points
        the maps of one event
    poisson_ratio
        of the half space
    size_km
        diameter of the footprint, a start for the fault's length
    fault_strike_deg
        strike of the region's main fault, tried first with its neighbours; None tries every direction
    """
    starts = _fault_starts(points, size_km, fault_strike_deg)
    e, n = starts[0, :2]
    reach = 20.0 + size_km
    lower = np.array([e - reach, n - reach, 0.0, -np.inf, MIN_DIP_DEG, 0.0, 0.0])
    upper = np.array(
        [e + reach, n + reach, MAX_DEPTH_TOP_KM, np.inf, 90.0, np.log(MAX_LENGTH_KM), np.log(MAX_WIDTH_KM)]
    )
    return _invert(FaultProblem, points, poisson_ratio, starts, (lower, upper))


def invert_volume(points: Observations, poisson_ratio: float, size_km: float) -> Inversion:
    """Find the Mogi source that explains the maps best; parameters as for `invert_fault`."""
    e, n = _centre_km(points)
    starts = np.array([[e, n, depth] for depth in START_VOLUME_DEPTHS_KM])
    reach = 20.0 + size_km
    bounds = (np.array([e - reach, n - reach, 0.3]), np.array([e + reach, n + reach, MAX_DEPTH_TOP_KM]))
    return _invert(VolumeProblem, points, poisson_ratio, starts, bounds)


def _centre_km(points: Observations) -> tuple[float, float]:
    """Where the maps' strength lies, offsets apart."""
    size = np.abs(points.value) * points.near
    for track in np.unique(points.track):
        own = points.track == track
        far = own & ~points.near
        size[own & points.near] = np.abs(
            points.value[own & points.near] - (np.median(points.value[far]) if far.any() else 0.0)
        )
    weight = size**2 / (size**2).sum() if (size > 0).any() else np.full(len(size), 1.0 / len(size))
    return float(weight @ points.east) / 1e3, float(weight @ points.north) / 1e3


def _fault_starts(points: Observations, size_km: float, fault_strike_deg: float | None) -> Float:
    """Starts (start, 7): depths x strikes x dips x sizes, all centred on the maps' strength."""
    e, n = _centre_km(points)
    if fault_strike_deg is None:
        strikes = [0.0, 45.0, 90.0, 135.0]
    else:
        strikes = [fault_strike_deg + d for d in (0.0, -STRIKE_NEIGHBOURHOOD_DEG, STRIKE_NEIGHBOURHOOD_DEG)]
    starts = []
    for top in START_DEPTHS_TOP_KM:
        for dip in START_DIPS_DEG:
            # A gentle dip has a direction: both strikes of a line are different faults.
            for strike in strikes + ([s + 180.0 for s in strikes] if dip < 80.0 else []):
                for length in (max(2.0, size_km), max(1.5, size_km / 2)):
                    length = min(length, 0.9 * MAX_LENGTH_KM)
                    width = min(max(1.1, length / ASPECT[0]), 0.9 * MAX_WIDTH_KM)
                    starts.append([e, n, top, strike, dip, np.log(length), np.log(width)])
    return np.array(starts)


def _invert(
    kind: type[FaultProblem] | type[VolumeProblem],
    points: Observations,
    poisson_ratio: float,
    starts: Float,
    bounds: tuple[Float, Float],
) -> Inversion:
    """Scan the starts, search from the best of them on fewer points, finish the best on all points."""
    scan = kind(points.thinned(SCAN_POINTS), poisson_ratio)
    cost = (scan.project(starts)[0] ** 2).sum(axis=1)
    search = kind(points.thinned(SEARCH_POINTS), poisson_ratio)
    found = [_search(search, starts[row], bounds, 15) for row in _distinct(starts, cost)]
    best = min(found, key=lambda result: float(result.cost))
    whole = kind(points, poisson_ratio)
    shape = np.asarray(_search(whole, best.x, bounds, 30).x)
    residual, linear = (array[0] for array in whole.project(shape[None]))
    independent = len(residual) / CORRELATED_POINTS
    parameters = len(shape) + len(linear)
    criterion = independent * np.log((residual**2).mean()) + parameters * np.log(independent)
    return Inversion(whole.source(shape, linear), float(criterion), _variance_explained(points, residual))


def _distinct(starts: Float, cost: Float) -> list[int]:
    """The best starts, one per strike and dip at most."""
    rows: list[int] = []
    seen: set[tuple[float, ...]] = set()
    for row in np.argsort(cost, kind="stable"):
        key = tuple(starts[row, 3:5]) if starts.shape[1] > 3 else tuple(starts[row])
        if key not in seen:
            seen.add(key)
            rows.append(int(row))
    return rows[:SEARCHES]


def _search(
    problem: FaultProblem | VolumeProblem, start: Float, bounds: tuple[Float, Float], evaluations: int
) -> OptimizeResult:
    """Bounded least squares (trust region) of one start, with differences of all parameters in one batch."""

    def residuals(shapes: Float) -> Float:
        both = [problem.project(shapes)[0] / np.sqrt(CORRELATED_POINTS), problem.prior(shapes)]
        return np.concatenate(both, axis=1)

    def jacobian(shape: Float) -> Float:
        # Steps turn inward where they would leave the bounds.
        steps = np.where(shape + problem.steps > bounds[1], -problem.steps, problem.steps)
        values = residuals(np.vstack([shape[None], shape[None] + np.diag(steps)]))
        return (values[1:] - values[0]).T / steps

    return least_squares(
        lambda shape: residuals(shape[None])[0], np.clip(start, *bounds), jacobian, bounds=bounds,
        x_scale=problem.scales, max_nfev=evaluations, ftol=1e-5, xtol=1e-5, gtol=1e-8,
    )  # fmt: skip


def _variance_explained(points: Observations, residual: Float) -> float:
    """One minus residual over variance about each track's mean, weighted, near the footprint."""
    before = after = 0.0
    for track in np.unique(points.track):
        own = points.near & (points.track == track)
        if not own.any():
            continue
        weight = 1.0 / points.std[own] ** 2
        mean = float(weight @ points.value[own] / weight.sum())
        before += float(weight @ (points.value[own] - mean) ** 2)
        after += float((residual[own] ** 2).sum())
    return max(0.0, 1.0 - after / before) if before > 0 else 0.0
