"""Products of the loopback archive: signs, frames, references, corrections."""

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import rasterio
import xarray as xr

from loopback_builders import FIRST, LAST, POSTING, SCENE, SECOND, WAVELENGTH, running
from slipscan.geometry import Array, check_los
from slipscan_loopback import disp, gunw
from slipscan_loopback.cmr import Catalogue
from slipscan_loopback.disp_layers import gap_pixels, reference_pixel, rounded
from slipscan_loopback.http import LoopbackServer

pytestmark = pytest.mark.filterwarnings("ignore:The 'shapely.ops.transform.*:DeprecationWarning")  # asf_search's


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LoopbackServer, Catalogue, dict[str, Path]]]:
    with running(tmp_path_factory.mktemp("archive")) as made:
        yield made


# GUNW ----------------------------------------------------------------------------------------------------------------


def gunw_files(files: dict[str, Path], newer: datetime.date, older: datetime.date) -> list[Path]:
    found = [path for name, path in files.items() if f"tops-{newer:%Y%m%d}_{older:%Y%m%d}" in name]
    return sorted(found, key=lambda path: path.name.split("-")[6])  # by time: ascending, so from the south


def test_gunw_holds_the_motion_toward_from_older_to_newer(archive: Any) -> None:
    path = gunw_files(archive[2], LAST, FIRST)[0]
    with xr.open_dataset(path, group="science/grids/data", engine="netcdf4") as data:
        lat, lon = data.latitude.values, data.longitude.values
        phase = data.unwrappedPhase.values
        component = data.connectedComponents.values
    assert np.allclose(np.diff(lat), -1 / 1200) and np.allclose(np.diff(lon), 1 / 1200)
    assert np.allclose((lon - 1 / 2400) * 1200, np.round((lon - 1 / 2400) * 1200))  # centres of 3-arcsecond cells
    assert np.isnan(phase[0]).all() and np.isnan(component[:, 0]).all()  # the edge has no data
    truth = sum(
        sign * (SCENE.displacement(*np.meshgrid(lon, lat), date) + nuisance)
        for sign, date, nuisance in ((1, LAST, nuisances(lon, lat, LAST)), (-1, FIRST, nuisances(lon, lat, FIRST)))
    )
    cycles = (phase - 4 * np.pi / WAVELENGTH * truth) / (2 * np.pi)
    valid = ~np.isnan(phase)
    assert np.allclose(cycles[valid], np.round(np.nanmedian(cycles)), atol=1e-5)
    with h5py.File(path) as file:
        raw = file["science/grids/data/unwrappedPhase"]
        assert raw[0, 0] == 0 and file["science/grids/data/connectedComponents"][0, 0] == -1
        assert file["science/radarMetaData/wavelength"][()] == pytest.approx(WAVELENGTH)
        assert bytes(file["productBoundingBox"][0]).startswith(b"POLYGON ((32.4")


def nuisances(lon: Array, lat: Array, date: datetime.date) -> Array:
    grid = np.meshgrid(lon, lat)
    return SCENE.ionosphere(*grid, date) + SCENE.tide(*grid, date)


def test_gunw_corrections_remove_ionosphere_and_tide(archive: Any) -> None:
    path = gunw_files(archive[2], LAST, FIRST)[0]
    with xr.open_datatree(path, engine="netcdf4") as tree:
        data = tree["science/grids/data"].to_dataset()
        corrections = tree["science/grids/corrections"]
        ionosphere = corrections["derived/ionosphere"]["ionosphere"]
        tides = corrections["external/tides/solidEarth"]
        tide = tides["reference"]["solidEarthTide"] - tides["secondary"]["solidEarthTide"]
        inner = {"latitude": data.latitude[10:-10:7], "longitude": data.longitude[10:-10:7]}
        phase = data.unwrappedPhase.sel(inner) - ionosphere.interp(inner) - tide.interp(inner).interp(height=900.0)
        lon, lat = np.meshgrid(inner["longitude"], inner["latitude"])
        motion = (phase.transpose("latitude", "longitude").values * WAVELENGTH / (4 * np.pi)).astype(float)
    truth = SCENE.displacement(lon, lat, LAST)
    error = (motion - truth) - np.median(motion - truth)
    assert np.abs(error).max() < 1e-6
    assert np.std(nuisances(lon[0], lat[:, 0], LAST) - nuisances(lon[0], lat[:, 0], FIRST)) > 1e-3


def test_gunw_geometry_gives_the_line_of_sight_at_the_ground(archive: Any) -> None:
    path = gunw_files(archive[2], LAST, FIRST)[0]
    with xr.open_dataset(path, group="science/grids/imagingGeometry", engine="netcdf4") as cube:
        assert cube.incidenceAngle.dims == ("heightsMeta", "latitudeMeta", "longitudeMeta")
        assert list(cube.heightsMeta) == [-1500, 0, 3000, 9000]
        assert np.allclose(np.diff(cube.latitudeMeta), -0.1) and np.allclose(np.diff(cube.longitudeMeta), 0.1)
        at = {"longitudeMeta": 32.47, "latitudeMeta": 40.87, "heightsMeta": float(SCENE.height(32.47, 40.87))}
        incidence, azimuth = (np.deg2rad(float(cube[f"{name}Angle"].interp(at))) for name in ("incidence", "azimuth"))
    horizontal = np.sin(incidence)
    los = horizontal * np.cos(azimuth), horizontal * np.sin(azimuth), np.cos(incidence)
    assert np.allclose(los, SCENE.los(np.array(32.47), np.array(40.87)), atol=1e-6)
    assert los[0] < 0  # ascending, so the satellite is in the west
    with_ground_ignored = SCENE.los(np.array(32.47), np.array(40.87), 0.0)
    assert np.abs(los - with_ground_ignored).max() > 3e-4


def test_frames_overlap_and_differ_by_whole_cycles(archive: Any) -> None:
    south, north = (
        xr.load_dataset(path, group="science/grids/data", engine="netcdf4")
        for path in gunw_files(archive[2], SECOND, FIRST)
    )
    assert south.latitude.max() < north.latitude.max()
    shared = np.intersect1d(np.round(south.latitude, 9), np.round(north.latitude, 9))
    assert len(shared) == pytest.approx(0.2 * 120, abs=1)
    middle = shared[3:-3]
    difference = (
        north.unwrappedPhase.sel(latitude=middle, method="nearest")
        - south.unwrappedPhase.sel(latitude=middle, method="nearest").values
    ).values[:, 3:-3] / (2 * np.pi)
    assert np.allclose(difference, np.round(difference), atol=1e-5)
    steps = {}
    for older, newer in SCENE.pairs(1):
        for frame in gunw.frames(SCENE, 2):
            draw = np.random.default_rng((SCENE.seed, frame.number, older.toordinal(), newer.toordinal()))
            steps[older, frame.number] = int(draw.integers(-2, 3))
    assert len(set(steps.values())) == 5


# DISP-S1 -------------------------------------------------------------------------------------------------------------


def test_disp_pairs_move_their_reference() -> None:
    dates = SCENE.dates
    made = disp.pairs(SCENE, disp.moving_references(SCENE, 5))
    assert made[:6] == [(dates[0], date) for date in dates[1:6]] + [(dates[5], dates[6])]
    assert made[-1] == (dates[10], dates[11]) and len(made) == 11
    assert {reference for reference, _ in disp.pairs(SCENE)} == {dates[0]}


def test_disp_holds_the_motion_toward_since_its_reference(archive: Any) -> None:
    path = next(path for name, path in archive[2].items() if "VV_20200303T154030Z_20200409T154030Z" not in name
                and "_20200514T154030Z_v1.0_" in name)  # fmt: skip
    with h5py.File(path) as file, xr.open_dataset(path, engine="netcdf4") as root:
        reference = root.reference_time.values[0].astype("datetime64[D]").item()
        secondary = root.time.values[0].astype("datetime64[D]").item()
        assert (reference, secondary) == (SCENE.dates[10], LAST)
        assert bytes(file["identification/secondary_datetime"][()]) == b"2020-05-14 15:40:30.000000"
        assert file["identification/frame_id"][()] == disp.FRAME
        grid = SCENE.metric_grid(POSTING)
        assert np.array_equal(root.x, grid.x) and np.array_equal(root.y, grid.y)
        assert "UTM zone 36N" in root.spatial_ref.attrs["crs_wkt"]
        lon, lat = grid.lonlat()
        corrected = root.displacement.values.astype(float)
        for name in ("ionospheric_delay", "solid_earth_tide"):
            corrected -= file[f"corrections/{name}"][:]
        mask, component = file["recommended_mask"][:], file["connected_component_labels"][:]
        point = file["corrections/reference_point"].attrs
        row, column = point["rows"][0], point["cols"][0]
        assert (row, column) == reference_pixel(SCENE, grid)
        assert np.isclose(point["longitudes"][0], SCENE.reference_point[0], atol=0.001)
        assert root.displacement.values[row, column] == 0
    truth = SCENE.displacement(lon, lat, LAST) - SCENE.displacement(lon, lat, reference)
    error = corrected - truth
    assert np.nanmax(np.abs(error - error[row, column])) < 3e-5  # mantissas of 12 and 10 bits
    assert np.isnan(corrected[0]).all() and not np.isnan(corrected[2:-2, 2:-2]).any()
    assert set(np.unique(mask)) == {0, 1, 255} and set(np.unique(component)) == {0, 1, 65535}


def test_chained_products_give_the_series(archive: Any) -> None:
    """Along the reference dates the products add up to the displacement since the first date."""
    lon, lat = SCENE.metric_grid(POSTING).lonlat()
    total = np.zeros(lon.shape)
    for reference, secondary in ((SCENE.dates[0], SCENE.dates[5]), (SCENE.dates[5], SCENE.dates[10]),
                                 (SCENE.dates[10], LAST)):  # fmt: skip
        with h5py.File(archive[2][disp.file_name(SCENE, reference, secondary)]) as file:
            total += file["displacement"][:]
            total -= file["corrections/solid_earth_tide"][:] + file["corrections/ionospheric_delay"][:]
    error = total - SCENE.displacement(lon, lat, LAST)
    assert np.nanmax(np.abs(error - np.nanmedian(error))) < 1e-4


def test_static_layers_point_from_the_ground_to_the_satellite(archive: Any) -> None:
    files = archive[2]
    with rasterio.open(files[f"{disp.static_name()}_line_of_sight_enu.tif"]) as file:
        los, crs = file.read(masked=True), file.crs
        assert file.nodata == 0
    with rasterio.open(files[f"{disp.static_name()}_dem.tif"]) as file:
        height = file.read(1)
    lon, lat = SCENE.metric_grid(POSTING).lonlat()
    assert crs.to_epsg() == 32636
    assert np.abs(los - SCENE.los(lon, lat)).max() < 6e-4  # a mantissa of 9 bits
    check_los(*(band.filled(np.nan) for band in los), "ascending", "the static layers")
    assert np.allclose(height, SCENE.height(lon, lat), atol=0.01)


def test_pixels_can_be_missing_at_a_crossover(tmp_path: Path) -> None:
    _, files = disp.publish(
        SCENE, tmp_path, disp.moving_references(SCENE, 5), missing=SCENE.dates[2:5], crossover_gap=True, posting_m=500
    )
    assert sum(name.endswith(".nc") for name in files) == 8
    lon, lat = SCENE.metric_grid(500).lonlat()
    gap = gap_pixels(SCENE, lon, lat)
    for secondary, lacks in ((SCENE.dates[1], False), (SCENE.dates[5], True), (SCENE.dates[6], False)):
        path = next(path for name, path in files.items() if f"Z_{secondary:%Y%m%d}T" in name)
        with h5py.File(path) as file:
            assert np.isnan(file["displacement"][:][gap]).all() == lacks


def test_files_are_the_same_bytes_every_time(tmp_path: Path) -> None:
    frame = gunw.frames(SCENE)[0]
    for name in ("a", "b"):
        gunw.write(tmp_path / f"{name}.nc", SCENE, FIRST, SECOND, frame)
        disp.write(tmp_path / f"{name}.h5", SCENE, FIRST, SECOND, 500)
    for suffix in ("nc", "h5"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


def test_rounding_keeps_the_bits() -> None:
    values = np.array([0.0, 1.0, 1 + 2**-12, 1 + 2**-14, -0.0312345, np.nan], np.float32)
    kept = rounded(values, 12)
    assert np.array_equal(kept[:4], [0, 1, 1 + 2**-12, 1]) and np.isnan(kept[5])
    assert abs(kept[4] / values[4] - 1) < 2**-13
