"""Fetching again: new granules only, the same bytes after a kill, a pinned manifest without a network."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from job_builders import job_of, observed
from slipscan.archive import manifest as manifests
from slipscan.archive import stage
from slipscan.archive.registry import archive_of
from slipscan.archive.status import describe
from slipscan.errors import SlipscanError
from slipscan.geometry import read_grid
from slipscan.regions import Region, read_regions
from slipscan.settings import ArchiveSettings, Settings
from slipscan.store import open_zarr, same_store
from slipscan_loopback.archive import Layout, LoopbackArchive
from slipscan_loopback.http import Faults
from slipscan_loopback.scene import TrueScene, acquisitions
from slipscan_loopback.umm import DataFile
from waiting import LONG_S, wait_until

SCENE = TrueScene(dates=acquisitions(count=5))
LAYOUT = Layout(neighbours=1, aria_frames=1)
TOKEN = "loopback-secret-token"
LAST = SCENE.dates[-1].isoformat()
BEFORE = SCENE.dates[-2].isoformat()


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARTHDATA_TOKEN", TOKEN)


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[LoopbackArchive]:
    with LoopbackArchive(tmp_path / "loopback", SCENE, families=("aria",), layout=LAYOUT) as running:
        yield running


def regions_of(archive: LoopbackArchive) -> Path:
    path = archive.directory / "regions.geojson"
    path.write_text(json.dumps(archive.regions()))
    return path


def region_of(archive: LoopbackArchive) -> Region:
    return read_regions(regions_of(archive))["LOOP-ARIA"]


def settings_of(archive: LoopbackArchive, **changes: object) -> ArchiveSettings:
    return ArchiveSettings.model_validate({**archive.config()["archive"], **changes})


def observe(archive: LoopbackArchive, out: Path, cache: Path, as_of: str = LAST, **changes: object) -> Path:
    """Search and fetch; the directory of the results."""
    region, settings = region_of(archive), settings_of(archive, **changes)
    observed(job_of(region, settings, cache), as_of, out)
    return out


def data_requests(archive: LoopbackArchive) -> int:
    return sum(record.path.startswith("/data/") for record in archive.server.requests)


def same_results(one: Path, other: Path) -> bool:
    texts = [(one / name).read_bytes() == (other / name).read_bytes() for name in ("manifest.csv", "inventory.csv")]
    return all(texts) and same_store(one / "observations.zarr", other / "observations.zarr")


def test_only_new_granules_are_fetched_and_the_result_equals_a_full_run(
    archive: LoopbackArchive, tmp_path: Path
) -> None:
    observe(archive, tmp_path / "first", tmp_path / "cache", as_of=BEFORE)
    assert data_requests(archive) == 3
    observe(archive, tmp_path / "second", tmp_path / "cache")
    assert data_requests(archive) == 4, "one new interferogram, one request"
    observe(archive, tmp_path / "again", tmp_path / "cache")
    assert data_requests(archive) == 4
    observe(archive, tmp_path / "full", tmp_path / "empty")
    assert same_results(tmp_path / "second", tmp_path / "full")
    assert same_results(tmp_path / "again", tmp_path / "full")


def test_a_day_without_granules_changes_no_byte_of_the_manifest(archive: LoopbackArchive, tmp_path: Path) -> None:
    region, track = region_of(archive), region_of(archive).tracks[0]
    for name, as_of in (("one", LAST), ("two", "2021-06-01")):
        stage.write_manifest(job_of(region, settings_of(archive), track=track), as_of, tmp_path / f"{name}.csv")
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (r"(?s)\n.*", "\n", "lists no granule"),
        (r"\Z", "LAST_LINE", "twice"),
        (",aria,", ",opera,", "has archive 'opera'"),
        (",87,", ",88,", "has relative_orbit '88'"),
        (r",(\d{4})-(\d\d)-(\d\d),", r",\1\2\3,", "YYYY-MM-DD"),
        (r",2020-01-03,", ",2020-01-04,", "another date stands in the name"),
    ],
)
def test_a_manifest_that_was_edited_wrongly_is_refused(
    archive: LoopbackArchive, tmp_path: Path, old: str, new: str, sentence: str
) -> None:
    region, track, path = region_of(archive), region_of(archive).tracks[0], tmp_path / "manifest.csv"
    stage.write_manifest(job_of(region, settings_of(archive), track=track), LAST, path)
    text = path.read_text()
    path.write_text(re.sub(old, text.splitlines()[-1] if new == "LAST_LINE" else new, text, count=1))
    with pytest.raises(SlipscanError, match=sentence):
        manifests.read_of(path, job_of(region, track=track), dated=True)


def test_the_status_of_a_broken_inventory_is_one_sentence(archive: LoopbackArchive, tmp_path: Path) -> None:
    region, directory = region_of(archive), tmp_path / "LOOP-ARIA/087A"
    settings = Settings(results_dir=str(tmp_path), cache_dir=str(tmp_path / "cache"), archive=settings_of(archive))
    assert "no manifest yet" in describe(region, settings)
    stage.write_manifest(job_of(region, settings.archive), LAST, directory / "manifest.csv")
    assert "0 in the cache, nothing received yet" in describe(region, settings)
    for text in ("", "a,b\n1,2\n", "bytes\nmany\n"):
        (directory / "inventory.csv").write_text(text)
        with pytest.raises(SlipscanError, match="is no inventory"):
            describe(region, settings)


@pytest.mark.parametrize("as_of", ["", "2020-13-01", "30 June", "20200630"])
def test_what_is_no_date_is_refused_before_anything_is_asked(archive: LoopbackArchive, tmp_path: Path, as_of) -> None:
    before = len(archive.server.requests)
    region, settings = region_of(archive), settings_of(archive)
    with pytest.raises(SlipscanError, match="YYYY-MM-DD"):
        stage.write_manifest(job_of(region, settings), as_of, tmp_path / "manifest.csv")
    with pytest.raises(SlipscanError, match="YYYY-MM-DD"):
        stage.query_text(job_of(region, settings), as_of)
    assert len(archive.server.requests) == before


def test_whole_granules_leave_the_disk_and_the_inventory_remembers_them(
    archive: LoopbackArchive, tmp_path: Path
) -> None:
    out = observe(archive, tmp_path / "out", tmp_path / "cache")
    assert not [p for p in (tmp_path / "cache").rglob("*") if p.suffix == ".nc" or p.name.endswith((".part", ".lock"))]
    inventory = (out / "inventory.csv").read_text()
    assert inventory.count("S1-GUNW-A-R-087") == 4 and inventory.startswith("name,bytes,sha256\n")
    kept = observe(archive, tmp_path / "kept", tmp_path / "other", download={"keep_granules": True})
    assert len(list((tmp_path / "other/downloads/aria").glob("*.nc"))) == 4
    assert same_results(out, kept)


def test_a_pinned_manifest_is_replayed_from_the_cache_without_a_network(tmp_path: Path) -> None:
    with LoopbackArchive(tmp_path / "loopback", SCENE, families=("aria",), layout=LAYOUT) as running:
        first = observe(running, tmp_path / "first", tmp_path / "cache")
        (tmp_path / "pins").mkdir()
        shutil.copy(first / "manifest.csv", tmp_path / "pins/LOOP-ARIA_087A.csv")
        once = {"attempts": 1}
        settings = settings_of(running, manifests=str(tmp_path / "pins"), download=once)
        region = region_of(running)
    out = tmp_path / "replayed"
    stage.write_manifest(job_of(region, settings), LAST, out / "manifest.csv")
    results = (out / "observations.zarr", out / "inventory.csv")
    stage.write_observations(job_of(region, settings, tmp_path / "cache"), out / "manifest.csv", *results)
    assert same_results(first, out)
    with pytest.raises(SlipscanError, match=r"127\.0\.0\.1"):
        stage.write_observations(job_of(region, settings, tmp_path / "none"), out / "manifest.csv", *results)


class CutThenSilent(Faults):
    """Half of every file comes, then nothing: a process that is killed while it waits leaves a half."""

    def kind(self, path: str, number: int) -> str:
        return ("cut", "trickle", "")[min(number, 2)]


def test_a_kill_in_the_middle_and_a_rerun_give_the_same_bytes(tmp_path: Path) -> None:
    with LoopbackArchive(tmp_path / "whole", SCENE, families=("aria",), layout=LAYOUT) as running:
        undisturbed = observe(running, tmp_path / "undisturbed", tmp_path / "other")
    faults = CutThenSilent(share=1.0, trickle_s=LONG_S)
    layout = replace(LAYOUT)
    with LoopbackArchive(tmp_path / "whole", SCENE, families=("aria",), layout=layout, faults=faults) as running:
        region, track = region_of(running), region_of(running).tracks[0]
        out = tmp_path / "killed"
        stage.write_manifest(job_of(region, settings_of(running), track=track), LAST, out / "manifest.csv")
        command = [
            Path(sys.executable).parent / "slipscan", "archive", "fetch", region.id, track.id, "manifest.csv",
            "observations.zarr", "inventory.csv", "--regions", regions_of(running), "--cache", tmp_path / "cache",
            "--set", f"cmr_url={running.url}",
        ]  # fmt: skip
        process = subprocess.Popen(command, cwd=out, stderr=subprocess.PIPE, text=True)
        wait_until(lambda: any(part.stat().st_size for part in (tmp_path / "cache").rglob("*.part")))
        os.kill(process.pid, signal.SIGKILL)
        _, log = process.communicate()
        assert TOKEN not in log
        assert sorted(path.name for path in out.iterdir() if not path.name.startswith(".")) == ["manifest.csv"]
        running.server.faults, before = None, len(running.server.requests)
        done = subprocess.run(command, cwd=out, capture_output=True, text=True, timeout=LONG_S, check=False)
        assert done.returncode == 0, done.stderr
        assert TOKEN not in done.stderr
        resumed = [r.range_start for r in running.server.requests[before:] if r.range_start]
    assert resumed, "the rerun goes on where the killed one stopped"
    assert same_results(undisturbed, out)


def test_a_crop_that_left_the_cache_is_fetched_again(archive: LoopbackArchive, tmp_path: Path) -> None:
    first = observe(archive, tmp_path / "first", tmp_path / "cache")
    shutil.rmtree(tmp_path / "cache/crops")
    assert same_results(first, observe(archive, tmp_path / "second", tmp_path / "cache"))
    assert data_requests(archive) == 8


def test_a_corrupt_granule_is_fetched_once_more_and_then_refused(archive: LoopbackArchive, tmp_path: Path) -> None:
    granule = next(granule for granule in archive.catalogue.granules if granule.name.endswith("3_0_1"))
    name = next(name for name in archive.files if name.startswith(granule.name))
    whole = archive.files[name].read_bytes()
    archive.files[name].write_bytes(whole[: len(whole) // 2])  # truncated at the archive: no second try can help
    with pytest.raises(SlipscanError, match=name):
        observe(archive, tmp_path / "out", tmp_path / "cache")
    assert not (tmp_path / "out/observations.zarr").exists()
    region, track = region_of(archive), region_of(archive).tracks[0]
    table = manifests.read(tmp_path / "out/manifest.csv")
    assert len(
        archive_of(region).in_cache(table, job_of(region, settings_of(archive), tmp_path / "cache", track=track))
    ) < len(table)


def test_a_granule_that_is_corrupt_in_the_archive_is_not_fetched_again(
    archive: LoopbackArchive, tmp_path: Path
) -> None:
    granule = archive.catalogue.granules[0]
    name = next(name for name in archive.files if name.startswith(granule.name))
    whole = archive.files[name].read_bytes()
    archive.files[name].write_bytes(whole[: len(whole) // 2])
    archive.catalogue.granules[0] = replace(granule, files=(DataFile.of(archive.files[name]),))  # and its checksum
    with pytest.raises(SlipscanError, match=name):
        observe(archive, tmp_path / "out", tmp_path / "cache")
    assert sum(record.path.endswith(name) for record in archive.server.requests) == 1


def test_heights_come_from_the_dem_that_the_settings_name(archive: LoopbackArchive, tmp_path: Path) -> None:
    grid = SCENE.geographic_grid(0.002)
    heights = SCENE.height(*grid.lonlat()).astype(np.float32)
    profile = {"driver": "GTiff", "dtype": "float32", "count": 1, "crs": "EPSG:4326", "nodata": -9999.0}
    transform = Affine(*grid.transform)
    with rasterio.open(
        tmp_path / "dem.tif", "w", height=grid.shape[0], width=grid.shape[1], transform=transform, **profile
    ) as file:
        file.write(heights, 1)
    without = open_zarr(observe(archive, tmp_path / "without", tmp_path / "cache") / "observations.zarr")
    assert "height" not in without
    out = observe(archive, tmp_path / "with", tmp_path / "cache", dem=str(tmp_path / "dem.tif"))
    found = open_zarr(out / "observations.zarr")
    truth = SCENE.height(*read_grid(found).lonlat())
    inner = (slice(30, -30), slice(30, -30))
    assert np.nanmax(np.abs(found["height"].values - truth)[inner]) < 5.0
    with pytest.raises(SlipscanError, match=r"archive\.dem names .*none\.tif, which is no file"):
        observe(archive, tmp_path / "none", tmp_path / "cache", dem=str(tmp_path / "none.tif"))
