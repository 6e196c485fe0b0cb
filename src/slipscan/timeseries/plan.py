"""What all tiles of a stack share: network, grids, reference, components and weights."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from rasterio.warp import Resampling

from slipscan.geometry import Grid, read_grid
from slipscan.settings import TimeseriesSettings
from slipscan.timeseries.components import ComponentOffsets, Overlaps, solve_offsets
from slipscan.timeseries.elimination import Elimination, eliminate
from slipscan.timeseries.grid import choose_resampling, target_grid
from slipscan.timeseries.network import Index, Network, build_network, segments, triangles
from slipscan.timeseries.overlaps import KnownOverlaps, overlaps_of
from slipscan.timeseries.phase_bias import ShortTriplets, short_triplets
from slipscan.timeseries.reading import labels, masked, pair_groups, tile_side, window
from slipscan.timeseries.reference import check_most, reference_area, reference_medians
from slipscan.timeseries.region import number, reference_point, region_polygon, where
from slipscan.timeseries.weights import median_coherence, weights_of
from slipscan.vocabulary import RADAR_WAVELENGTH_M

log = logging.getLogger(__name__)

WAVELENGTHS_M = (0.02, 0.3)
"""From X to L band."""


@dataclass(frozen=True)
class Known:
    """What is known of the first interferograms of a dataset.

    Attributes
    ----------
    offset, valid
        (interferogram,) median of the reference area, m (NaN: too few pixels), and its valid pixels
    main
        (interferogram,) connected component that holds the reference; None where components are not joined
    coherence
        (pair,) median, of those that have a reference
    overlaps
        of their components; None: all are counted
    """

    offset: NDArray[np.float64]
    valid: Index
    main: NDArray[np.intp] | None
    coherence: NDArray[np.float64]
    overlaps: KnownOverlaps | None


NOTHING_KNOWN = Known(np.empty(0), np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0), None)


@dataclass(frozen=True)
class Plan:
    """What the tiles of one stack share.

    Attributes
    ----------
    offset, weight, coherence
        (pair,) median of the reference area, m; weight of the inversion; median coherence, NaN where it is unknown
    left_in
        (interferogram of the dataset,) whether it is among the pairs
    known
        what was found of the interferograms of the dataset
    components, overlaps
        offsets of connected components, and what they were solved from; None where there are none, or they are ignored
    side
        of a tile, target pixels
    wavelength
        of the radar, m
    """

    dataset: xr.Dataset
    settings: TimeseriesSettings
    network: Network
    segment: NDArray[np.int64]
    triangles: Index
    short: ShortTriplets
    pattern: Elimination
    offset: NDArray[np.float64]
    weight: NDArray[np.float64]
    coherence: NDArray[np.float64]
    left_in: NDArray[np.bool_]
    known: Known
    components: ComponentOffsets | None
    overlaps: Overlaps | None
    native: Grid
    target: Grid
    resampling: Resampling
    side: int
    wavelength: float


def make_plan(
    dataset: xr.Dataset, settings: TimeseriesSettings, threads: int = 1, known: Known = NOTHING_KNOWN
) -> Plan:
    """Prepare what all tiles share; of interferograms that are known nothing is read.

    Raises
    ------
    SlipscanError
        disconnected network, too few valid pixels in the reference area
    """
    native = read_grid(dataset, where(dataset))
    dataset, network, everything, main = _referenced(dataset, native, settings, known)
    left_in = np.isfinite(everything.offset)
    offset = everything.offset[left_in]
    coherence = median_coherence(dataset, native, settings, known.coherence)
    segment = segments(network, settings.disconnected, where(dataset))
    _say_what_lacks(dataset, segment, settings)
    wavelength = _wavelength(dataset)
    target = target_grid(native, region_polygon(dataset), settings.pixel_m)
    resampling = choose_resampling(native, settings.pixel_m)
    log.info("projected by '%s' to %d x %d pixels of %g m", resampling.name, *target.shape, settings.pixel_m)
    closed = triangles(network)
    components, overlaps = None, None
    if main is not None:
        overlaps = overlaps_of(dataset, settings, offset, main, closed, wavelength / 2, threads, known.overlaps)
        components = solve_offsets(overlaps, main, closed, wavelength / 2)
    if reference_point(dataset) is None:
        settings = _without_reference(settings)
    ratio = max(1.0, len(native.y) / len(target.y), len(native.x) / len(target.x))
    return Plan(
        dataset=dataset,
        settings=settings,
        network=network,
        segment=segment,
        triangles=closed,
        short=short_triplets(network, closed),
        pattern=eliminate(network, segment),
        offset=offset,
        weight=weights_of(coherence, settings, "coherence" in dataset),
        coherence=coherence,
        left_in=left_in,
        known=everything,
        components=components,
        overlaps=overlaps,
        native=native,
        target=target,
        resampling=resampling,
        side=max(2, int(tile_side(len(offset)) / ratio)),
        wavelength=wavelength,
    )


def _without_reference(settings: TimeseriesSettings) -> TimeseriesSettings:
    """What can be asked for: each interferogram then has a constant of its own, which no triplet closes."""
    log.warning("nothing is referenced, so that unwrapping errors and phase bias are counted, not masked")
    return settings.model_copy(update={"unwrapping_errors": "report", "max_phase_bias_mm_yr": None})


def _wavelength(dataset: xr.Dataset) -> float:
    """Of the radar, m."""
    if "radar_wavelength_m" in dataset.attrs:
        return number(dataset, "radar_wavelength_m", *WAVELENGTHS_M)
    log.warning("the input has no attribute radar_wavelength_m: Sentinel-1's is taken")
    return RADAR_WAVELENGTH_M


def _say_what_lacks(dataset: xr.Dataset, segment: NDArray[np.int64], settings: TimeseriesSettings) -> None:
    """Warn of a network in parts, and of interferograms without coherence."""
    if segment.max() > 0:
        log.warning("the network falls into %d parts: each has an offset of its own", segment.max() + 1)
    if "coherence" not in dataset and (settings.min_coherence > 0 or settings.weights == "coherence"):
        log.warning("the input has no coherence: no mask of incoherent pixels, uniform weights")


def _referenced(
    dataset: xr.Dataset, native: Grid, settings: TimeseriesSettings, known: Known
) -> tuple[xr.Dataset, Network, Known, NDArray[np.intp] | None]:
    """Return the interferograms that have a reference, their network, and what `_reference` says of all and of them.

    One that has no valid pixels in the reference area (snow, a storm) is left out, and said; where half of them have
    none, the reference is the wrong one.

    Raises
    ------
    SlipscanError
        half of the interferograms, or more, have too few valid pixels in the reference area
    """
    network = build_network(dataset["reference_date"].values, dataset["secondary_date"].values)
    offset, valid, main = _reference(dataset, native, settings, known)
    good = np.isfinite(offset)
    poor = np.flatnonzero(~good)
    if len(poor):
        names = [f"the interferogram {network.name(pair)} of {where(dataset)}" for pair in range(len(good))]
        check_most(valid, lambda pair: _is_empty(dataset, pair, settings), names, settings.min_reference_pixels)
    if len(poor):
        log.warning(
            "%d of %d interferograms of %s are left out, with fewer than %d valid pixels in the reference area: %s",
            len(poor),
            len(good),
            where(dataset),
            settings.min_reference_pixels,
            ", ".join(network.name(int(pair)) for pair in poor),
        )
        dataset = dataset.isel(pair=good)
        network = build_network(dataset["reference_date"].values, dataset["secondary_date"].values)
    everything = Known(offset, valid, main, known.coherence, None)
    return dataset, network, everything, None if main is None else main[good]


def _reference(
    dataset: xr.Dataset, native: Grid, settings: TimeseriesSettings, before: Known
) -> tuple[NDArray[np.float64], Index, NDArray[np.intp] | None]:
    """Return every interferogram's reference, m (NaN: none), its valid pixels there, and its component, (pair,) each.

    Only the reference area is read. Where components are known the median is that of one of them, so that a border
    between two of them in the area does not decide.
    """
    count = dataset.sizes["pair"]
    offset, valid = np.zeros(count), np.zeros(count, np.intp)
    joined = "component" in dataset and settings.component_offsets == "solve"
    main = np.full(count, -1, np.intp) if joined else None
    point = reference_point(dataset)
    if point is None:
        return offset, valid, main
    area = reference_area(native, *point, settings.reference_radius_m)
    rows, columns = _extent(np.nonzero(area)[0]), _extent(np.nonzero(area)[1])
    offset[: len(before.offset)], valid[: len(before.valid)] = before.offset, before.valid
    if main is not None and before.main is not None:
        main[: len(before.main)] = before.main
    for pairs in pair_groups(count, len(before.offset)):
        part = window(dataset, pairs, rows, columns)
        values = masked(part, settings.min_coherence)
        values[:, ~area[rows, columns]] = np.nan
        if main is not None:
            label = labels(part)
            for pair, (layer, component) in enumerate(zip(values, label, strict=True), pairs.start):
                counts = np.bincount(component[np.isfinite(layer)], minlength=2)
                main[pair] = counts[1:].argmax() + 1
                layer[component != main[pair]] = np.nan
        offset[pairs], valid[pairs] = reference_medians(values, area[rows, columns], settings.min_reference_pixels)
    return offset, valid, main


def _is_empty(dataset: xr.Dataset, pair: int, settings: TimeseriesSettings) -> bool:
    """Whether an interferogram has no valid pixel; it is read whole."""
    whole = window(dataset, slice(pair, pair + 1), slice(None), slice(None))
    return not np.isfinite(masked(whole, settings.min_coherence)).any()


def _extent(positions: Index) -> slice:
    """The smallest slice that holds all positions."""
    return slice(int(positions.min()), int(positions.max()) + 1)
