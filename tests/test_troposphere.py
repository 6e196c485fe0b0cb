"""Tropospheric delays: from OPERA, GACOS and ERA5 files to interferograms without them, once, with the right sign."""

from __future__ import annotations

import dataclasses
import datetime
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from pyproj import CRS

import insar_scene as scenes
from job_builders import job_of, observed
from slipscan.archive.joining.observations import assemble
from slipscan.archive.reading.cubes import Cube
from slipscan.archive.troposphere import correction as troposphere
from slipscan.archive.troposphere import era5, gacos, opera
from slipscan.archive.troposphere.delays import Delays, at_pixels, toward
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid, read_grid, write_grid
from slipscan.regions import Region, read_regions
from slipscan.settings import ArchiveSettings, Corrections
from slipscan.store import open_zarr
from slipscan.vocabulary import annotate
from slipscan_loopback import tropo
from slipscan_loopback.archive import Layout, LoopbackArchive
from slipscan_loopback.geotiff import write_geotiff
from slipscan_loopback.scene import TrueScene, acquisitions

AS_OF = "2021-01-01"
SCENE = TrueScene(dates=acquisitions(count=2), delay_m=0.02, pass_time=datetime.time(15, 40, 30))
LAYOUT = Layout(
    neighbours=1, aria_frames=1, opera_posting_m=240.0, hyp3_posting_m=240.0, licsar_posting_deg=0.002,
    gacos=False, opera_tropo=True, tropo_step_deg=0.0025,
)  # fmt: skip
WGS84 = CRS.from_epsg(4326)
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")


def zeros(shape: tuple[int, ...], dtype: type[np.generic]) -> np.ndarray:
    return np.zeros(shape, dtype)


# OPERA TROPO-ZENITH through the real client ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EARTHDATA_TOKEN", "loopback-secret")
        directory = tmp_path_factory.mktemp("loopback")
        grid = SCENE.geographic_grid(0.002)
        write_geotiff(directory / "dem.tif", SCENE.height(*grid.lonlat()).astype(np.float32), grid, None)
        with LoopbackArchive(directory, SCENE, layout=LAYOUT, polls=0) as running:
            (directory / "regions.geojson").write_text(json.dumps(running.regions()))
            yield running


def region_of(archive: LoopbackArchive, family: str) -> Region:
    return read_regions(archive.directory / "regions.geojson")[f"LOOP-{family.upper()}"]


def settings_of(archive: LoopbackArchive, kind: str, **others: object) -> ArchiveSettings:
    own = {"corrections": {"troposphere": kind}, "dem": str(archive.directory / "dem.tif"), **others}
    return ArchiveSettings.model_validate({**archive.config()["archive"], **own})


def observe(
    archive: LoopbackArchive, family: str, settings: ArchiveSettings, out: Path
) -> tuple[xr.Dataset, pd.DataFrame]:
    """Search, (order,) and fetch as the rules do."""
    job = job_of(region_of(archive, family), settings, out / "cache")
    return open_zarr(observed(job, AS_OF, out)).load(), pd.read_csv(out / "inventory.csv")


def truth(dataset: xr.Dataset, index: int) -> np.ndarray:
    lon, lat = read_grid(dataset).lonlat()
    older, newer = (datetime.date.fromisoformat(str(dataset[name].values[index])[:10]) for name in troposphere.DATES)
    return np.asarray(SCENE.displacement(lon, lat, newer) - SCENE.displacement(lon, lat, older))


def misfit(dataset: xr.Dataset) -> float:
    """Largest departure of an interferogram from the truth, m, but for the constant that unwrapping leaves."""
    worst = 0.0
    for index in range(dataset.sizes["pair"]):
        difference = dataset["interferogram"].values[index] - truth(dataset, index)
        worst = max(worst, float(np.nanmax(np.abs(difference - np.nanmedian(difference)))))
    return worst


@pytest.mark.parametrize("family", ["aria", "opera", "hyp3", "licsar"])
def test_a_scene_with_delay_comes_back_as_the_truth(archive: LoopbackArchive, family: str, tmp_path: Path) -> None:
    corrected, inventory = observe(archive, family, settings_of(archive, "opera_tropo"), tmp_path)
    # Linear between nodes of 0.0025 degrees, waves of 10 km are followed to 0.05 mm a date; measured 0.05 to 0.08.
    assert misfit(corrected) < 1.5e-4, f"{1e3 * misfit(corrected):.3f} mm"
    record = json.loads(corrected.attrs["corrections"])["troposphere"]
    assert record == {
        "kind": "opera_tropo", "acquisition_time": "15:40:30", "epochs": [f"{date}" for date in SCENE.dates],
    }  # fmt: skip
    received = [name for name in inventory["name"] if name.startswith("OPERA_L4_TROPO")]
    assert received == sorted(tropo.file_name(t) for date in SCENE.dates for t in tropo.model_times(SCENE, date))
    assert not list((tmp_path / "cache" / "downloads" / "opera_tropo").glob("*.nc")), "granules are evicted"


def test_without_the_correction_the_delay_is_there_and_nothing_is_fetched_twice(
    archive: LoopbackArchive, tmp_path: Path
) -> None:
    plain, _ = observe(archive, "aria", settings_of(archive, "none"), tmp_path)
    assert misfit(plain) > 5e-3, "otherwise a correction that is left out, or of the wrong sign, could not be seen"
    assert json.loads(plain.attrs["corrections"])["troposphere"] is False
    # Another choice takes the crops from the cache; a second run asks neither for granules nor for delays.
    before = len(archive.server.requests)
    first, _ = observe(archive, "aria", settings_of(archive, "opera_tropo"), tmp_path)
    asked = [request.path for request in archive.server.requests[before:]]
    assert not any("GUNW" in path for path in asked) and sum("TROPO" in path for path in asked) == 4
    before = len(archive.server.requests)
    second, _ = observe(archive, "aria", settings_of(archive, "opera_tropo"), tmp_path)
    assert not any("/data/" in request.path for request in archive.server.requests[before:])
    xr.testing.assert_identical(first, second)


def test_delays_that_the_catalogue_lacks_are_named(archive: LoopbackArchive, tmp_path: Path) -> None:
    job = job_of(region_of(archive, "aria"), settings_of(archive, "opera_tropo"), tmp_path)
    with pytest.raises(SlipscanError, match=r"no OPERA TROPO-ZENITH around 2020-01-10, 2020-01-11: end as_of"):
        troposphere.of_dates(["2020-01-03", "2020-01-10", "2020-01-11"], ["15:40:30"], job)


def test_the_real_nodes_follow_a_delay_of_long_waves(tmp_path: Path) -> None:
    """At 0.07 degrees a delay that is linear over a node's step is exact; that of the scene's waves is not resolved."""
    scene = dataclasses.replace(SCENE, delay_m=0.0)
    date = scene.dates[0]
    before, after = tropo.model_times(scene, date)
    cubes = []
    for time in (before, after):
        tropo.write(tmp_path / tropo.file_name(time), scene, date, time)
        cubes.append(opera.read_window(tmp_path / tropo.file_name(time), (*scene.extent,)))
    share = (scene.time(date) - before) / (after - before)
    cube = cubes[0].replaced((1 - share) * cubes[0].values + share * cubes[1].values)
    lon, lat = np.array([32.45, 32.5, 32.55]), np.array([40.82, 40.85, 40.88])
    found = at_pixels(cube, lon, lat, np.full(3, 1000.0))
    # The dry delay at 1000 m; the drift of 3 mm an hour has cancelled to the float32 of the file.
    np.testing.assert_allclose(found, 2.3 * np.exp(-1 / 8), atol=2e-6)
    assert np.ptp(at_pixels(cubes[0], lon, lat, np.full(3, 1000.0))) > 5e-3


def test_a_broken_or_strange_file_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "OPERA_L4_TROPO-ZENITH_x.nc"
    path.write_bytes(b"no HDF5")
    with pytest.raises(SlipscanError, match="truncated or no HDF5"):
        opera.read_window(path, (32, 40, 33, 41))
    tropo.write(path, SCENE, SCENE.dates[0], SCENE.time(SCENE.dates[0]))
    with pytest.raises(SlipscanError, match="does not cover the region"):
        opera.read_window(path, (10, 40, 11, 41))


def test_files_around_a_moment() -> None:
    def at(day: int, hour: int, minute: int = 0) -> datetime.datetime:
        return datetime.datetime(2020, 1, day, hour, minute, tzinfo=datetime.UTC)

    assert opera.model_times(at(3, 15, 40)) == (at(3, 12), at(3, 18))
    assert opera.model_times(at(3, 23, 59)) == (at(3, 18), at(4, 0))
    assert opera.model_times(at(3, 6)) == (at(3, 6), at(3, 6))


# Line of sight, sign, and never twice ---------------------------------------------------------------------------------


def geographic(rows: int = 8, columns: int = 6, west: float = 32.4, north: float = 41.0, step: float = 0.01) -> Grid:
    return Grid(west + (np.arange(columns) + 0.5) * step, north - (np.arange(rows) + 0.5) * step, WGS84)


REGION = Region.model_validate(
    {
        "id": "AIR",
        "name": "Air",
        "archive": "aria",
        "tracks": [{"id": "087A", "relative_orbit": 87, "orbit_direction": "ascending"}],
        "reference_point": (32.43, 40.95),
        "tectonic_setting": "test",
        "polygon": [(32.41, 40.93), (32.45, 40.93), (32.45, 40.99), (32.41, 40.93)],
    }
)
TRACK = REGION.tracks[0]
PAIR = ("2020-01-03", "2020-01-15")


def crop(value: float = 0.010, names: tuple[str, ...] = (), **attributes: str) -> tuple[pd.Series, xr.Dataset]:
    """A granule of one value; 60 degrees incidence would be u = 0.5, here u = 0.8 (e = -0.6)."""
    grid = geographic()
    fields = {"interferogram": value, "los_east": -0.6, "los_north": 0.0, "los_up": 0.8, "height": 500.0}
    fields |= dict.fromkeys(names, 0.004)
    data = xr.Dataset({name: (("y", "x"), np.full(grid.shape, number)) for name, number in fields.items()})
    row = pd.Series({"granule": "_".join(PAIR), "reference_date": PAIR[0], "secondary_date": PAIR[1], "frame": "1"})
    return row, annotate(write_grid(data, grid), "granule").assign_attrs(attributes)


def delays(kind: str = "era5", older: float = 2.30, newer: float = 2.34) -> Delays:
    noon = datetime.time(12, tzinfo=datetime.UTC)
    moments = {date: datetime.datetime.combine(datetime.date.fromisoformat(date), noon) for date in PAIR}
    nodes = np.array([32.3, 32.7]), np.array([40.8, 41.2]), np.array([0.0, 1000.0])

    def zenith(moment: datetime.datetime) -> Cube:
        base = older if moment == moments[PAIR[0]] else newer
        levels = base - np.array([0.0, 0.2])[:, None, None]  # 0.1 m less at 500 m
        return Cube(np.broadcast_to(levels, (2, 2, 2)), nodes[2], nodes[1], nodes[0])

    return Delays(kind, moments, zenith)


def test_a_longer_path_looks_like_motion_away() -> None:
    # The air of the newer date delays by 40 mm more at the zenith, 50 mm along the line of sight (u = 0.8): the ground
    # seems to have moved 50 mm away, so that of 10 mm toward 60 mm are left.
    corrected = assemble(
        [crop(0.010)],
        job_of(REGION, ArchiveSettings(corrections=Corrections(troposphere="era5"))),
        zeros,
        delays=delays(),
    )
    np.testing.assert_allclose(corrected["interferogram"].values, 0.060, atol=1e-6)
    record = json.loads(corrected.attrs["corrections"])["troposphere"]
    assert record == {"kind": "era5", "acquisition_time": "12:00:00", "epochs": list(PAIR)}


def test_delay_is_taken_at_the_pixels_height() -> None:
    _, data = crop()
    geometry = {name: data[name].values for name in ("los_up", "height")}
    low = toward(delays(), geographic(), geometry, zeros, "here")[PAIR[0]]
    np.testing.assert_allclose(low, -(2.30 - 0.1) / 0.8, rtol=1e-6)
    geometry["height"] = geometry["height"].copy()
    geometry["height"][2, 3] = np.nan
    gap = toward(delays(), geographic(), geometry, zeros, "here")[PAIR[0]]
    assert np.isnan(gap[2, 3]) and np.isfinite(gap).sum() == gap.size - 1


@pytest.mark.parametrize("missing", ["height", "los_up"])
def test_without_height_or_line_of_sight_there_is_no_correction(missing: str) -> None:
    row, data = crop()
    with pytest.raises(SlipscanError, match=f"troposphere 'era5' needs the {missing} of region AIR track 087A"):
        assemble(
            [(row, data.drop_vars(missing))],
            job_of(REGION, ArchiveSettings(corrections=Corrections(troposphere="era5"))),
            zeros,
            True,
            delays(),
        )


def test_delays_that_end_before_the_pixels_are_refused() -> None:
    far = dataclasses.replace(delays(), zenith=lambda _: Cube(np.ones((1, 2, 2)), np.zeros(1), np.array([45.0, 46]),
                                                              np.array([32.0, 33])))  # fmt: skip
    _, data = crop()
    with pytest.raises(SlipscanError, match=r"era5 delay of 2020-01-03 ends at 45\.000 and 46\.000 degrees"):
        toward(far, geographic(), {n: data[n].values for n in ("los_up", "height")}, zeros, "here")


def test_the_layer_of_the_granules_is_used_once(tmp_path: Path) -> None:
    crops = [crop(0.010, ("troposphere",), troposphere="gacos")]
    settings = ArchiveSettings(corrections=Corrections(troposphere="gacos"), troposphere_dir=str(tmp_path))
    assert troposphere.fetch(crops, job_of(REGION, settings, tmp_path)) is None, "nothing from outside is needed"
    dataset = assemble(crops, job_of(REGION, settings), zeros)
    np.testing.assert_allclose(dataset["interferogram"].values, 0.006, atol=1e-7)
    assert json.loads(dataset.attrs["corrections"])["troposphere"] == {"kind": "gacos", "epochs": list(PAIR)}


def test_what_was_corrected_before_is_not_corrected_again(tmp_path: Path) -> None:
    crops = [crop(0.010, corrections_as_delivered="tide ERA5")]
    for kind in ("era5", "gacos", "opera_tropo", "none"):
        settings = ArchiveSettings(corrections=Corrections(troposphere=kind))  # type: ignore[arg-type]
        assert troposphere.fetch(crops, job_of(REGION, settings, tmp_path)) is None
        dataset = assemble(crops, job_of(REGION, settings), zeros)
        np.testing.assert_allclose(dataset["interferogram"].values, 0.010, atol=1e-7)
        assert json.loads(dataset.attrs["corrections"])["troposphere"] == {"kind": "delivered", "epochs": list(PAIR)}
    with pytest.raises(SlipscanError, match="out of 1 of 2 granules of region AIR track 087A as delivered"):
        assemble(
            [*crops, crop()],
            job_of(REGION, ArchiveSettings(corrections=Corrections(troposphere="era5"))),
            zeros,
            True,
            delays(),
        )


def test_times_of_day() -> None:
    assert troposphere.time_of_day([]) is None
    assert troposphere.time_of_day(["15:40:30", "15:40:56"]) == datetime.time(15, 40, 43)
    assert troposphere.time_of_day(["23:59:50", "00:00:10"]) == datetime.time(0, 0)
    # Passes of Sentinel-1 over Ismetpasa: track 087 ascending at 15:49, track 65 descending at 04:00 UTC.
    for direction, hours in (("ascending", 15.8), ("descending", 4.0)):
        time = troposphere.nominal_time(32.6, 40.9, direction)
        assert abs(time.hour + time.minute / 60 - hours) < 0.6, direction


# GACOS ----------------------------------------------------------------------------------------------------------------


def write_gacos(directory: Path, date: str, value: float, west: float = 32.2, north: float = 41.2) -> None:
    """Nodes of 0.01 degrees; the delay falls by 1 mm a node to the east and 2 mm a node to the south."""
    rows, columns = np.mgrid[0:60, 0:50]
    (value - 0.001 * columns - 0.002 * rows).astype("<f4").tofile(directory / f"{date}.ztd")
    header = {"WIDTH": 50, "FILE_LENGTH": 60, "X_FIRST": west, "Y_FIRST": north, "X_STEP": 0.01, "Y_STEP": -0.01}
    (directory / f"{date}.ztd.rsc").write_text("".join(f"{key:<16}{number}\n" for key, number in header.items()))


def test_gacos_node_by_node(tmp_path: Path) -> None:
    write_gacos(tmp_path, "20200103", 2.4)
    cube = gacos.read(tmp_path / "20200103.ztd", (32.3, 40.8, 32.5, 41.0))
    # 32.405 E is 20.5 nodes east of the first, 40.95 N is 25 south: 2.4 - 0.0205 - 0.050.
    np.testing.assert_allclose(at_pixels(cube, np.array(32.405), np.array(40.95), np.array(0.0)), 2.3295, atol=1e-6)


def test_gacos_as_geotiff_is_the_same(tmp_path: Path) -> None:
    write_gacos(tmp_path, "20200103", 2.4)
    values = np.fromfile(tmp_path / "20200103.ztd", "<f4").reshape(60, 50)
    # Pixels whose centres are the nodes.
    write_geotiff(
        tmp_path / "20200115.ztd.tif", values, Grid(32.2 + 0.01 * np.arange(50), 41.2 - 0.01 * np.arange(60), WGS84), 0
    )
    box = (32.3, 40.8, 32.5, 41.0)
    one, other = (gacos.read(tmp_path / name, box) for name in ("20200103.ztd", "20200115.ztd.tif"))
    at = np.array([32.405, 32.35]), np.array([40.95, 40.9]), np.zeros(2)
    np.testing.assert_allclose(at_pixels(one, *at), at_pixels(other, *at), atol=1e-6)


def test_gacos_corrects_any_archive(tmp_path: Path) -> None:
    write_gacos(tmp_path, "20200103", 2.40)
    write_gacos(tmp_path, "20200115", 2.44)
    settings = ArchiveSettings(corrections=Corrections(troposphere="gacos"), troposphere_dir=str(tmp_path))
    row, data = crop(0.010, acquisition_time="15:40:30")
    crops = [(row, data.drop_vars("height"))]  # GACOS has its own topography
    made = troposphere.fetch(crops, job_of(REGION, settings, tmp_path))
    assert made is not None and [file.name for file in made.received][:2] == ["20200103.ztd", "20200103.ztd.rsc"]
    dataset = assemble(crops, job_of(REGION, settings), zeros, delays=made)
    np.testing.assert_allclose(dataset["interferogram"].values, 0.010 + 0.04 / 0.8, atol=1e-6)


def test_gacos_says_what_is_missing(tmp_path: Path) -> None:
    settings = ArchiveSettings(corrections=Corrections(troposphere="gacos"))
    with pytest.raises(SlipscanError, match=r"1 of 1 granules .*dates 2020-01-03, 2020-01-15\): order .*gacos.net"):
        troposphere.fetch([crop()], job_of(REGION, settings, tmp_path))
    write_gacos(tmp_path, "20200103", 2.4)
    settings = ArchiveSettings(corrections=Corrections(troposphere="gacos"), troposphere_dir=str(tmp_path))
    with pytest.raises(
        SlipscanError, match=r"no GACOS delay of 20200115: order them at gacos.net for 15:40 UTC and 32"
    ):
        troposphere.fetch([crop(acquisition_time="15:40:30")], job_of(REGION, settings, tmp_path))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda d: (d / "a.ztd").write_bytes((d / "a.ztd").read_bytes()[:-4]),
            "holds 2999 values, its header says 3000",
        ),
        (lambda d: (d / "a.ztd.rsc").write_text("WIDTH 50\n"), "lacks WIDTH, FILE_LENGTH"),
        (lambda d: write_gacos(d, "a", 2400.0), "zenith delay is 0.3 to 3.5 m"),
        (lambda d: write_gacos(d, "a", 2.4, west=10.0), "lies outside the region"),
    ],
)
def test_bad_gacos_files_are_one_sentence(change, words: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    write_gacos(tmp_path, "a", 2.4)
    change(tmp_path)
    with pytest.raises(SlipscanError, match=words):
        gacos.read(tmp_path / "a.ztd", (32.3, 40.8, 32.5, 41.0))


# ERA5 -----------------------------------------------------------------------------------------------------------------

G0, RD = 9.80665, 287.05
LEVELS = np.array([1000, 950, 900, 850, 800, 700, 600, 500, 400, 300, 200, 100, 50, 20, 10, 5, 2, 1]) * 100.0
TEMPERATURE = 270.0


def isothermal(humidity_scale_m: float | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """z, t, q of an atmosphere of one temperature, 1013.25 hPa at sea level; vapour falls off exponentially."""
    height = RD * TEMPERATURE / G0 * np.log(101325.0 / LEVELS)  # geopotential metres
    shape = (len(LEVELS), 2, 2)
    z = np.broadcast_to((G0 * height)[:, None, None], shape)
    vapour = np.zeros(len(LEVELS)) if humidity_scale_m is None else 1000.0 * np.exp(-height / humidity_scale_m)
    ratio = RD / 461.495
    q = ratio * vapour / (LEVELS - (1 - ratio) * vapour)
    return z, np.full(shape, TEMPERATURE), np.broadcast_to(q[:, None, None], shape)


def zenith(humidity_scale_m: float | None, heights: np.ndarray) -> np.ndarray:
    z, t, q = isothermal(humidity_scale_m)
    latitude = np.array([45.0, 45.0])
    return era5.zenith_delay(LEVELS, z, t, q, latitude, heights)[:, 0, 0]


def test_dry_air_of_one_temperature_has_a_closed_form() -> None:
    heights = np.array([0.0, 1000.0, 3000.0])
    # P = P0 exp(-g h / Rd T); the refractivity 1e-6 k1 P / T integrates to 1e-6 k1 Rd P / g, g about 9.784 m/s2.
    pressure = 101325.0 * np.exp(-G0 * heights / (RD * TEMPERATURE))
    expected = 1e-6 * 0.776 * RD * pressure / (9.784 * (1 - 2.8e-7 * heights))
    np.testing.assert_allclose(zenith(None, heights), expected, rtol=3e-4)  # geopotential for geometric height
    assert zenith(None, heights)[0] == pytest.approx(2.307, abs=1e-3), "the 2.3 m of every textbook"


def test_the_mean_gravity_makes_the_hydrostatic_delay_the_integral_of_the_refractivity() -> None:
    geometric = np.linspace(0, 90e3, 90001)
    gravity = G0 * (6.371e6 / (6.371e6 + geometric)) ** 2  # 9.806 at sea level at 45 degrees
    pressure = 101325.0 * np.exp(-np.cumsum(gravity) * 1.0 / (RD * TEMPERATURE))
    integral = 1e-6 * 0.776 * float(np.sum(pressure / TEMPERATURE))
    assert zenith(None, np.zeros(1))[0] == pytest.approx(integral, rel=1e-3)


def test_vapour_that_falls_off_exponentially_has_a_closed_form() -> None:
    heights, scale = np.array([0.0, 500.0, 2000.0]), 2000.0
    wet = zenith(scale, heights) - zenith(None, heights)
    vapour = 1000.0 * np.exp(-heights / scale)
    k2 = 0.716 - 0.776 * RD / 461.495
    expected = 1e-6 * (k2 / TEMPERATURE + 3.75e3 / TEMPERATURE**2) * vapour * scale
    # The lowest level of 1000 hPa lies 105 m up, from where vapour is taken as constant: 2.6 % of 105 m at sea level.
    np.testing.assert_allclose(wet[1:], expected[1:], rtol=2e-3)
    assert wet[0] == pytest.approx(expected[0], rel=5e-3)
    assert 0.1 < expected[0] < 0.2


def write_era5(
    path: Path,
    hour: str,
    scale_m: float | None,
    longitude: np.ndarray,
    time: str = "valid_time",
    level: str = "pressure_level",
) -> None:
    z, t, q = isothermal(scale_m)
    latitude = np.arange(41.75, 40.0, -0.25)
    shape = (1, len(LEVELS), len(latitude), len(longitude))
    dims = (time, level, "latitude", "longitude")
    layers = {
        name: (dims, np.broadcast_to(part[None, :, :1, :1], shape).astype("f4"))
        for name, part in zip("ztq", (z, t, q), strict=True)
    }
    coords = {
        time: [np.datetime64(hour, "ns")],
        level: LEVELS / 100,
        "latitude": latitude,
        "longitude": longitude,
        "number": 0,
        "expver": "0001",
    }
    xr.Dataset(layers, coords).to_netcdf(path, engine="netcdf4")


def test_era5_files_correct_any_archive(tmp_path: Path) -> None:
    east = np.arange(31.5, 33.5, 0.25)
    write_era5(tmp_path / "ERA5_20200103_16.nc", "2020-01-03T16:00", None, east)
    write_era5(tmp_path / "ERA5_20200115_16.nc", "2020-01-15T16:00", 2000.0, east, "time", "level")
    settings = ArchiveSettings(corrections=Corrections(troposphere="era5"), troposphere_dir=str(tmp_path))
    crops = [crop(0.010, acquisition_time="15:40:30")]
    made = troposphere.fetch(crops, job_of(REGION, settings, tmp_path))
    assert made is not None and [file.name for file in made.received] == ["ERA5_20200103_16.nc", "ERA5_20200115_16.nc"]
    dataset = assemble(crops, job_of(REGION, settings), zeros, delays=made)
    # Vapour of 10 hPa at sea level delays by 115 mm, at the crop's 500 m by exp(-500 / 2000) of it; u is 0.8.
    wet = zenith(2000.0, np.array([500.0]))[0] - zenith(None, np.array([500.0]))[0]
    np.testing.assert_allclose(dataset["interferogram"].values, 0.010 + wet / 0.8, atol=2e-5)
    assert wet > 0.08


def test_era5_of_longitudes_from_0_to_360(tmp_path: Path) -> None:
    path, hour = tmp_path / "ERA5_20200103_16.nc", datetime.datetime(2020, 1, 3, 16, tzinfo=datetime.UTC)
    write_era5(path, "2020-01-03T16:00", None, np.arange(238.0, 240.0, 0.25))
    cube = era5.read(path, hour, (-121.2, 40.6, -120.8, 41.0))
    assert cube.longitude.min() >= -122 and cube.longitude.max() <= -120
    np.testing.assert_allclose(np.ptp(cube.values, axis=2), 0, atol=1e-12)


def test_era5_says_what_to_request(tmp_path: Path) -> None:
    settings = ArchiveSettings(corrections=Corrections(troposphere="era5"))
    crops = [crop(acquisition_time="23:40:00")]
    with pytest.raises(SlipscanError, match=r"name archive\.troposphere_dir"):
        troposphere.fetch(crops, job_of(REGION, settings, tmp_path))
    settings = ArchiveSettings(corrections=Corrections(troposphere="era5"), troposphere_dir=str(tmp_path))
    words = (
        r"no ERA5_20200104_00.nc, ERA5_20200116_00.nc \(day and hour, UTC\): request reanalysis-era5-pressure-levels.*"
        r"area 41.52/31.87/40.40/32.99"
    )
    with pytest.raises(SlipscanError, match=words):
        troposphere.fetch(crops, job_of(REGION, settings, tmp_path))


def test_era5_of_another_hour_or_of_few_levels_is_refused(tmp_path: Path) -> None:
    path, hour = tmp_path / "ERA5_20200103_16.nc", datetime.datetime(2020, 1, 3, 16, tzinfo=datetime.UTC)
    write_era5(path, "2020-01-03T15:00", None, np.arange(31.5, 33.5, 0.25))
    with pytest.raises(SlipscanError, match="is of 2020-01-03T15:00, not of 2020-01-03T16:00 UTC"):
        era5.read(path, hour, (32.3, 40.9, 32.5, 41.0))
    write_era5(path, "2020-01-03T16:00", None, np.arange(31.5, 33.5, 0.25))
    with xr.load_dataset(path) as whole:
        whole.isel(pressure_level=slice(0, 4)).to_netcdf(path)
    with pytest.raises(SlipscanError, match="levels from 1000 to 850 hPa: request all levels"):
        era5.read(path, hour, (32.3, 40.9, 32.5, 41.0))


# The user's own interferograms ----------------------------------------------------------------------------------------


LOCAL = ArchiveSettings.model_validate({"corrections": {"troposphere": "gacos"}})


def local_observations(tmp_path: Path, settings: ArchiveSettings) -> xr.Dataset:
    """Two dates in the layout of LiCSAR in the user's directory, through the stage."""
    made = scenes.scene([(0, 1)])
    scenes.write_licsar(tmp_path / "data", made)
    region = scenes.region("licsar", "data")
    own = settings.model_copy(update={"data_root": str(tmp_path)})
    return open_zarr(observed(job_of(region, own, tmp_path), AS_OF, tmp_path)).load()


def test_local_interferograms_are_corrected_too(tmp_path: Path) -> None:
    plain = local_observations(tmp_path, ArchiveSettings())
    (tmp_path / "gacos").mkdir()
    for date, value in zip(scenes.DATES[:2], (2.40, 2.36), strict=True):
        write_gacos(tmp_path / "gacos", date.replace("-", ""), value)
    settings = LOCAL.model_copy(update={"troposphere_dir": str(tmp_path / "gacos")})
    corrected = local_observations(tmp_path, settings)
    # 40 mm less delay looks like motion toward: it is taken out.
    expected = plain["interferogram"] - 0.04 / plain["los_up"]
    np.testing.assert_allclose(corrected["interferogram"].values, expected.values, atol=2e-6)
    assert json.loads(corrected.attrs["corrections"])["troposphere"]["epochs"] == list(scenes.DATES[:2])
    assert "20200103.ztd.rsc" in (tmp_path / "inventory.csv").read_text()
