import json
from pathlib import Path

import pytest
from shapely.geometry import Polygon

from slipscan.archive.extent import crop_bounds
from slipscan.errors import SlipscanError
from slipscan.regions import read_region, read_regions, select

SQUARE = [[[30.0, 40.0], [31.0, 40.0], [31.0, 41.0], [30.0, 41.0], [30.0, 40.0]]]


def feature(**changes) -> dict:
    properties = {
        "id": "TEST", "name": "a test", "archive": "simulated", "reference_point": [30.5, 40.5],
        "tectonic_setting": "none", "tracks": [{"id": "001A", "relative_orbit": 1, "orbit_direction": "ascending"}],
    }  # fmt: skip
    properties.update(changes)
    properties = {key: value for key, value in properties.items() if value is not None}
    geometry = {"type": "Polygon", "coordinates": SQUARE}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def write(path: Path, *features: dict) -> Path:
    file = path / "regions.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": list(features)}))
    return file


def test_the_shipped_file_is_valid() -> None:
    regions = read_regions(Path(__file__).resolve().parents[1] / "config/regions.geojson")
    assert {"ISMT-TWIN", "MEXC"} <= set(regions)
    assert regions["MEXC"].track("005A").local.convention == "gamma"
    for name in ("ISMT", "CSAF", "KLSF", "CASC", "HKRG"):
        assert regions[name].gnss_stations or regions[name].gnss_distance_km


def test_a_region_is_read(tmp_path: Path) -> None:
    region = read_region(write(tmp_path, feature()), "TEST")
    assert region.polygon[0] == (30.0, 40.0)
    assert region.wkt().startswith("POLYGON ((30 40")
    with pytest.raises(SlipscanError, match="has no track '002D': it has 001A"):
        region.track("002D")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"reference_point": None}, "region TEST in .*: reference_point: missing key"),
        ({"colour": "red"}, "colour: unknown key"),
        ({"tracks": []}, "tracks"),
        ({"archive": "local"}, "track 001A of archive 'local' has no key 'local'"),
        ({"id": "a/b"}, "id"),
        ({"fault_strike_deg": 400}, "fault_strike_deg"),
        ({"reference_point": [-179.9, 40.5]}, "more than 90 degrees of longitude from the polygon"),
    ],
)
def test_a_wrong_entry_is_one_sentence(tmp_path: Path, changes, sentence) -> None:
    with pytest.raises(SlipscanError, match=sentence) as caught:
        read_regions(write(tmp_path, feature(**changes)))
    assert "\n" not in str(caught.value)


EAST, WEST = ([[179.9, -17.0], [180.0, -17.0], [180.0, -16.8], [179.9, -16.8], [179.9, -17.0]],
              [[-180.0, -17.0], [-179.8, -17.0], [-179.8, -16.8], [-180.0, -16.8], [-180.0, -17.0]])  # fmt: skip


def box_of(west: float, east: float) -> dict:
    ring = [[west, -17.0], [east, -17.0], [east, -16.8], [west, -16.8], [west, -17.0]]
    return {"type": "Polygon", "coordinates": [ring]}


@pytest.mark.parametrize(
    "geometry",
    [
        {"type": "MultiPolygon", "coordinates": [[EAST], [WEST]]},
        {"type": "MultiPolygon", "coordinates": [[WEST], [EAST]]},
        box_of(179.9, -179.8),
        box_of(179.9, 180.2),
        box_of(-180.1, -179.8),
    ],
    ids=["RFC 7946", "west first", "short way round", "beyond 180", "beyond -180"],
)
@pytest.mark.parametrize("longitude", [-179.9, 180.1])
def test_a_polygon_across_180_degrees_is_the_same_however_it_is_written(tmp_path: Path, geometry, longitude) -> None:
    across = feature(reference_point=[longitude, -16.9]) | {"geometry": geometry}
    region = read_region(write(tmp_path, across), "TEST")
    polygon = Polygon(region.polygon)
    assert polygon.bounds == pytest.approx((179.9, -17.0, 180.2, -16.8)) and polygon.area == pytest.approx(0.06)
    assert region.reference_point == pytest.approx((180.1, -16.9))
    west, _, east, _ = crop_bounds(region)
    assert 179.8 < west < 179.9 and 180.2 < east < 180.3


def test_two_polygons_are_no_region_and_one_around_the_earth_is_none(tmp_path: Path) -> None:
    apart = [[[lon + 10, lat] for lon, lat in WEST]]
    two = feature() | {"geometry": {"type": "MultiPolygon", "coordinates": [[EAST], apart]}}
    with pytest.raises(SlipscanError, match="draw one polygon a region"):
        read_regions(write(tmp_path, two))
    for corners in ([-100, 0, 100, 100, 0, -100, -100], [-100, -100, 100, 100, 100, -100, -100]):
        ring = [[lon, lat] for lon, lat in zip(corners, [1, 1, 1, 2, 2, 2, 1], strict=True)]
        with pytest.raises(SlipscanError, match="more than 90 degrees of longitude"):
            read_regions(write(tmp_path, feature() | {"geometry": {"type": "Polygon", "coordinates": [ring]}}))


def test_wrong_files(tmp_path: Path) -> None:
    with pytest.raises(SlipscanError, match="holds region TEST twice"):
        read_regions(write(tmp_path, feature(), feature()))
    with pytest.raises(SlipscanError, match="no regions file"):
        read_regions(tmp_path / "none.geojson")
    (tmp_path / "bad.geojson").write_text("{}")
    with pytest.raises(SlipscanError, match="no GeoJSON"):
        read_regions(tmp_path / "bad.geojson")
    point = feature()
    point["geometry"] = {"type": "Point", "coordinates": [1, 2]}
    with pytest.raises(SlipscanError, match="has no Polygon geometry"):
        read_regions(write(tmp_path, point))


def test_shards_cover_every_region_once(tmp_path: Path) -> None:
    regions = read_regions(write(tmp_path, *(feature(id=f"R{i}") for i in range(7))))
    shards = [set(select(regions, None, f"{i}/3")) for i in range(3)]
    assert set.union(*shards) == set(regions)
    assert sum(map(len, shards)) == 7
    assert list(select(regions, ("R4",), None)) == ["R4"]
    with pytest.raises(SlipscanError, match="no region 'X'"):
        select(regions, ("X",), None)
    with pytest.raises(SlipscanError, match="shard 3/3"):
        select(regions, None, "3/3")
