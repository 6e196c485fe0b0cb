"""The displacement stack: interferograms referenced, projected, inverted and masked, block by block."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from rasterio.warp import Resampling

from slipscan.errors import SlipscanError
from slipscan.geometry import Grid, read_grid, write_grid
from slipscan.progress import progress
from slipscan.settings import TimeseriesSettings
from slipscan.timeseries.closure import ClosureSummary
from slipscan.timeseries.grid import (
    choose_resampling,
    inside,
    project,
    project_geometry,
    row_blocks,
    rows_of,
    source_rows,
    target_grid,
)
from slipscan.timeseries.inversion import invert, temporal_coherence, weight_of_coherence
from slipscan.timeseries.network import Index, Network, build_network, segments, triangles
from slipscan.timeseries.reference import reference_area, reference_offsets
from slipscan.timeseries.region import reference_point, region_polygon, where
from slipscan.vocabulary import RADAR_WAVELENGTH_M

log = logging.getLogger(__name__)

BLOCK_VALUES = 2**23
"""Values (pair x row x column) in one block, on the finer of the native and the target grid."""
PAIRS_AT_ONCE = 64
"""Interferograms that are referenced in one reading: a chunk of the store."""


@dataclass(frozen=True)
class Plan:
    """What the blocks of one stack share."""

    dataset: xr.Dataset
    settings: TimeseriesSettings
    network: Network
    segment: NDArray[np.int64]
    triangles: Index
    offset: NDArray[np.float64]
    weight: NDArray[np.float64]
    native: Grid
    target: Grid
    resampling: Resampling
    wavelength: float


@dataclass
class Counts:
    """Pixels left after every mask, and the misclosure of those that stay."""

    inside: int = 0
    enough_pairs: int = 0
    kept: int = 0
    closure: ClosureSummary = field(default_factory=lambda: ClosureSummary(0.0))
    squares: float = 0.0
    residuals: int = 0


def stack_from_interferograms(dataset: xr.Dataset, settings: TimeseriesSettings) -> xr.Dataset:
    """Invert the interferograms of a track to a displacement stack.

    Parameters
    ----------
    dataset
        product 'interferograms' on its native grid, lazily opened or in memory
    settings
        of the stage

    Returns
    -------
    stack
        product 'stack' on the region's UTM grid; NaN outside the region's polygon (line of sight and height stay
        complete). Attributes are carried over; closure_rms_m, closure_triplets, closure_error_share (share of triplet
        pixels over closure_error_mm) and misclosure_rms_m (RMS residual of the inversion) are added.

    Raises
    ------
    SlipscanError
        disconnected network, too few valid pixels in the reference area, no valid pixel
    """
    plan = _plan(dataset, settings)
    polygon_mask = inside(region_polygon(dataset), plan.target)
    counts = Counts(closure=ClosureSummary(1e-3 * settings.closure_error_mm))
    shape = plan.target.shape
    times = len(plan.network.dates)
    maps = {
        name: np.full(((times,) if name in ("displacement", "inversion_std") else ()) + shape, np.nan, np.float32)
        for name in ("displacement", "inversion_std", "temporal_coherence", "closure_rms")
    }
    for rows in progress(_blocks(plan), "invert blocks of rows"):
        _invert_block(plan, rows, polygon_mask[rows], maps, counts)
    _check_counts(dataset, settings, counts)

    dims = {2: ("y", "x"), 3: ("time", "y", "x")}
    out = xr.Dataset({name: (dims[values.ndim], values) for name, values in maps.items()}, attrs=dict(dataset.attrs))
    out = out.assign_coords(
        time=plan.network.dates, reference_time=plan.network.dates[0], segment=("time", plan.segment)
    )
    for name, values in project_geometry(dataset, plan.native, plan.target, plan.resampling).items():
        out[name] = (("y", "x"), values)
    out.attrs |= counts.closure.attributes(len(plan.triangles))
    if counts.residuals:
        out.attrs["misclosure_rms_m"] = float(np.sqrt(counts.squares / counts.residuals))
        log.info("misclosure of the inversion: RMS %.2f mm", 1e3 * out.attrs["misclosure_rms_m"])
    log.info("%d of %d pixels of the region hold a series of %d epochs", counts.kept, counts.inside, times)
    return write_grid(out, plan.target)


def _plan(dataset: xr.Dataset, settings: TimeseriesSettings) -> Plan:
    """Prepare what all blocks share: network, offsets, weights and grids."""
    network = build_network(dataset["reference_date"].values, dataset["secondary_date"].values)
    segment = segments(network, settings.disconnected, where(dataset))
    if segment.max() > 0:
        log.warning("the network falls into %d parts: each has an offset of its own", segment.max() + 1)
    if "coherence" not in dataset and (settings.min_coherence > 0 or settings.weights == "coherence"):
        log.warning("the input has no coherence: no mask of incoherent pixels, uniform weights")
    native = read_grid(dataset, where(dataset))
    target = target_grid(native, region_polygon(dataset), settings.pixel_m)
    resampling = choose_resampling(native, settings.pixel_m)
    log.info("projected by '%s' to %d x %d pixels of %g m", resampling.name, *target.shape, settings.pixel_m)
    offset, weight = _offsets_and_weights(dataset, network, native, settings)
    if "radar_wavelength_m" not in dataset.attrs:
        log.warning("the input has no attribute radar_wavelength_m: Sentinel-1's is taken")
    return Plan(
        dataset=dataset,
        settings=settings,
        network=network,
        segment=segment,
        triangles=triangles(network),
        offset=offset,
        weight=weight,
        native=native,
        target=target,
        resampling=resampling,
        wavelength=float(dataset.attrs.get("radar_wavelength_m", RADAR_WAVELENGTH_M)),
    )


def _offsets_and_weights(
    dataset: xr.Dataset, network: Network, native: Grid, settings: TimeseriesSettings
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the reference's median and the weight of every interferogram, (pair,) each, from native pixels."""
    count = len(network.reference)
    offset, coherence = np.zeros(count), np.ones(count)
    point = reference_point(dataset)
    area = None if point is None else reference_area(native, *point, settings.reference_radius_m)
    weighted = settings.weights == "coherence" and "coherence" in dataset
    for start in range(0, count, PAIRS_AT_ONCE):
        pairs = slice(start, min(start + PAIRS_AT_ONCE, count))
        values = _masked(dataset.isel(pair=pairs), settings.min_coherence)
        if area is not None:
            offset[pairs] = reference_offsets(
                values,
                area,
                settings.min_reference_pixels,
                [f"the interferogram {network.name(pair)} of {where(dataset)}" for pair in range(count)[pairs]],
            )
        if weighted:
            layers = zip(dataset["coherence"].isel(pair=pairs).values, np.isfinite(values), strict=True)
            coherence[pairs] = [np.median(layer[valid]) if valid.any() else 0.0 for layer, valid in layers]
    return offset, weight_of_coherence(coherence) if weighted else np.ones(count)


def _masked(dataset: xr.Dataset, min_coherence: float) -> NDArray[np.float32]:
    """Read interferograms, (pair, y, x) m; NaN where the coherence is below the minimum, or unknown."""
    values = np.array(dataset["interferogram"].values, np.float32)
    if "coherence" in dataset and min_coherence > 0:
        values[~(dataset["coherence"].values >= min_coherence)] = np.nan
    return values


def _blocks(plan: Plan) -> list[slice]:
    """Divide the target's rows so that a block's values fit in memory."""
    finer = max(1.0, len(plan.native.y) / len(plan.target.y)) * max(len(plan.native.x), len(plan.target.x))
    return row_blocks(len(plan.target.y), int(BLOCK_VALUES / (len(plan.network.reference) * finer)))


def _observed(plan: Plan, rows: slice, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Masked, referenced and projected interferograms of a block's pixels within the region, (pair, pixel) m."""
    block = rows_of(plan.target, rows)
    window = source_rows(plan.native, block)
    if window.start == window.stop:
        return np.full((len(plan.offset), int(mask.sum())), np.nan)
    values = _masked(plan.dataset.isel(y=window), plan.settings.min_coherence)
    projected = project(values, rows_of(plan.native, window), block, plan.resampling)
    return projected[:, mask].astype(np.float64) - plan.offset[:, None]


def _invert_block(
    plan: Plan, rows: slice, mask: NDArray[np.bool_], maps: dict[str, NDArray[np.float32]], counts: Counts
) -> None:
    """Invert one block of rows into the maps."""
    settings = plan.settings
    observed = _observed(plan, rows, mask)
    y, x = np.nonzero(mask)
    y += rows.start
    maps["closure_rms"][y, x] = counts.closure.add(observed, plan.triangles)
    enough = np.isfinite(observed).mean(axis=0) >= settings.min_pair_fraction - 1e-9
    observed, y, x = observed[:, enough], y[enough], x[enough]
    counts.inside += int(mask.sum())
    counts.enough_pairs += len(y)

    solution = invert(plan.network, plan.segment, observed, plan.weight)
    agreement = temporal_coherence(solution.residual, plan.wavelength)
    maps["temporal_coherence"][y, x] = agreement
    keep = agreement >= settings.min_temporal_coherence
    maps["displacement"][:, y[keep], x[keep]] = solution.displacement[:, keep]
    maps["inversion_std"][:, y[keep], x[keep]] = solution.std[:, keep]
    residual = solution.residual[:, keep]
    counts.kept += int(keep.sum())
    counts.squares += float(np.nansum(residual**2))
    counts.residuals += int(np.isfinite(residual).sum())


def _check_counts(dataset: xr.Dataset, settings: TimeseriesSettings, counts: Counts) -> None:
    """Refuse a stack without a valid pixel; say which mask took the last ones."""
    if counts.kept:
        return
    if counts.enough_pairs:
        reason = f"all are below timeseries.min_temporal_coherence = {settings.min_temporal_coherence:g}"
    else:
        reason = (
            f"none has data in {settings.min_pair_fraction:.0%} of the interferograms (timeseries.min_pair_fraction) at"
            f" a coherence of {settings.min_coherence:g} (timeseries.min_coherence)"
        )
    raise SlipscanError(
        f"{where(dataset)} has no valid pixel: of {counts.inside} in the region's polygon {reason}; lower that setting,"
        " or check the data"
    )
