"""Tropospheric delays: which acquisitions need one, from which source, and never twice."""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import insar_scene as scenes
from job_builders import job_of, observed
from slipscan.archive.joining.observations import assemble
from slipscan.archive.reading.cubes import Cube
from slipscan.archive.troposphere import correction as troposphere
from slipscan.archive.troposphere import opera
from slipscan.archive.troposphere.delays import Delays, at_pixels, toward
from slipscan.errors import SlipscanError
from slipscan.geometry import read_grid
from slipscan.regions import Region, read_regions
from slipscan.settings import ArchiveSettings, Corrections
from slipscan.store import open_zarr
from slipscan_loopback import tropo
from slipscan_loopback.archive import Layout, LoopbackArchive
from slipscan_loopback.geotiff import write_geotiff
from slipscan_loopback.scene import TrueScene, acquisitions
from troposphere_builders import (
    PAIR,
    REGION,
    crop,
    geographic,
    write_gacos,
    zeros,
)

AS_OF = "2021-01-01"
SCENE = TrueScene(dates=acquisitions(count=2), delay_m=0.02, pass_time=datetime.time(15, 40, 30))
LAYOUT = Layout(
    neighbours=1, aria_frames=1, opera_posting_m=240.0, hyp3_posting_m=240.0, licsar_posting_deg=0.002,
    gacos=False, opera_tropo=True, tropo_step_deg=0.0025,
)  # fmt: skip
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")


# OPERA TROPO-ZENITH through the real client ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackArchive]:
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
        settings = ArchiveSettings(corrections=Corrections(troposphere=kind))
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
