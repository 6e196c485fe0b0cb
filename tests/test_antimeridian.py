"""A region across 180 degrees, as at Taveuni in Fiji: the same answers as anywhere else."""

import datetime
import json
from pathlib import Path

import numpy as np
import pytest
import shapely
import xarray as xr
from pyproj import CRS
from shapely.affinity import translate

from slipscan.archive.extent import nodes_around
from slipscan.archive.hyp3.planning import _gunw_frames
from slipscan.archive.reading.cubes import Cube
from slipscan.archive.troposphere.delays import at_pixels
from slipscan.catalogue import geopackage
from slipscan.catalogue.stac import bbox
from slipscan.events import read_events
from slipscan.fleet.frames import aria_frames
from slipscan.geometry import Grid, from_lonlat, to_lonlat, write_grid
from slipscan.regions import Region, Track, read_regions
from slipscan.report.map import overview
from slipscan.source.join import footprint_polygons
from slipscan.store import open_zarr
from slipscan_loopback.archive import Layout, LoopbackArchive
from slipscan_loopback.scene import TrueScene, acquisitions
from test_archives_agree import expected, stack_of
from workflow import Workflow

ACROSS = (179.94, -16.90, 180.06, -16.80)
LAYOUT = Layout(neighbours=1, aria_frames=1, opera_reference_every=3, opera_posting_m=90.0)
ZONE = CRS.from_epsg(32701)


def grid(rows: int = 30, columns: int = 36, posting_m: float = 1000.0) -> Grid:
    """Cells of UTM zone 1 S around 180 E, 16.8 S."""
    x, y = from_lonlat(np.array(180.0), np.array(-16.8), ZONE)
    left, top = (round(float(v) / posting_m) * posting_m for v in (x, y))
    across, down = np.arange(columns) - columns / 2 + 0.5, np.arange(rows) - rows / 2 + 0.5
    return Grid(left + across * posting_m, top - down * posting_m, ZONE)


@pytest.mark.parametrize(
    "family", ["opera", *(pytest.param(name, marks=pytest.mark.slow) for name in ("aria", "hyp3", "licsar"))]
)
def test_an_archive_gives_the_true_scene(family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARTHDATA_TOKEN", "loopback-secret")
    scene = TrueScene(extent=ACROSS, dates=acquisitions(count=3), event_onset=datetime.date(2020, 1, 5))
    with LoopbackArchive(tmp_path / "loopback", scene, families=(family,), layout=LAYOUT, polls=1) as archive:
        archive.directory.mkdir(exist_ok=True)
        (archive.directory / "regions.geojson").write_text(json.dumps(archive.regions()))
        stack = stack_of(archive, family, tmp_path / family)
    difference = stack["displacement"].values - expected(scene, stack)
    longitude, _ = to_lonlat(*np.meshgrid(stack["x"], stack["y"]), CRS.from_wkt(stack["spatial_ref"].attrs["crs_wkt"]))
    for side in (longitude > 0, longitude < 0):
        assert np.isfinite(difference[-1][side]).mean() > 0.3
    assert np.nanmax(np.abs(difference)) < 2e-4 and np.nanmax(np.abs(expected(scene, stack)[-1])) > 4e-3


def test_a_footprint_is_one_polygon_and_its_box_is_narrow() -> None:
    mask = np.zeros((30, 36), np.uint8)
    mask[10:20, 8:28] = 1
    footprint = footprint_polygons(mask, grid())
    assert shapely.is_valid(footprint) and len(footprint.geoms) == 1
    west, _, east, _ = footprint.bounds
    assert east - west == pytest.approx(20e3 / 106.4e3, rel=0.02)
    other = np.zeros_like(mask)
    other[10:20, 2:6] = 1  # wholly west of 180 degrees, on the side of the other all the same
    assert footprint_polygons(other, grid()).bounds[2] < west
    parts = shapely.MultiPolygon([shapely.box(179, -17, 180, -16), shapely.box(-180, -17, -178, -16)])
    assert bbox(parts) == [179, -17, -178, -16] and bbox(shapely.box(1, 2, 3, 4)) == [1, 2, 3, 4]


@pytest.mark.slow
def test_frames_of_both_sides_are_ordered() -> None:
    """Every track that sees a region, on whatever side its frames are told, has frames of it."""
    middle, west, east = 180.0, 178.8, 181.2
    ring = ((west, -17.5), (east, -17.5), (east, -16.2), (west, -16.2), (west, -17.5))
    frames, found = aria_frames(), []
    box = shapely.Polygon(ring)
    paths = {
        (f.path, f.direction) for f in frames for turn in (-360, 0, 360) if f.polygon.intersects(translate(box, turn))
    }
    for path, direction in sorted(paths):
        track = Track(id="T", relative_orbit=path, orbit_direction=direction)
        region = Region.model_validate({
            "id": "TAVE", "name": "Taveuni", "archive": "hyp3", "tectonic_setting": "volcano", "polygon": ring,
            "reference_point": (middle, -16.8), "tracks": [track.model_dump()],
        })  # fmt: skip
        found.append(_gunw_frames(region, track))
    assert found and all(found)


@pytest.mark.parametrize("west", [-180.0, 0.0, 170.0])
def test_a_delay_is_read_from_nodes_of_any_longitudes(west: float) -> None:
    longitude = west + np.arange(0, 360 if west < 170 else 20, 0.25)
    latitude = np.arange(-20, -14, 0.25)
    truth = 2 + 0.1 * np.sin(np.deg2rad(longitude)) + 0.0 * latitude[:, None]
    rows, columns = nodes_around(latitude, longitude, (179.8, -17.0, 180.2, -16.6), 0.6)
    assert 5 <= len(columns) <= 8
    cube = Cube(truth[np.ix_(rows, columns)][None], np.zeros(1), latitude[rows], longitude[columns])
    lon = np.array([[179.9, 180.0, -179.9]])
    found = at_pixels(cube, lon, np.full_like(lon, -16.8), np.zeros(()))
    np.testing.assert_allclose(found, 2 + 0.1 * np.sin(np.deg2rad(lon)), atol=1e-5)


def write_series(path: Path) -> None:
    """36 epochs of white noise with 60 mm of uplift, toward the satellite, below 180 E, in June 2019."""
    cells, generator = grid(), np.random.default_rng(0)
    time = np.datetime64("2019-01-04", "ns") + 12 * np.arange(36) * np.timedelta64(1, "D")
    x, y = np.meshgrid(cells.x, cells.y)
    centre = from_lonlat(np.array(180.0), np.array(-16.8), ZONE)
    uplift = np.exp(-(((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * 4e3**2)))
    days = (time - np.datetime64("2019-06-15")) / np.timedelta64(1, "D")
    history = 1 / (1 + np.exp(-days / 8))
    values = 0.06 * history[:, None, None] * uplift + generator.normal(0, 0.002, (len(time), *cells.shape))
    layer = np.ones(cells.shape, np.float32)
    look = {"los_east": -0.6 * layer, "los_north": -0.1 * layer, "los_up": np.sqrt(1 - 0.37) * layer}
    variables = {name: (("y", "x"), value.astype(np.float32)) for name, value in look.items()}
    variables["height"] = (("y", "x"), 100 * layer, {"units": "m"})
    variables["displacement"] = (("time", "y", "x"), values.astype(np.float32), {"units": "m"})
    write_grid(xr.Dataset(variables, coords={"time": time}), cells).to_netcdf(path)


@pytest.mark.slow
def test_the_whole_workflow_finds_an_event_at_180_degrees(tmp_path: Path) -> None:
    write_series(tmp_path / "series.nc")
    sides = (179.85, 180), (-180, -179.85)
    rings = [[[a, -16.92], [b, -16.92], [b, -16.68], [a, -16.68], [a, -16.92]] for a, b in sides]
    properties = {
        "id": "TAVE", "name": "Taveuni", "archive": "local", "reference_point": [179.88, -16.7],
        "tectonic_setting": "volcano", "tracks": [{
            "id": "001A", "relative_orbit": 1, "orbit_direction": "ascending",
            "local": {"convention": "displacement", "path": "series.nc"},
        }],
    }  # fmt: skip
    geometry = {"type": "MultiPolygon", "coordinates": [[ring] for ring in rings]}
    features = [{"type": "Feature", "properties": properties, "geometry": geometry}]
    config = {
        "as_of": "2021-01-01", "archive": {"data_root": str(tmp_path)},
        "timeseries": {"pixel_m": 1000, "reference_radius_m": 3000}, "denoise": {"method": "classical"},
        "detect": {"nulls": 8}, "source": {"particles": 50, "searched": 64},
    }  # fmt: skip
    flow = Workflow(tmp_path / "flow", config, {"type": "FeatureCollection", "features": features})
    flow.run(cores=1)
    results = flow.directory / "results"
    stack = open_zarr(results / "TAVE/001A/stack.zarr")
    assert stack.sizes["x"] < 40 and np.isfinite(stack["displacement"].values).mean() > 0.7
    rows, _ = read_events(results / "TAVE/events.parquet")
    events, _, _ = geopackage.read(results / "catalogue.gpkg")
    assert len(rows) == len(events) == 1
    event = events.iloc[0]
    assert abs(abs(event["longitude"]) - 180) < 0.03 and event["latitude"] == pytest.approx(-16.8, abs=0.03)
    west, _, east, _ = event.geometry.bounds
    assert (west, east) == (-180, 180)
    assert 0.0005 < event.geometry.area < 0.1 and len(event.geometry.geoms) >= 2
    regions = read_regions(flow.directory / "config/regions.geojson")
    narrow = overview(list(regions.values()), events, [])
    assert narrow == overview(list(regions.values()), events.assign(longitude=events["longitude"] % 360), [])
