"""The region table of every belt that deforms on land: boxes along plate boundaries, faults or volcanoes.

The world is cut into bands of latitude and these into cells, always at the same places, so that a longer table has the
regions of a shorter one. A cell is kept where a boundary is near and land is seen from a track. The cells begin at 180
degrees; the regions on both sides reach across it, as far as regions overlap.
"""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.affinity import translate
from shapely.geometry import Polygon, box, mapping, shape
from shapely.geometry.base import BaseGeometry

from slipscan.catalogue.footprint import split_at_antimeridian
from slipscan.errors import SlipscanError
from slipscan.fleet.frames import EDGE, Frame
from slipscan.longitudes import in_range
from slipscan.texts import read_json

log = logging.getLogger(__name__)

KM_OF_A_DEGREE: Final = 111.2
TURN: Final = np.array([360.0, 0.0])
SAMPLE_KM: Final = 10.0
"""Between two points that stand for a boundary."""
LATITUDES: Final = (-80.0, 84.0)
"""Where UTM ends, and just inside of it."""
MIN_LAND: Final = 0.02
"""Share of a cell that tracks must see; less is a rock in the sea."""
MIN_GAIN: Final = 0.1
"""Share of the land that a track must add to those that were chosen before."""
GRID: Final = 15
"""Points a side among which the reference point is chosen."""
OPERA: Final = Polygon(
    [(-169, 52), (-140, 50), (-128, 22), (-105, 13), (-86, 5), (-77, 6), (-64, 17), (-64, 50), (-139, 72), (-169, 72)]
)
"""About where OPERA DISP-S1 is made: the United States and 200 km around, Mexico, Central America."""


@dataclass(frozen=True)
class Boundary:
    """A plate boundary, fault or volcano.

    Attributes
    ----------
    name
        as its file has it
    points
        (n, 2) longitude and latitude, degrees, at most `SAMPLE_KM` apart
    subduction
        whether its file says so
    """

    name: str
    points: NDArray[np.float64]
    subduction: bool


def read_boundaries(path: Path) -> list[Boundary]:
    """Read lines, polygons or points of a GeoJSON file (PB2002, GEM active faults, volcanoes).

    Raises
    ------
    SlipscanError
        no such file, or no GeoJSON of features
    """
    collection = read_json(path, "file of boundaries")
    features = collection.get("features") if isinstance(collection, dict) else None
    if not isinstance(features, list) or not features:
        raise SlipscanError(f"{path} is no GeoJSON FeatureCollection of boundaries: it has no features")
    out = []
    for number, feature in enumerate(features, 1):
        try:
            geometry, given = shape(feature["geometry"]), feature.get("properties") or {}
        except (KeyError, TypeError, AttributeError, ValueError, shapely.errors.ShapelyError) as error:
            raise SlipscanError(f"feature {number} in {path} has no geometry: remove it") from error
        words = {str(key).lower(): value for key, value in given.items()}
        name = str(words.get("name") or words.get("id") or f"{path.stem} {number}")
        kind = f"{words.get('type', '')} {words.get('slip_type', '')}".lower()
        if len(points := _sampled(geometry)):
            out.append(Boundary(name, points, "subduction" in kind))
    return out


def _sampled(geometry: BaseGeometry) -> NDArray[np.float64]:
    """Points of a geometry, close enough to stand for its lines."""
    dense = shapely.segmentize(geometry, SAMPLE_KM / KM_OF_A_DEGREE)
    points = shapely.get_coordinates(dense)
    return points[np.isfinite(points).all(axis=1)]


def cells(side_km: float) -> list[Polygon]:
    """The cells of the world, without overlap: about `side_km` a side, from the south-west."""
    south, north = LATITUDES
    bands = math.ceil((north - south) * KM_OF_A_DEGREE / side_km)
    edges = np.linspace(south, north, bands + 1)
    out: list[Polygon] = []
    for low, high in pairwise(edges):
        around = 360 * KM_OF_A_DEGREE * math.cos(math.radians((low + high) / 2))
        columns = max(1, round(around / side_km))
        sides = np.linspace(-180, 180, columns + 1)
        out += shapely.box(sides[:-1], low, sides[1:], high).tolist()
    return out


def widened(cell: Polygon, overlap_km: float) -> Polygon:
    """A cell with half of the overlap on each side, also across 180 degrees; not where UTM ends."""
    west, south, east, north = cell.bounds
    dy = overlap_km / 2 / KM_OF_A_DEGREE
    dx = dy / math.cos(math.radians(max(abs(south), abs(north))))
    return box(west - dx, max(south - dy, LATITUDES[0]), east + dx, min(north + dy, LATITUDES[1]))


def regions(
    boundaries: Sequence[Boundary],
    frames: Sequence[Frame],
    width_km: float,
    side_km: float,
    overlap_km: float,
    land: BaseGeometry | None = None,
    archive: str | None = None,
) -> list[dict[str, Any]]:
    """The features of the region table, from the south-west.

    Parameters
    ----------
    boundaries
        what deforms
    frames
        what satellites see; where `land` is None they stand for it
    width_km
        of the belt: a cell is kept within half of it from a boundary
    side_km, overlap_km
        of the regions: cells of side - overlap, widened
    archive
        of all regions; None: 'opera' where it is made, 'aria' elsewhere

    Returns
    -------
    features
        GeoJSON; region ids are the cell's place (N38E021), track ids 087A and the like
    """
    near = _Nearness(boundaries, width_km / 2)
    if land is not None:
        land = _on_both_sides(land)
    tree = shapely.STRtree([frame.polygon for frame in frames])
    out = []
    for cell in near.candidates(cells(side_km - overlap_km)):
        if (nearest := near.to(cell)) is None:
            continue
        region = widened(cell, overlap_km)
        if land is not None and region.intersection(land).area < MIN_LAND * region.area:
            continue
        seen = [frames[i] for i in tree.query(region, predicate="intersects")]
        tracks = _tracks(seen, region if land is None else region.intersection(land), region.area)
        if tracks:
            ground = region.intersection(shapely.union_all([frame.polygon for frame in seen]) if land is None else land)
            out.append(_feature(region, cell, nearest, tracks, near.quiet_point(region, ground), archive))
    return out


def _tracks(frames: Sequence[Frame], target: BaseGeometry, whole: float) -> list[dict[str, Any]]:
    """The tracks that see a target, in each direction the fewest that see nearly all of what can be seen."""
    found = []
    for direction in ("ascending", "descending"):
        of_a_track: dict[int, list[Polygon]] = defaultdict(list)
        for frame in frames:
            if frame.direction == direction:
                of_a_track[frame.path].append(frame.polygon)
        left: BaseGeometry = target
        views = {path: shapely.union_all(polygons).intersection(target) for path, polygons in of_a_track.items()}
        while views:
            gains = {path: view.intersection(left).area for path, view in views.items()}
            path = max(gains, key=lambda path: (gains[path], -path))
            if gains[path] < max(MIN_GAIN * target.area, MIN_LAND * whole):
                break
            found.append(
                {"id": f"{path:03d}{direction[0].upper()}", "relative_orbit": path, "orbit_direction": direction}
            )
            left = left.difference(views.pop(path))
    return found


def _on_both_sides(land: BaseGeometry) -> BaseGeometry:
    """Land with what lies near 180 degrees once more on the other side."""
    edge = box(-180, -90, -180 + EDGE, 90), box(180 - EDGE, -90, 180, 90)
    copies = [translate(land.intersection(part), shift) for part, shift in zip(edge, (TURN[0], -TURN[0]), strict=True)]
    return shapely.union_all([land, *copies])


class _Nearness:
    """Which boundary is near a place."""

    def __init__(self, boundaries: Sequence[Boundary], reach_km: float) -> None:
        self.boundaries, self.reach_km = boundaries, reach_km
        points = np.concatenate([boundary.points for boundary in boundaries])
        owner = np.repeat(np.arange(len(boundaries)), [len(boundary.points) for boundary in boundaries])
        # Copies beyond 180 degrees, so that a boundary there is near cells on both sides.
        self.points = np.concatenate([points, points + TURN, points - TURN])
        self.owner = np.tile(owner, 3)
        self.tree = shapely.STRtree(shapely.points(self.points))

    def candidates(self, whole: Sequence[Polygon]) -> list[Polygon]:
        """The cells with a boundary about within reach, in their order: a quick first look at all."""
        found, _ = self.tree.query(self._reach(np.array(whole, dtype=object)))
        return [whole[i] for i in np.unique(found)]

    def _reach(self, cells: NDArray[np.object_]) -> NDArray[np.object_]:
        """Cells with what is within reach of them, and a little more."""
        west, south, east, north = shapely.bounds(cells).T
        dy = self.reach_km / KM_OF_A_DEGREE
        dx = dy / np.maximum(0.05, np.cos(np.radians(np.maximum(np.abs(south), np.abs(north)))))
        return np.asarray(shapely.box(west - dx, south - dy, east + dx, north + dy))

    def to(self, cell: Polygon) -> Boundary | None:
        """The boundary within reach whose point is nearest to the centre of a cell, if there is one."""
        west, south, east, north = cell.bounds
        numbers = self.tree.query(self._reach(np.array([cell], dtype=object))[0])
        outside = _distance_km(self.points[numbers], cell)
        numbers = numbers[outside <= self.reach_km]
        if not len(numbers):
            return None
        centre = np.array([[(west + east) / 2, (south + north) / 2]])
        return self.boundaries[self.owner[numbers[np.argmin(_apart_km(self.points[numbers], centre)[:, 0])]]]

    def quiet_point(self, region: Polygon, ground: BaseGeometry) -> tuple[float, float]:
        """The point of the ground that is farthest from all boundaries, on a grid of the inner region."""
        west, south, east, north = region.bounds
        inset = np.linspace(0.1, 0.9, GRID)
        x, y = (grid.ravel() for grid in np.meshgrid(west + inset * (east - west), south + inset * (north - south)))
        shapely.prepare(ground)
        on_ground = shapely.contains_xy(ground, x, y)
        if not on_ground.any():
            inside = ground.representative_point()
            return round(inside.x, 4), round(inside.y, 4)
        places = np.column_stack([x, y])[on_ground]
        numbers = self.tree.query(region.buffer(max(east - west, north - south)))
        if not len(numbers):
            return _rounded(places[0])
        return _rounded(places[np.argmax(_apart_km(self.points[numbers], places).min(axis=0))])


def _rounded(place: NDArray[np.float64]) -> tuple[float, float]:
    return round(float(place[0]), 4), round(float(place[1]), 4)


def _distance_km(points: NDArray[np.float64], cell: Polygon) -> NDArray[np.float64]:
    """Distance of points (n, 2) from a box, zero inside; flat, in the box's latitude."""
    west, south, east, north = cell.bounds
    x = np.maximum(np.maximum(west - points[:, 0], points[:, 0] - east), 0)
    y = np.maximum(np.maximum(south - points[:, 1], points[:, 1] - north), 0)
    return np.asarray(KM_OF_A_DEGREE * np.hypot(x * math.cos(math.radians((south + north) / 2)), y))


def _apart_km(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances (n, m) of points on the sphere."""
    lon, lat = np.radians(one[:, None, 0] - other[None, :, 0]), np.radians(one[:, 1])
    lat2 = np.radians(other[:, 1])
    cosine = np.sin(lat)[:, None] * np.sin(lat2) + np.cos(lat)[:, None] * np.cos(lat2) * np.cos(lon)
    return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1, 1))) * KM_OF_A_DEGREE)


def _feature(
    region: Polygon, cell: Polygon, boundary: Boundary, tracks: list[dict[str, Any]], reference: tuple[float, float],
    archive: str | None,
) -> dict[str, Any]:  # fmt: skip
    """A region as GeoJSON."""
    centre = cell.centroid
    place = f"{'NS'[centre.y < 0]}{abs(centre.y):02.0f}{'EW'[centre.x < 0]}{abs(centre.x):03.0f}"
    ring = Polygon([(round(x, 4), round(y, 4)) for x, y in region.exterior.coords])
    return {
        "type": "Feature",
        "geometry": mapping(split_at_antimeridian(ring)),
        "properties": {
            "id": place,
            "name": f"{boundary.name} at {place}",
            "archive": archive or ("opera" if OPERA.contains(centre) else "aria"),
            "tracks": tracks,
            "reference_point": [in_range(reference[0]), reference[1]],
            "tectonic_setting": "subduction" if boundary.subduction else "plate boundary",
        },
    }
