"""Texts that a user gives: whatever their bytes, they are read or refused in one sentence with the file's name."""

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slipbench import bound, frozen, plan, score
from slipscan.archive import manifest
from slipscan.configuration import read_settings
from slipscan.detect import calibration
from slipscan.errors import SlipscanError
from slipscan.regions import read_regions
from slipscan.texts import read_json, read_text, read_yaml

READERS = {
    "regions": read_regions,
    "configuration": read_settings,
    "calibration": calibration.read,
    "manifest": manifest.read,
    "truth": lambda path: score.score_catalogue(path, path),
    "plan": plan.read_plan,
    "bound": bound.read_config,
    "scenes": lambda path: frozen.read_manifest(path, plan.read_plan(Path("benchmarks/skill/slipbench.yaml"))),
    "text": lambda path: read_text(path, "text"),
}
BYTES = {
    "latin-1": "name: Popocatépetl\n".encode("latin-1"),
    "utf-16": '{"a": 1}'.encode("utf-16"),
    "utf-16 without a mark": '{"a": 1}'.encode("utf-16-le"),
    "binary": bytes(range(256)),
    "zip": b"PK\x03\x04\x00\x00\x00",
}


def refused(reader, path: Path) -> str:
    with pytest.raises(SlipscanError) as caught:
        reader(path)
    sentence = str(caught.value)
    assert path.name in sentence and "\n" not in sentence
    return sentence


@pytest.mark.parametrize("kind", BYTES)
@pytest.mark.parametrize("name", READERS)
def test_what_is_no_utf8_is_refused_by_every_reader(name: str, kind: str, tmp_path: Path) -> None:
    (tmp_path / "given").write_bytes(BYTES[kind])
    assert "UTF-8" in refused(READERS[name], tmp_path / "given")


@pytest.mark.parametrize("name", READERS)
def test_a_directory_and_nothing_are_told_apart(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert "directory" in refused(READERS[name], tmp_path / "folder").lower()
    assert "there is no" in refused(READERS[name], tmp_path / "none")
    (tmp_path / "file").write_text("x")
    with pytest.raises(SlipscanError, match="there is no"):
        READERS[name](tmp_path / "file" / "below")


def test_the_line_of_the_wrong_byte_is_named(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_bytes(b"report:\n  title: caf\xe9\n")
    assert "byte 0xe9 in line 2" in refused(read_settings, tmp_path / "c.yaml")


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_bytes(b"\xef\xbb\xbfresults_dir: r\xc3\xa9sultats\n")
    assert read_settings(tmp_path / "c.yaml").results_dir == "résultats"
    (tmp_path / "c.json").write_bytes(b"\xef\xbb\xbf[1]")
    assert read_json(tmp_path / "c.json", "list") == [1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1,}', "line 1"),
        ('{"a": 1, "a": 2}', "'a' stands twice"),
        ("", "no JSON"),
        ("[" * 100_000, "no JSON"),
    ],
)
def test_json_that_is_none(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    assert words in refused(lambda path: read_json(path, "file"), tmp_path / "x.json")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "line 1"),
        ("detect: {nulls: 8}\nas_of: '2020-01-01'\ndetect: {seed: 2}\n", "'detect' stands twice"),
        ("as_of: 2018-06-31", "no YAML"),
        ("a: !!python/object:os.system x", "no YAML"),
        ("\tx: 1", "no YAML"),
    ],
)
def test_yaml_that_is_none(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(text)
    assert words in refused(lambda path: read_yaml(path, "file"), tmp_path / "x.yaml")


def test_a_calibration_that_was_edited_is_no_calibration(tmp_path: Path) -> None:
    made = calibration.Calibration(
        {"blocks": calibration.Tail(1.0, 2.0, 0.0, 1.0)}, 0.1, 5.0, 4.0, 6.0, 1.0, 1.0, 8, 1, ""
    )
    calibration.write(tmp_path / "c.json", made)
    assert calibration.read(tmp_path / "c.json") == made
    content = json.loads((tmp_path / "c.json").read_text())
    (tmp_path / "c.json").write_text(json.dumps(content | {"threshold": 1.0}))
    assert "was changed" in refused(calibration.read, tmp_path / "c.json")
    for wrong in ([], {"id": 1, "tails": [1]}, {"id": "x", "tails": {"a": {"start": 1}}}, None):
        (tmp_path / "c.json").write_text(json.dumps(wrong))
        assert "no calibration" in refused(calibration.read, tmp_path / "c.json")


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
PROPERTIES = {
    "id": "TEST", "name": "a test", "archive": "simulated", "reference_point": [30.5, 40.5],
    "tectonic_setting": "none", "tracks": [{"id": "001A", "relative_orbit": 1, "orbit_direction": "ascending"}],
}  # fmt: skip
SQUARE = [[30.0, 40.0], [31.0, 40.0], [31.0, 41.0], [30.0, 41.0], [30.0, 40.0]]


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_value_anywhere_in_a_regions_file_is_one_sentence(data: st.DataObject, tmp_path: Path) -> None:
    feature = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [SQUARE]}, "properties": PROPERTIES}
    value = data.draw(json_values)
    where = data.draw(st.sampled_from(["features", "feature", "geometry", "coordinates", "vertex", *PROPERTIES]))
    collection: dict[str, object] = {"type": "FeatureCollection", "features": [feature]}
    if where == "features":
        collection["features"] = value
    elif where == "feature":
        collection["features"] = [value]
    elif where == "geometry":
        feature["geometry"] = value
    elif where in ("coordinates", "vertex"):
        coordinates = value if where == "coordinates" else [[*SQUARE[:2], value, *SQUARE[3:]]]
        feature["geometry"] = {"type": "Polygon", "coordinates": coordinates}
    else:
        feature["properties"] = {**PROPERTIES, where: value}
    (tmp_path / "r.geojson").write_text(json.dumps(collection))
    with contextlib.suppress(SlipscanError):  # a wrong value may also be a right one
        for identifier, region in read_regions(tmp_path / "r.geojson").items():
            assert identifier == region.id


@pytest.mark.parametrize(
    ("geometry", "words"),
    [
        (None, "has no Polygon geometry"),
        ({"type": "MultiPolygon", "coordinates": [[SQUARE], [SQUARE]]}, "one polygon a region"),
        ({"type": "Polygon", "coordinates": [[["30", "a"]] * 4]}, "has no Polygon geometry"),
        ({"type": "Polygon", "coordinates": [[[30, 40], [31, 41], [31, 40], [30, 41]]]}, "crosses itself"),
        ({"type": "Polygon", "coordinates": [[[500000, 4500000], [500100, 4500000], [500100, 4500100]]]}, "outside"),
        ({"type": "Polygon", "coordinates": [[[30, 40], [31, 40], [float("nan"), 41]]]}, "r.geojson"),
        ({"type": "Polygon", "coordinates": [SQUARE, [[30.1, 40.1], [30.2, 40.1], [30.2, 40.2]]]}, "hole"),
        ({"type": "GeometryCollection", "geometries": []}, "has no Polygon geometry"),
    ],
)
def test_geometries_that_are_no_region(geometry, words: str, tmp_path: Path) -> None:
    collection = {"type": "FeatureCollection", "features": [{"geometry": geometry, "properties": PROPERTIES}]}
    (tmp_path / "r.geojson").write_text(json.dumps(collection))
    assert words in refused(read_regions, tmp_path / "r.geojson")


def test_a_multipolygon_of_one_an_open_ring_and_heights_are_a_region(tmp_path: Path) -> None:
    ring = [[*vertex, 100.0] for vertex in SQUARE[:-1]]
    feature = {"geometry": {"type": "MultiPolygon", "coordinates": [[ring]]}, "properties": PROPERTIES}
    collection = {"crs": {"properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}, "features": [feature]}
    (tmp_path / "r.geojson").write_text(json.dumps(collection))
    assert read_regions(tmp_path / "r.geojson")["TEST"].polygon == tuple(map(tuple, SQUARE))
    collection["crs"] = {"properties": {"name": "urn:ogc:def:crs:EPSG::32636"}}
    (tmp_path / "r.geojson").write_text(json.dumps(collection))
    assert "EPSG:4326" in refused(read_regions, tmp_path / "r.geojson")


@pytest.mark.parametrize("identifier", ["a/b", "a b", "", "logs", "..", "é", 5, None, True])
def test_ids_that_can_be_no_folder(identifier, tmp_path: Path) -> None:
    feature = {"geometry": {"type": "Polygon", "coordinates": [SQUARE]}, "properties": {**PROPERTIES, "id": identifier}}
    (tmp_path / "r.geojson").write_text(json.dumps({"features": [feature]}))
    refused(read_regions, tmp_path / "r.geojson")
