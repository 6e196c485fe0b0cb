"""The displacement stack: interferograms referenced, joined, projected, screened and inverted, tile by tile.

Memory does not grow with the stack. Each thread holds one tile: at most 32 MB of interferograms, and about eight times
as much while a part of them is read and solved. The results wait in files (`outofcore.scratch_arrays`), from which
the store is written shard by shard.
"""

from __future__ import annotations

import logging
import math
import threading
from functools import partial

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from slipscan.errors import SlipscanError
from slipscan.geometry import write_grid
from slipscan.outofcore import Empty, release
from slipscan.settings import TimeseriesSettings
from slipscan.timeseries.closure import ClosureSummary
from slipscan.timeseries.grid import inside, project_geometry, tiles
from slipscan.timeseries.memory import ARRAYS, Found, Memory
from slipscan.timeseries.opened import Window
from slipscan.timeseries.patches import without_patches
from slipscan.timeseries.plan import NOTHING_KNOWN, Plan, make_plan
from slipscan.timeseries.region import region_polygon, where
from slipscan.timeseries.results import as_variable
from slipscan.timeseries.settled import Border
from slipscan.timeseries.tile import SETTLED, Counts, Maps, invert_tile
from slipscan.timeseries.update import DisagreementError, update_tile
from slipscan.timeseries.updating import known_of, meta_of, settled_border, window_of
from slipscan.workers import in_order

log = logging.getLogger(__name__)

Tile = tuple[slice, slice]


def stack_from_interferograms(
    dataset: xr.Dataset,
    settings: TimeseriesSettings,
    empty: Empty = np.zeros,
    threads: int = 1,
    memory: Memory | None = None,
    found: Found | None = None,
) -> xr.Dataset:
    """Invert the interferograms of a track to a displacement stack.

    Parameters
    ----------
    dataset
        product 'interferograms' on its native grid, lazily opened or in memory
    settings
        of the stage
    empty
        makes the arrays that hold the series
    threads
        tiles that are worked on at once; the result is the same to the byte
    memory
        where to keep what updates need; None: nowhere
    found
        what an earlier run has kept of the first interferograms: they are not read again, and the series equals that
        of all interferograms to a thousandth of its standard deviation

    Returns
    -------
    stack
        product 'stack' on the region's UTM grid, its series lazy where `empty` makes files; NaN outside the region's
        polygon (line of sight and height stay complete). Attributes are carried over; those of `_attributes` are
        added, and interferograms_left_out: those without a reference.

    Raises
    ------
    SlipscanError
        disconnected network, too few valid pixels in the reference area, no valid pixel
    """
    # One thread for every product: the library's results depend on their number.
    with threadpool_limits(1, "blas"):
        plan = make_plan(dataset, settings, threads, NOTHING_KNOWN if found is None else known_of(found))
        maps, counts = _updated_or_kept(plan, dataset, empty, threads, memory, found)
    _check_counts(dataset, settings, counts)
    mended = without_patches(maps["displacement"], settings)
    return _stack_of(plan, dataset, maps, counts).assign_attrs(mended)


def _stack_of(plan: Plan, dataset: xr.Dataset, maps: Maps, counts: Counts) -> xr.Dataset:
    """The product of a track's maps, and of its geometry."""
    out = xr.Dataset(attrs=dict(dataset.attrs))
    for name, values in sorted(maps.items()):
        out[name] = as_variable(values)
    out = out.assign_coords(
        time=plan.network.dates, reference_time=plan.network.dates[0], segment=("time", plan.segment)
    )
    for name, values in project_geometry(dataset, plan.native, plan.target, plan.resampling).items():
        out[name] = (("y", "x"), values)
    out.attrs |= _attributes(plan, counts)
    out.attrs["interferograms_left_out"] = dataset.sizes["pair"] - plan.dataset.sizes["pair"]
    log.info(
        "%d of %d pixels of the region hold a series of %d epochs", counts.kept, counts.inside, len(plan.network.dates)
    )
    return write_grid(out, plan.target)


def _updated_or_kept(
    plan: Plan, dataset: xr.Dataset, empty: Empty, threads: int, memory: Memory | None, found: Found | None
) -> tuple[Maps, Counts]:
    """Invert what is new with what is kept; or all tiles, and keep what the next update needs."""
    window = None if found is None else window_of(plan, found)
    if window is not None:
        return _invert(plan, empty, threads, window, None)
    kept = None if memory is None else settled_border(plan, dataset)
    if memory is None or kept is None:
        return _invert(plan, empty, threads, None, None)
    maps, counts = _invert(plan, empty, threads, None, kept.border)
    arrays = {name: maps.pop(f"{SETTLED}{name}") for name in ARRAYS}
    if counts.kept:
        memory.save(kept.groups, arrays, meta_of(plan, kept))
    return maps, counts


def _invert(
    plan: Plan, empty: Empty, threads: int, window: Window | None, border: Border | None
) -> tuple[Maps, Counts]:
    """Invert all tiles into whole arrays."""
    polygon_mask = inside(region_polygon(plan.dataset), plan.target)
    counts = Counts(ClosureSummary(1e-3 * plan.settings.closure_error_mm))
    maps: Maps = {}
    lock = threading.Lock()

    def written(result: tuple[Tile, Maps, Counts]) -> Counts:
        tile, part, part_counts = result
        for name, values in part.items():
            with lock:
                if name not in maps:
                    maps[name] = empty((*values.shape[:-2], *plan.target.shape), values.dtype.type)
            maps[name][(..., *tile)] = values
            if name.startswith(SETTLED):
                release(maps[name])
        return part_counts

    work = partial(_tile, plan, polygon_mask, window, border)
    for part_counts in in_order(work, tiles(plan.target.shape, plan.side), threads, "invert tiles", written):
        counts.merge(part_counts)
    return maps, counts


def _tile(
    plan: Plan, polygon_mask: NDArray[np.bool_], window: Window | None, border: Border | None, tile: Tile
) -> tuple[Tile, Maps, Counts]:
    """One tile, inverted, and where it lies."""
    if window is not None:
        try:
            return tile, *update_tile(plan, window, tile, polygon_mask[tile])
        except (DisagreementError, SlipscanError) as reason:
            log.info("rows %d to %d, columns %d to %d are inverted in full: %s", *_ends(tile), reason)
    return tile, *invert_tile(plan, *tile, polygon_mask[tile], border)


def _ends(tile: Tile) -> list[int]:
    """First and last rows and columns."""
    return [number for part in tile for number in (part.start, part.stop - 1)]


def _attributes(plan: Plan, counts: Counts) -> dict[str, float | int]:
    """Numbers of the inversion for the product; what they say goes into the log.

    - closure_rms_m, closure_triplets, closure_error_share: triplets before anything is screened; the share misclosed by
      more than closure_error_mm
    - components_*: see `components.solve_offsets`
    - unwrapping_error_pixel_share, unwrapping_masked_share, unwrapping_corrected_share: pixels with a triplet that
      misclosed by whole cycles; interferogram pixels masked and corrected for it
    - phase_bias_rms_m_yr, phase_bias_masked_share: RMS of the map; share of otherwise good pixels masked for it
    - misclosure_rms_m: RMS residual of the inversion
    - chain_lost_share: share of the pixels with a series that have interferograms which do not connect with its start
    """
    out: dict[str, float | int] = counts.closure.attributes(len(plan.triangles))
    if plan.components is not None:
        out |= plan.components.attributes
    out |= counts.unwrapping.attributes()
    if counts.bias_pixels:
        out["phase_bias_rms_m_yr"] = math.sqrt(counts.bias_squares / counts.bias_pixels)
        out["phase_bias_masked_share"] = counts.biased / max(counts.biased + counts.kept, 1)
        log.info(
            "phase bias of short pairs: RMS %.2f mm/yr; %.2f %% of the pixels masked for it",
            1e3 * out["phase_bias_rms_m_yr"],
            100 * out["phase_bias_masked_share"],
        )
    if counts.residuals:
        out["misclosure_rms_m"] = math.sqrt(counts.squares / counts.residuals)
        log.info("misclosure of the inversion: RMS %.2f mm", 1e3 * out["misclosure_rms_m"])
    out["chain_lost_share"] = counts.chain_lost / max(counts.kept, 1)
    if counts.chain_lost:
        log.info(
            "%.2f %% of the pixels lose epochs that their interferograms do not connect with the first",
            100 * out["chain_lost_share"],
        )
    return out


def _check_counts(dataset: xr.Dataset, settings: TimeseriesSettings, counts: Counts) -> None:
    """Refuse a stack without a valid pixel; say which mask took the last ones."""
    if counts.kept:
        return
    if counts.biased:
        reason = (
            f"all good ones have a phase bias over timeseries.max_phase_bias_mm_yr = {settings.max_phase_bias_mm_yr}"
        )
    elif counts.enough_pairs:
        reason = f"all are below timeseries.min_temporal_coherence = {settings.min_temporal_coherence:g}"
    else:
        reason = (
            f"none has data in {settings.min_pair_fraction:.0%} of the interferograms (timeseries.min_pair_fraction) at"
            f" a coherence of {settings.min_coherence:g} (timeseries.min_coherence), unwrapping errors"
            f" {counts.unwrapping.masked} times masked (timeseries.unwrapping_errors)"
        )
    raise SlipscanError(
        f"{where(dataset)} has no valid pixel: of {counts.inside} in the region's polygon {reason}; lower that setting,"
        " or check the data"
    )
