"""The completeness stage: the tracks of a region with their calibrations in, a grid of magnitudes out."""

from __future__ import annotations

import itertools
import json
import logging
import math
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr

from slipscan import cache
from slipscan.completeness import VERSION, product
from slipscan.completeness.ground import Ground, ground_of
from slipscan.completeness.node import Found, complete_from
from slipscan.completeness.sources import ORIENTATIONS, Node
from slipscan.detect import VERSION as DETECT_VERSION
from slipscan.detect import calibration as calibrations
from slipscan.detect.calibration import Calibration
from slipscan.detect.track import Track, open_track
from slipscan.errors import SlipscanError
from slipscan.geometry import read_grid, to_lonlat
from slipscan.longitudes import in_range, near
from slipscan.noise import VERSION as NOISE_VERSION
from slipscan.noise.temporal import red_at
from slipscan.outputs import check_outputs
from slipscan.settings import CompletenessSettings, DetectSettings
from slipscan.vintage import Vintage, vintage_of
from slipscan.workers import in_order

log = logging.getLogger(__name__)

EVERY_STRIKE: Final = (0.0, 45.0, 90.0, 135.0)
"""Of faults, where the region states none."""
Opened = tuple[xr.Dataset, Track, Calibration]


def write_completeness(
    stacks: Sequence[Path],
    calibration_files: Sequence[Path],
    out: Path,
    settings: CompletenessSettings,
    detection: DetectSettings,
    *,
    noise_files: Sequence[Path] = (),
    until: str | None = None,
    cache_dir: Path | None = None,
    threads: int = 1,
) -> None:
    """Inject events into the tracks of a region and write the grid of magnitudes of completeness to `out`.

    The result is kept in the cache as a calibration is: under the sha256 of everything that enters, and as that of a
    vintage.

    Parameters
    ----------
    stacks, calibration_files
        of every track of the region, in the same order
    settings, detection
        of this stage, and of the detector
    noise_files
        noise product of every track, if the calibrations were made with them
    until
        only epochs up to this date enter (calibration_as_of)

    Raises
    ------
    SlipscanError
        no stack, another number of calibrations, stacks of two regions or twice the same track
    """
    inputs = [*stacks, *calibration_files, *noise_files, *([cache_dir] if cache_dir else [])]
    check_outputs([(out, product.KIND)], inputs)
    same = _vintage(stacks, calibration_files, settings, detection, bool(noise_files), until, cache_dir)
    if same is not None and (stored := same.find()) is not None:
        log.info("completeness of the epochs up to %s, as it was made before", until)
        table, about = product.read(stored)
    else:
        opened = _opened(stacks, calibration_files, noise_files, detection, until)
        table, about = _made(opened, settings, detection, cache_dir, threads)
        if same is not None:
            with same.written() as beside:
                product.write(beside, table, about)
    _say(table)
    product.write(out, table, about)


def _vintage(
    stacks: Sequence[Path],
    calibration_files: Sequence[Path],
    settings: CompletenessSettings,
    detection: DetectSettings,
    with_noise: bool,
    until: str | None,
    cache_dir: Path | None,
) -> Vintage | None:
    """That of a grid."""
    parts = [
        f"completeness {VERSION} {DETECT_VERSION} noise {NOISE_VERSION if with_noise else None}",
        settings.model_dump_json(), detection.model_dump_json(),
        *(calibrations.read(file).id for file in calibration_files),
    ]  # fmt: skip
    return vintage_of(cache_dir, stacks, until, parts)


def _made(
    opened: Sequence[Opened],
    settings: CompletenessSettings,
    detection: DetectSettings,
    cache_dir: Path | None,
    threads: int,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The grid and what it says of itself, from the cache where the same was made before."""
    about = _about(opened, settings, detection)
    key = _key(opened, about, detection)
    if (stored := cache.find(cache_dir, "completeness", key)) is not None:
        log.info("completeness from the cache, key %s", key[:12])
        return product.read(stored)
    table = completeness(opened, settings, detection, threads)
    if cache_dir is not None:
        with cache.written(cache.path(cache_dir, "completeness", key)) as beside:
            product.write(beside, table, about)
    return table, about


def _opened(
    stacks: Sequence[Path],
    calibration_files: Sequence[Path],
    noise_files: Sequence[Path],
    detection: DetectSettings,
    until: str | None,
) -> list[Opened]:
    """Every track, and its calibration."""
    if not stacks or len(stacks) != len(calibration_files):
        raise SlipscanError(
            f"{len(calibration_files)} calibrations came with {len(stacks)} stacks: give one a track, in their order"
        )
    if noise_files and len(noise_files) != len(stacks):
        raise SlipscanError(
            f"{len(noise_files)} noise products came with {len(stacks)} stacks: give one a track, or none"
        )
    noises: Sequence[Path | None] = noise_files or [None for _ in stacks]
    return [
        (*open_track(stack, detection, until=until, noise=noise), calibrations.read(file))
        for stack, file, noise in zip(stacks, calibration_files, noises, strict=True)
    ]


def completeness(
    opened: Sequence[Opened], settings: CompletenessSettings, detection: DetectSettings, threads: int = 1
) -> pd.DataFrame:
    """The grid of a region's tracks, each with its stack and calibration: a row a node (`product.COLUMNS`)."""
    region, names = _region_of(opened), _names(opened)
    places = nodes_of(opened, settings)
    sighted = [one for one in opened if one[1].seen.los is not None]
    if note := _why_none(detection, sighted):
        log.warning("no magnitude of completeness: %s", note)
        nothing = [Found(node, alone=(math.nan,) * len(names), note=note) for nodes in places for _, node in nodes]
        return product.table_of(nothing, region, names)
    names = _names(sighted)
    grounds = [ground_of(dataset, track, detection, one, settings) for dataset, track, one in sighted]
    work = partial(_place, grounds, settings)
    count = sum(len(nodes) for nodes in places)
    begun, probed = time.process_time(), [places[0][0], places[0][-1]]
    work(probed)
    log.info(
        "%d nodes x %d injections x %d track(s): %d injections, about %.0f s of one core, as two of the nodes go",
        count, settings.injections, len(grounds), count * settings.injections * len(grounds),
        (time.process_time() - begun) * count / len(probed),
    )  # fmt: skip
    found = in_order(work, places, threads, f"events at {len(places)} places")
    return product.table_of([one for group in found for one in group], region, names)


def _why_none(detection: DetectSettings, sighted: Sequence[Opened]) -> str:
    """Why no event can be injected; empty where it can."""
    if detection.method != "scan":
        return f"events are injected into the detector scan alone, not into {detection.method}"
    return "" if sighted else "the stacks have no line of sight (los_east, los_north, los_up)"


def _place(
    grounds: Sequence[Ground], settings: CompletenessSettings, nodes: Sequence[tuple[int, Node]]
) -> list[Found]:  # fmt: skip
    return complete_from(grounds, nodes, settings)


def nodes_of(opened: Sequence[Opened], settings: CompletenessSettings) -> list[list[tuple[int, Node]]]:
    """By place, the numbered nodes of every depth, duration, kind and strike.

    Places are the middles of equal parts of what all tracks see.
    """
    boxes = np.array([_extent(dataset) for dataset, _, _ in opened])
    boxes[:, [0, 2]] = near(boxes[:, [0, 2]], float(boxes[0, 0]))
    (west, south), (east, north) = boxes[:, :2].max(axis=0), boxes[:, 2:].min(axis=0)
    shares = (np.arange(settings.places) + 0.5) / settings.places
    places = [(west + x * (east - west), south + y * (north - south)) for y in shares for x in shares]
    stated = opened[0][0].attrs.get("fault_strike_deg")
    strikes = settings.strikes_deg or (EVERY_STRIKE if stated is None else (float(stated),))
    kinds = [(kind, strike) for kind in settings.kinds for strike in (strikes if ORIENTATIONS[kind] else (math.nan,))]
    number = itertools.count()
    return [
        [
            (next(number), Node(kind, strike, in_range(float(lon)), float(lat), depth, duration))
            for (kind, strike), depth, duration in itertools.product(kinds, settings.depths_km, settings.durations_d)
        ]
        for lon, lat in places
    ]


def _extent(dataset: xr.Dataset) -> tuple[float, float, float, float]:
    """West, south, east, north of the middles of a stack's sides, degrees."""
    grid = read_grid(dataset)
    x, y = float(grid.x.mean()), float(grid.y.mean())
    lon, _ = to_lonlat(np.array([grid.x[0], grid.x[-1]]), np.array([y, y]), grid.crs)
    _, lat = to_lonlat(np.array([x, x]), np.array([grid.y[-1], grid.y[0]]), grid.crs)
    return float(lon[0]), float(lat[0]), float(lon[1]), float(lat[1])


def _region_of(opened: Sequence[Opened]) -> str:
    regions = sorted({str(dataset.attrs.get("region", "unnamed")) for dataset, _, _ in opened})
    if len(regions) > 1:
        raise SlipscanError(f"the stacks are of several regions ({', '.join(regions)}): give one region's")
    names = _names(opened)
    if len(set(names)) < len(names):
        raise SlipscanError(f"two stacks are of the same track ({', '.join(names)}): give each once")
    return regions[0]


def _names(opened: Sequence[Opened]) -> list[str]:
    return [str(dataset.attrs.get("track", "unnamed")) for dataset, _, _ in opened]


def _about(opened: Sequence[Opened], settings: CompletenessSettings, detection: DetectSettings) -> dict[str, Any]:
    """What the table says about itself."""
    return {
        "tracks": _names(opened),
        "calibration_ids": [calibration.id for _, _, calibration in opened],
        "data_until": max(str(track.epochs.time[-1].astype("datetime64[D]")) for _, track, _ in opened),
        "detector": detection.method,
        "settings": settings.model_dump(mode="json"),
    }


def _key(opened: Sequence[Opened], about: dict[str, Any], detection: DetectSettings) -> str:
    """Of the grid in the cache: all that enters."""
    return cache.key(
        f"completeness {VERSION} {_region_of(opened)}", json.dumps(about, sort_keys=True), detection.model_dump_json(),
        *(part for dataset, track, _ in opened for part in _content(dataset, track)),
    )  # fmt: skip


def _content(dataset: xr.Dataset, track: Track) -> list[np.ndarray]:
    red = np.array([red_at(track.coarse.noise, 2 * scale) for scale in track.scales_km])
    parts = [track.coarse.values, track.epochs.time.astype("int64"), dataset["x"].values, dataset["y"].values, red]
    return parts if track.seen.los is None else [*parts, np.asarray(track.seen.los)]


def _say(table: pd.DataFrame) -> None:
    known = table["mc90"].dropna()
    if len(known):
        log.info("Mc90 from %.1f to %.1f, median %.1f", known.min(), known.max(), known.median())
    if len(known) < len(table):
        log.info("%d of %d nodes have none: see the column note", len(table) - len(known), len(table))
