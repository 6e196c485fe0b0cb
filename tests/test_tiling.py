"""The region table of a made-up world whose belts, tracks and land are known."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import shapely
from shapely.geometry import LineString, Point, Polygon, box, mapping, shape

from slipscan.errors import SlipscanError
from slipscan.fleet.frames import Frame
from slipscan.fleet.tiling import KM_OF_A_DEGREE, Boundary, cells, read_boundaries, regions
from slipscan.fleet.world import write_world
from slipscan.regions import read_regions

# Two tracks a direction see the world from 10 W to 40 E; the third sees what the first does and is not needed.
WEST, EAST = box(-10, -20, 15, 60), box(14, -20, 40, 60)
FRAMES = [
    *(Frame(path, "ascending", view) for path, view in ((7, WEST), (8, EAST), (9, WEST))),
    *(Frame(path, "descending", view) for path, view in ((20, WEST), (21, EAST))),
]


def line(*vertices: tuple[float, float]) -> Boundary:
    points = shapely.get_coordinates(shapely.segmentize(LineString(vertices), 0.09))
    return Boundary("AA-BB", points, subduction=False)


def table(boundary: Boundary, width_km: float = 150, **options: object) -> dict[str, Polygon]:
    features = regions([boundary], FRAMES, width_km, 250, 50, **options)
    return {f["properties"]["id"]: Polygon(f["geometry"]["coordinates"][0]) for f in features}


def test_cells_cover_the_world_once_and_are_about_as_wide_as_high() -> None:
    whole = cells(200)
    area = sum(cell.area for cell in whole)
    assert math.isclose(area, 360 * 164, rel_tol=1e-9) and math.isclose(
        shapely.union_all(whole).area, area, rel_tol=1e-9
    )
    for cell in whole:
        west, south, east, north = cell.bounds
        width = (east - west) * KM_OF_A_DEGREE * math.cos(math.radians((south + north) / 2))
        assert 170 < width < 230 and 190 < (north - south) * KM_OF_A_DEGREE <= 200


def test_a_belt_is_covered_to_half_of_its_width_and_no_farther() -> None:
    found = table(line((0, 40), (30, 40)), width_km=300)
    covered = shapely.union_all(list(found.values()))
    reach = 150 / KM_OF_A_DEGREE
    assert covered.covers(box(0.1, 40 - reach, 29.9, 40 + reach))
    for polygon in found.values():
        # A region is 250 km; its cell, 25 km inside of its edge, is within reach.
        gap = max(polygon.bounds[1] - 40, 40 - polygon.bounds[3], 0) * KM_OF_A_DEGREE
        assert gap + 25 <= 150 + 1


def test_neighbours_overlap_and_the_places_do_not_depend_on_the_rest_of_the_table() -> None:
    short, long = table(line((5, 40), (10, 40))), table(line((0, 40), (30, 40)))
    assert short and all(long[name].equals(polygon) for name, polygon in short.items())
    east, west = sorted(long.values(), key=lambda polygon: (polygon.bounds[1], polygon.bounds[0]))[1::-1]
    overlap = (west.bounds[2] - east.bounds[0]) * KM_OF_A_DEGREE * math.cos(math.radians(40))
    assert 40 < overlap < 60


def test_the_fewest_tracks_that_see_it_are_taken_in_each_direction() -> None:
    features = regions([line((2, 40), (28, 40))], FRAMES, 150, 250, 50)
    for feature in features:
        west, _, east, _ = Polygon(feature["geometry"]["coordinates"][0]).bounds
        seen = {track["id"] for track in feature["properties"]["tracks"]}
        if east <= 15 or west >= 14:
            assert seen == ({"007A", "020D"} if east <= 15 else {"008A", "021D"})
    assert any(len(feature["properties"]["tracks"]) == 4 for feature in features)


def test_what_no_track_sees_or_is_sea_is_left_out() -> None:
    assert not table(line((60, 40), (70, 40)))
    land = box(0, 30, 10, 50)
    found = table(line((0, 40), (30, 40)), land=land)
    assert found and all(polygon.intersects(land) for polygon in found.values())


def test_the_reference_lies_on_land_and_away_from_the_boundary() -> None:
    land = box(-10, 39.6, 40, 60)
    for feature in regions([line((0, 40), (30, 40))], FRAMES, 150, 250, 50, land):
        polygon, place = Polygon(feature["geometry"]["coordinates"][0]), Point(feature["properties"]["reference_point"])
        assert polygon.contains(place) and land.contains(place)
        farthest = max(polygon.bounds[3] - 40, 40 - max(polygon.bounds[1], 39.6))
        assert abs(place.y - 40) > 0.6 * farthest


def test_a_boundary_at_180_degrees_has_regions_that_reach_across_from_both_sides(tmp_path: Path) -> None:
    frames = [Frame(7, "ascending", box(-190, -30, -170, 30)), Frame(7, "ascending", box(170, -30, 190, 30))]
    features = regions([line((179.9, -10), (179.9, 10))], frames, 150, 250, 50)
    path = tmp_path / "regions.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    assert all(abs(lon) <= 180 for f in features for lon in shapely.get_coordinates(shape(f["geometry"]))[:, 0])
    found = read_regions(path)
    sides = {Polygon(region.polygon).bounds[::2] for region in found.values()}
    assert {west < 180 < east for west, east in sides} == {True} and all(east - west < 4 for west, east in sides)
    assert {name[3] for name in found} == {"E", "W"}
    # They overlap by as much as any two neighbours, and the reference point is one of the region's own.
    eastern, western = (max(east for west, east in sides), min(west for west, east in sides))
    assert eastern - western > 3
    for region in found.values():
        assert Polygon(region.polygon).contains(Point(region.reference_point))


def test_files_of_boundaries(tmp_path: Path) -> None:
    trench = LineString([(0, 0), (1, 0)])
    features = [
        {"type": "Feature", "properties": {"Name": "A/B", "Type": "subduction"}, "geometry": mapping(trench)},
        {"type": "Feature", "properties": {}, "geometry": mapping(Point(3, 4))},
    ]  # fmt: skip
    path = tmp_path / "faults.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    first, second = read_boundaries(path)
    assert first.name == "A/B" and first.subduction and np.diff(first.points[:, 0]).max() < 0.0901
    assert second.name == "faults 2" and not second.subduction and second.points.tolist() == [[3, 4]]
    path.write_text("{}")
    with pytest.raises(SlipscanError, match="no GeoJSON FeatureCollection of boundaries"):
        read_boundaries(path)


@pytest.mark.slow
def test_the_table_of_the_north_anatolian_fault_names_the_tracks_that_see_it(tmp_path: Path) -> None:
    """Tracks 87 ascending and 65 descending, as config/regions.geojson has them by hand."""
    fault = {
        "type": "Feature",
        "properties": {"Name": "NAF"},
        "geometry": mapping(LineString([(32, 40.8), (33.2, 40.9)])),
    }
    path, out = tmp_path / "fault.geojson", tmp_path / "regions.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [fault]}))
    said = write_world(out, [path], 50, 250, 50, None, None)
    found = read_regions(out)
    assert said.startswith(f"{len(found)} regions ({len(found)} of aria)")
    ids = {track.id for region in found.values() for track in region.tracks}
    assert {"087A", "065D"} <= ids
    with pytest.raises(SlipscanError, match=str(out)):
        write_world(out, [path], 50, 250, 50, None, None)
