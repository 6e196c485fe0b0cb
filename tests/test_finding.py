"""Files that a tool named in another way: read, named in the log, or refused with the names that were expected."""

from __future__ import annotations

import logging
import zipfile
from pathlib import Path

import pandas as pd
import pytest

import insar_scene as scenes
from job_builders import job_of
from slipscan.archive.local.archive import Local
from slipscan.archive.local.finding import find_geometry, find_pairs
from slipscan.errors import SlipscanError
from slipscan.settings import ArchiveSettings

AS_OF = "2026-01-01"


def search(directory: Path, convention: str) -> pd.DataFrame:
    region = scenes.region(convention)
    return Local().search(job_of(region, ArchiveSettings(data_root=str(directory))), AS_OF)


def rename(directory: Path, old: str, new: str, most: int = 10**6) -> None:
    for path in sorted(directory.rglob(f"*{old}"))[:most]:
        path.rename(path.with_name(path.name.replace(old, new)))


@pytest.fixture
def licsar(tmp_path: Path) -> Path:
    scenes.write_licsar(tmp_path, scenes.scene([(0, 1), (1, 2), (2, 3), (3, 4)]))
    return tmp_path


@pytest.mark.parametrize("new", [".geo.unw.clip.tif", "_unw.tif", ".unw.tif", ".geo.unw_clip.tif"])
def test_clipped_names_are_said_with_those_expected_and_the_remedy(new: str, licsar: Path) -> None:
    rename(licsar, ".geo.unw.tif", new)
    name = rf"interferograms/20200103_20200115/20200103_20200115{new}".replace(".", r"\.")
    words = (
        rf"region TEST track 087A: .* no interferogram of the convention licsar \(YYYYMMDD_YYYYMMDD\.geo\.unw\.tif\),"
        rf" but 4 other files, such as {name}, .* and 1 more: rename them to that pattern"
    )
    with pytest.raises(SlipscanError, match=words) as raised:
        search(licsar, "licsar")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("old", "new"), [(".tif", ".TIF"), (".tif", ".tiff"), (".geo.unw.tif", ".GEO.UNW.TIF")])
def test_capitals_and_two_f_are_read(old: str, new: str, licsar: Path) -> None:
    rename(licsar, old, new)
    assert len(search(licsar, "licsar")) == 4
    assert set(find_geometry(licsar, "licsar")) == {"los_east", "los_north", "los_up", "height"}


def test_a_linked_directory_is_searched_and_a_loop_ends(licsar: Path, tmp_path: Path) -> None:
    (licsar / "interferograms" / "loop").symlink_to(licsar)
    elsewhere = tmp_path / "track"
    elsewhere.mkdir()
    (elsewhere / "data").symlink_to(licsar / "interferograms" / "20200103_20200115")
    (elsewhere / "gone.geo.unw.tif").symlink_to("nowhere.tif")
    assert len(find_pairs(elsewhere, "licsar")) == 1


def test_files_left_aside_are_named(licsar: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    rename(licsar, ".geo.unw.tif", ".geo.unw.clip.tif", most=1)
    (licsar / "mask.tif").write_bytes(b"")
    assert len(search(licsar, "licsar")) == 3
    assert "1 files look like interferograms, but are not named YYYYMMDD_YYYYMMDD.geo.unw.tif as licsar" in caplog.text
    assert "20200103_20200115.geo.unw.clip.tif" in caplog.text
    assert "coherence of 1 pairs without interferogram is left aside: interferograms/20200103_20200115" in caplog.text
    assert "1 other GeoTIFFs are left aside: mask.tif" in caplog.text


def test_nothing_is_said_of_a_track_that_is_whole(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for convention, write in scenes.WRITERS.items():
        write(tmp_path / convention, scenes.scene([(0, 1)]))
        search(tmp_path / convention, convention)
    assert not caplog.messages


def test_missing_coherence_is_said(licsar: Path, caplog: pytest.LogCaptureFixture) -> None:
    rename(licsar, ".geo.cc.tif", ".geo.cc.clip.tif", most=1)
    words = r"has no coherence file \(YYYYMMDD_YYYYMMDD\.geo\.cc\.tif\), but others have; there lies .*cc\.clip\.tif"
    with pytest.raises(SlipscanError, match=words):
        search(licsar, "licsar")
    rename(licsar, ".geo.cc.tif", ".geo.cc.clip.tif")
    search(licsar, "licsar")
    assert "has no coherence file (YYYYMMDD_YYYYMMDD.geo.cc.tif); there lies" in caplog.text


def test_zips_are_to_be_unpacked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("S1AA_20200115T154000_20200127T154001_VVP012_INT80_G_ueF_00FF", "x"):
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as file:
            file.writestr("a.txt", "a")
    with pytest.raises(SlipscanError, match=r"but 2 other files, such as S1AA_.*\.zip, x\.zip: unpack them there"):
        search(tmp_path, "hyp3")
    scenes.write_hyp3(tmp_path, scenes.scene([(0, 1)]))
    search(tmp_path, "hyp3")
    assert "2 zip files are not unpacked and are left aside: S1AA_20200115" in caplog.text


def test_what_lies_there_instead(tmp_path: Path) -> None:
    with pytest.raises(SlipscanError, match="nor any other file: correct the track's path"):
        search(tmp_path, "gamma")
    (tmp_path / "timeseries.h5").write_bytes(b"")
    with pytest.raises(
        SlipscanError, match=r"but 1 other file, timeseries\.h5: correct the track's path or convention"
    ):
        search(tmp_path, "gamma")
    (tmp_path / "20200103-20200115_8rlks.unw").write_bytes(b"")
    with pytest.raises(SlipscanError, match=r"20200103-20200115_8rlks\.unw: convert them to geocoded GeoTIFFs"):
        search(tmp_path, "gamma")


def test_a_reversed_pair_is_not_cured_by_a_new_name(licsar: Path) -> None:
    rename(licsar, "20200103_20200115.geo.unw.tif", "20200115_20200103.geo.unw.tif")
    rename(licsar, "20200103_20200115.geo.cc.tif", "20200115_20200103.geo.cc.tif")
    with pytest.raises(SlipscanError, match=r"the older date comes first; leave it out, or .* would turn its sign"):
        search(licsar, "licsar")
