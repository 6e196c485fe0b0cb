"""`slipscan regions world`: the table of regions, written."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import shapely
from shapely.geometry import shape

from slipscan.atomic import write_text
from slipscan.errors import SlipscanError
from slipscan.fleet.frames import aria_frames
from slipscan.fleet.tiling import read_boundaries, regions
from slipscan.outputs import NEW, check_outputs
from slipscan.regions import read_regions
from slipscan.texts import read_json


def write_world(
    out: Path, boundaries: Sequence[Path], width_km: float, side_km: float, overlap_km: float,
    land: Path | None, archive: str | None,
) -> str:  # fmt: skip
    """Write the regions file of `tiling.regions` and say what it holds.

    Raises
    ------
    SlipscanError
        the file exists, the overlap is as wide as a region, a file is no GeoJSON, no region is left
    """
    check_outputs([(out, NEW)], [*boundaries, *([land] if land else [])])
    if overlap_km >= side_km / 2:
        raise SlipscanError(f"an overlap of {overlap_km:g} km is half of a region ({side_km:g} km) or more: take less")
    found = [boundary for path in boundaries for boundary in read_boundaries(path)]
    if not found:
        raise SlipscanError(f"{boundaries[0]} holds no line, polygon or point: give boundaries, faults or volcanoes")
    ground = None if land is None else _land(land)
    features = regions(found, aria_frames(), width_km, side_km, overlap_km, ground, archive)
    if not features:
        raise SlipscanError(
            f"no land that Sentinel-1 sees lies within {width_km / 2:g} km of a boundary: take a wider belt"
        )
    collection = {"type": "FeatureCollection", "features": features}
    write_text(out, json.dumps(collection, indent=1) + "\n", NEW)
    table = read_regions(out).values()
    archives = Counter(region.archive for region in table)
    tracks = sum(len(region.tracks) for region in table)
    said = ", ".join(f"{number} of {name}" for name, number in sorted(archives.items()))
    return f"{len(features)} regions ({said}) with {tracks} tracks in {out}"


def _land(path: Path) -> shapely.Geometry:
    """One geometry of all polygons of a file; raises SlipscanError."""
    collection = read_json(path, "file of land")
    try:
        return shapely.union_all([shape(feature["geometry"]) for feature in collection["features"]])
    except (KeyError, TypeError, AttributeError, ValueError, shapely.errors.ShapelyError) as error:
        raise SlipscanError(f"{path} is no GeoJSON FeatureCollection of land polygons") from error
