"""LiCSAR's index pages through requests: what is listed, where it lies, and its signs, against hand-made pages and
against the loopback archive."""

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
from slipscan.archive import manifest
from slipscan.archive.extent import crop_bounds
from slipscan.archive.granules import RemoteFile
from slipscan.archive.http.index_pages import is_index, links
from slipscan.archive.licsar.archive import Licsar, frame_url
from slipscan.archive.reading.layers import LOS
from slipscan.errors import SlipscanError
from slipscan.geometry import read_grid
from slipscan.regions import Region
from slipscan.settings import ArchiveSettings
from slipscan.vocabulary import check
from slipscan_loopback.http import LoopbackServer, Request, Response
from slipscan_loopback.licsar import frame_id, register, write_frame
from slipscan_loopback.scene import TrueScene
from waiting import LONG_S

AS_OF = "2026-01-01"
FRAME = "087A_04900_131313"
APACHE = """<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2 Final//EN">
<html><head><title>Index of /x</title></head><body><h1>Index of /x</h1><table>
<tr><th><a href="?C=N;O=D">Name</a></th><th><a href="?C=M;O=A">Last modified</a></th></tr>
<tr><td><a href="/">Parent Directory</a></td></tr>
{rows}</table></body></html>
"""


def page(*names: str) -> Response:
    rows = "".join(f'<tr><td><a href="{name}">{name[:20]}..&gt;</a></td><td>1.2M</td></tr>\n' for name in names)
    return Response(body=APACHE.format(rows=rows).encode(), content_type="text/html", ranges=False)


def served(server: LoopbackServer, pages: dict[str, Response | list[Response]]) -> None:
    """Serve pages by path; a list is served one after another, the last one for good."""

    def answer(request: Request) -> Response:
        found = pages.get(request.path, Response(404))
        if isinstance(found, list):
            return found.pop(0) if len(found) > 1 else found[0]
        return found

    server.route(r"/.*", answer)


def settings_for(server: LoopbackServer, path: str = "/LiCSAR_products", troposphere: str = "none") -> ArchiveSettings:
    return ArchiveSettings.model_validate(
        {
            "licsar_url": f"{server.url}{path}",
            "download": {"attempts": 3, "backoff_s": 0, "max_wait_s": 0.2, "read_timeout_s": LONG_S},
            "corrections": {"troposphere": troposphere},
        }
    )


def region_of(*frames: str, orbit: int = 87, **changes: object) -> Region:
    track = {
        "id": "087A",
        "relative_orbit": orbit,
        "orbit_direction": "ascending",
        "licsar": {"frames": frames},
    }
    base = scenes.region("licsar").model_dump()
    return Region.model_validate({**base, "archive": "licsar", "tracks": [track], **changes})


def search(region: Region, settings: ArchiveSettings, as_of: str = AS_OF) -> pd.DataFrame:
    return Licsar().search(job_of(region, settings), as_of)


# Pages made by hand.

HOME = f"/LiCSAR_products/87/{FRAME}/"
PAIRS = ("20200103_20200115", "20200103_20200127", "20200115_20200127")


def hand_made() -> dict[str, Response | list[Response]]:
    pages: dict[str, Response | list[Response]] = {
        f"{HOME}interferograms/": page(*(f"{pair}/" for pair in PAIRS), "20200115_20200103/", "20200140_20200203/"),
        f"{HOME}metadata/": page(*(f"{FRAME}.geo.{name}.tif" for name in ("E", "N", "U", "hgt")), "metadata.txt"),
        f"{HOME}epochs/": page("20200103/", "20200115/"),
        f"{HOME}epochs/20200103/": page("20200103.sltd.geo.tif", "20200103.geo.mli.tif"),
        f"{HOME}epochs/20200115/": page("20200115.sltd.geo.tif"),
    }
    for pair in PAIRS:
        files = () if pair == PAIRS[1] else (f"{pair}.geo.unw.tif", f"{pair}.geo.cc.tif", f"{pair}.geo.unw.png")
        pages[f"{HOME}interferograms/{pair}/"] = page(*files)
    return pages


def test_manifest_lists_pairs_with_data(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    region = region_of(FRAME)
    with LoopbackServer() as server:
        served(server, hand_made())
        table = search(region, settings_for(server))
        early = search(region, settings_for(server), "2020-01-20")
    assert list(table["granule"]) == [f"{FRAME}_{PAIRS[0]}", f"{FRAME}_{PAIRS[2]}"]
    first = table.iloc[0].to_dict()
    assert first == {
        "granule": f"{FRAME}_{PAIRS[0]}",
        "archive": "licsar",
        "product_version": "",
        "reference_date": "2020-01-03",
        "secondary_date": "2020-01-15",
        "relative_orbit": "87",
        "frame": FRAME,
        "expected_bytes": "",
        "expected_checksum": "",
    }
    assert len(early) == 1
    assert "without an unwrapped interferogram or its coherence, left out: 20200103_20200127" in caplog.text
    assert "left out: 20200115_20200103, 20200140_20200203" in caplog.text
    manifest.write(tmp_path / "manifest.csv", table)
    pd.testing.assert_frame_equal(manifest.read(tmp_path / "manifest.csv"), table, check_dtype=False)


def test_version_is_of_the_metadata_where_it_tells_one() -> None:
    pages = hand_made()
    pages[f"{HOME}metadata/metadata.txt"] = Response(body=b"master=20200103\nprocessing_version=1.4\n")
    with LoopbackServer() as server:
        served(server, pages)
        assert set(search(region_of(FRAME), settings_for(server))["product_version"]) == {"1.4"}


def test_query_names_the_pages_and_asks_none() -> None:
    region = region_of(FRAME, "087A_05100_131313")
    text = Licsar().query(job_of(region, ArchiveSettings(licsar_url="http://127.0.0.1:9/L/")), AS_OF)
    assert text.startswith(f"GET http://127.0.0.1:9/L/87/{FRAME}/interferograms/, http://127.0.0.1:9/L/87/087A_05100")
    assert AS_OF in text


def test_locate_finds_files_and_says_which_delays_are_missing(caplog: pytest.LogCaptureFixture) -> None:
    region = region_of(FRAME)
    with LoopbackServer() as server:
        served(server, hand_made())
        table = search(region, settings_for(server))
        plain = Licsar().locate(table, job_of(region, settings_for(server)))
        assert not any("sltd" in file.name for files in plain.values() for file in files)
        assert "GACOS" not in caplog.text
        found = Licsar().locate(table, job_of(region, settings_for(server, troposphere="gacos")))
        base = server.url + HOME
    files = {file.name: file for file in found[f"{FRAME}_{PAIRS[0]}"]}
    assert files[f"{FRAME}_{PAIRS[0]}.geo.unw.tif"] == RemoteFile(
        f"{FRAME}_{PAIRS[0]}.geo.unw.tif", f"{base}interferograms/{PAIRS[0]}/{PAIRS[0]}.geo.unw.tif"
    )
    assert files[f"{FRAME}.geo.E.tif"] == RemoteFile(
        f"{FRAME}.geo.E.tif", f"{base}metadata/{FRAME}.geo.E.tif", shared=True
    )
    assert files[f"{FRAME}_20200115.sltd.geo.tif"].shared
    assert len(files) == 2 + 4 + 1 + 2  # with metadata.txt
    assert not any("sltd" in file.name for file in found[f"{FRAME}_{PAIRS[2]}"])
    assert f"{FRAME}: no GACOS delay for 20200127" in caplog.text


def test_a_pair_that_has_gone_is_an_error() -> None:
    region, pages = region_of(FRAME), hand_made()
    with LoopbackServer() as server:
        served(server, pages)
        table = search(region, settings_for(server))
        pages[f"{HOME}interferograms/{PAIRS[0]}/"] = page()
        with pytest.raises(SlipscanError, match="no longer has the interferogram 20200103_20200115 of frame"):
            Licsar().locate(table, job_of(region, settings_for(server)))


@pytest.mark.parametrize(
    ("frame", "match"),
    [
        ("087A_09999_131313", "archive 'licsar' has no frame 087A_09999_131313 at http://127.0.0.1"),
        ("021D_04972_131213", "not of relative orbit 87 ascending"),
        ("087D_04900_131313", "not of relative orbit 87 ascending"),
        ("87A", "is no LiCSAR frame: write it as"),
    ],
)
def test_wrong_frames(frame: str, match: str) -> None:
    with LoopbackServer() as server:
        served(server, hand_made())
        with pytest.raises(SlipscanError, match=match) as raised:
            search(region_of(frame), settings_for(server))
        assert "\n" not in str(raised.value)


def test_a_track_number_without_leading_zeros() -> None:
    settings = ArchiveSettings(licsar_url="http://127.0.0.1:9/")
    assert frame_url(settings, "005D_04972_131213") == "http://127.0.0.1:9/5/005D_04972_131213/"


BAD_ANSWERS = {
    "unavailable": Response(503),
    "too many requests": Response(429, headers={"Retry-After": "0"}),
    "a sign-in page": Response(body=b"<html><title>Sign in</title></html>", content_type="text/html", ranges=False),
    "half a list": Response(body=page(*PAIRS).body[:400], content_type="text/html", ranges=False),
}


@pytest.mark.parametrize("kind", sorted(BAD_ANSWERS))
def test_what_may_pass_is_asked_again(kind: str) -> None:
    pages = hand_made()
    whole = pages[f"{HOME}interferograms/"]
    pages[f"{HOME}interferograms/"] = [BAD_ANSWERS[kind], BAD_ANSWERS[kind], whole]
    with LoopbackServer() as server:
        served(server, pages)
        assert len(search(region_of(FRAME), settings_for(server))) == 2
        pages[f"{HOME}interferograms/"] = BAD_ANSWERS[kind]
        with pytest.raises(SlipscanError, match=r"gave no answer in 3 tries .*archive\.licsar_url"):
            search(region_of(FRAME), settings_for(server))


def test_no_server_at_all() -> None:
    with LoopbackServer() as server:
        settings = settings_for(server)
    with pytest.raises(SlipscanError, match="gave no answer in 3 tries"):
        search(region_of(FRAME), settings)


def test_links_of_other_servers_and_elsewhere() -> None:
    """nginx and Python list plain names, Apache sorts by links with a query; parents and other hosts are none."""
    listing = (
        '<html><head><title>Index of /a/</title></head><a href="../">../</a><a href="b%20c.tif">b</a>'
        '<a href="http://127.0.0.2/a/h">h</a>'
        '<a href="/a/d/">d/</a><a href="http://127.0.0.1/a/e.tif">e</a><a href="/z/f">f</a><a href="?C=N">N</a>'
        '<a href="g/h">g</a></html>'
    )
    assert is_index(listing) and not is_index(listing.removesuffix("</html>"))
    assert links(listing, "http://127.0.0.1/a/") == ["b c.tif", "d", "e.tif"]
    assert is_index("<!DOCTYPE HTML><html><head><title>Directory listing for /a/</title></head></html>\n")


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
