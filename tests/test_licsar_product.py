"""LiCSAR interferograms: phase, delay, windows, and what is refused."""

from __future__ import annotations

import dataclasses
import datetime
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import requests
import xarray as xr

import insar_scene as scenes
from job_builders import job_of
from licsar_builders import FRAME, region_of, search, settings_for
from slipscan.archive.extent import crop_bounds
from slipscan.archive.granules import RemoteFile
from slipscan.archive.licsar.archive import Licsar
from slipscan.archive.reading.layers import LOS
from slipscan.errors import SlipscanError
from slipscan.geometry import read_grid
from slipscan.regions import Region
from slipscan.vocabulary import check
from slipscan_loopback.http import LoopbackServer
from slipscan_loopback.licsar import frame_id, register, write_frame
from slipscan_loopback.scene import TrueScene
from waiting import LONG_S

# Values.


def granule(tmp_path: Path, phase: float, delays: tuple[float, float] | None, sign: float = 1.0) -> list[Path]:
    """The files of one pair with constant phase and delays (rad)."""
    blank = np.ones((scenes.ROWS, scenes.COLUMNS), np.float32)
    unwrapped = phase * blank
    unwrapped[3, 4] = 0
    scenes.write_tif(tmp_path / f"{FRAME}_20200103_20200115.geo.unw.tif", unwrapped)
    coherence = np.full(blank.shape, 51, np.uint8)
    scenes.write_tif(tmp_path / f"{FRAME}_20200103_20200115.geo.cc.tif", coherence)
    for letter, values in zip("ENU", scenes.los(), strict=True):
        scenes.write_tif(tmp_path / f"{FRAME}.geo.{letter}.tif", sign * values)
    scenes.write_tif(tmp_path / f"{FRAME}.geo.hgt.tif", scenes.height())
    for date, delay in zip(("20200103", "20200115"), delays or (), strict=False):
        values = delay * blank
        values[0, 0] = 0
        scenes.write_tif(tmp_path / f"{FRAME}_{date}.sltd.geo.tif", values)
    return sorted(tmp_path.iterdir())


def row() -> pd.Series:
    return pd.Series(
        {
            "granule": f"{FRAME}_20200103_20200115",
            "reference_date": "2020-01-03",
            "secondary_date": "2020-01-15",
            "frame": FRAME,
        }
    )


def cropped(files: list[Path], region: Region) -> xr.Dataset | None:
    return Licsar().crop(row(), files, job_of(region), crop_bounds(region))


def test_phase_and_delay_by_hand(tmp_path: Path) -> None:
    """2 pi of phase is half a wavelength away: -27.73288 mm toward; a delay that grows by pi makes half of it."""
    dataset = cropped(granule(tmp_path, 2 * np.pi, (40.0, 40.0 + np.pi)), region_of(FRAME))
    assert dataset is not None
    check(dataset, "granule")
    assert (dataset.attrs["reference_date"], dataset.attrs["secondary_date"]) == ("2020-01-03", "2020-01-15")
    valid = np.isfinite(dataset["interferogram"].values)
    assert (~valid).sum() == 1 and not valid[3, 4]
    np.testing.assert_allclose(dataset["interferogram"].values[valid], -0.02773288, atol=1e-8)
    troposphere = dataset["troposphere"].values
    assert np.isnan(troposphere).sum() == 1 and np.isnan(troposphere[0, 0])
    np.testing.assert_allclose(troposphere[np.isfinite(troposphere)], -0.02773288 / 2, atol=2e-7)
    np.testing.assert_allclose(dataset["coherence"].values, 0.2, atol=1e-7)
    np.testing.assert_allclose(dataset["los_up"].values, scenes.los()[2], atol=1e-7)
    grid = read_grid(dataset)
    assert (grid.x[0], grid.y[0]) == pytest.approx((scenes.WEST + 0.001, scenes.NORTH - 0.001))


def test_delay_of_one_date_is_no_delay(tmp_path: Path) -> None:
    files = [path for path in granule(tmp_path, 1.0, (1.0, 2.0)) if "20200115.sltd" not in path.name]
    dataset = cropped(files, region_of(FRAME))
    assert dataset is not None and "troposphere" not in dataset


def test_only_the_window_and_none_outside(tmp_path: Path) -> None:
    files = granule(tmp_path, 1.0, None)
    small = ((32.56, 40.84), (32.565, 40.84), (32.565, 40.845), (32.56, 40.845), (32.56, 40.84))
    dataset = cropped(files, region_of(FRAME, polygon=small, reference_point=(32.56, 40.845)))
    assert dataset is not None and dataset.sizes["x"] < scenes.COLUMNS - 5 and dataset.sizes["y"] < scenes.ROWS - 10
    away = tuple((lon + 3, lat) for lon, lat in scenes.POLYGON)
    assert cropped(files, region_of(FRAME, polygon=away, reference_point=(35.6, 40.85))) is None
    assert cropped(granule(tmp_path, 0.0, None), region_of(FRAME)) is None


def test_wrong_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SlipscanError, match="wrong convention"):
        cropped(granule(tmp_path / "a", 1.0, None, sign=-1), region_of(FRAME))
    files = granule(tmp_path / "b", 1.0, None)
    unwrapped = next(path for path in files if path.name.endswith("unw.tif"))
    unwrapped.write_bytes(unwrapped.read_bytes()[:3000])
    with pytest.raises(SlipscanError, match=r"geo\.unw\.tif cannot be read"):
        cropped(files, region_of(FRAME))
    with pytest.raises(SlipscanError, match="is not among its files"):
        cropped([path for path in files if path != unwrapped], region_of(FRAME))


# The loopback archive: the same true scene, written by someone else.

SCENE = TrueScene(delay_m=0.01, dates=TrueScene().dates[:4])


def fetched(files: list[RemoteFile], directory: Path) -> list[Path]:
    directory.mkdir(exist_ok=True)
    for file in files:
        if not (directory / file.name).exists():
            answer = requests.get(file.url, timeout=LONG_S)
            answer.raise_for_status()
            (directory / file.name).write_bytes(answer.content)
    return [directory / file.name for file in files]


def test_loopback_archive_gives_back_its_scene(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    frame, last = frame_id(SCENE), SCENE.dates[-1]
    absent = (SCENE.dates[0], SCENE.dates[1])
    write_frame(
        SCENE, tmp_path / "served", frame, 0.002, neighbours=2, without_gacos=(last,), without_unwrapped=(absent,)
    )
    region = region_of(frame, polygon=SCENE.polygon, reference_point=SCENE.reference_point)
    track = region.tracks[0]
    with LoopbackServer() as server, caplog.at_level(logging.WARNING):
        register(server, tmp_path / "served")
        settings = settings_for(server, troposphere="gacos")
        table = search(region, settings)
        located = Licsar().locate(table, job_of(region, settings, tmp_path, track=track))
        crops = [
            Licsar().crop(
                row,
                fetched(located[row["granule"]], tmp_path / "files"),
                job_of(region, track=track),
                crop_bounds(region),
            )
            for _, row in table.iterrows()
        ]
    expected = [pair for pair in SCENE.pairs(2) if pair != absent]
    dates = table[["reference_date", "secondary_date"]].to_numpy().tolist()
    assert dates == [[older.isoformat(), newer.isoformat()] for older, newer in expected]
    assert f"left out: {absent[0]:%Y%m%d}_{absent[1]:%Y%m%d}" in caplog.text
    assert f"no GACOS delay for {last:%Y%m%d}" in caplog.text

    for dataset, (older, newer) in zip(crops, expected, strict=True):
        assert dataset is not None
        check(dataset, "granule")
        lon, lat = read_grid(dataset).lonlat()
        truth = np.where(SCENE.incoherent(lon, lat), np.nan, SCENE.interferogram(lon, lat, older, newer))
        difference = dataset["interferogram"].values - truth
        assert np.isfinite(difference).any()
        assert np.array_equal(np.isnan(dataset["interferogram"]), np.isnan(truth))
        assert np.nanmax(difference) - np.nanmin(difference) < 1e-6  # what is left is the constant of unwrapping
        np.testing.assert_allclose(np.stack([dataset[name] for name in LOS]), SCENE.los(lon, lat), atol=1e-6)
        np.testing.assert_allclose(dataset["height"], SCENE.height(lon, lat), rtol=1e-6)
        assert ("troposphere" in dataset) == (newer != last)
        if newer != last:
            delay = SCENE.delay(lon, lat, newer) - SCENE.delay(lon, lat, older)
            np.testing.assert_allclose(dataset["troposphere"], delay, atol=1e-6)


def test_delays_on_a_lattice_of_their_own(tmp_path: Path) -> None:
    """GACOS on half the posting: bilinear between its pixels."""
    scene = dataclasses.replace(SCENE, dates=(datetime.date(2020, 1, 3), datetime.date(2020, 1, 15)))
    frame = frame_id(scene)
    coarse = write_frame(scene, tmp_path / "coarse", frame, 0.002)
    fine = write_frame(scene, tmp_path / "fine", frame, 0.001)
    files = []
    for home, pattern in ((coarse, "*.unw.tif"), (coarse, f"{frame}.geo.?.tif"), (fine, "*.sltd.geo.tif")):
        for path in home.rglob(pattern):
            target = tmp_path / (path.name if path.name.startswith(frame) else f"{frame}_{path.name}")
            files.append(path.rename(target))
    region = region_of(frame, polygon=scene.polygon, reference_point=scene.reference_point)
    item = row().copy()
    item["frame"] = frame
    dataset = Licsar().crop(item, files, job_of(region), crop_bounds(region))
    assert dataset is not None
    lon, lat = read_grid(dataset).lonlat()
    delay = scene.delay(lon, lat, scene.dates[1]) - scene.delay(lon, lat, scene.dates[0])
    inner = (slice(2, -2), slice(2, -2))
    np.testing.assert_allclose(dataset["troposphere"].values[inner], delay[inner], atol=2e-5)
