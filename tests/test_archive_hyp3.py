"""On-demand interferograms: the sign of what comes back, credentials, and questions that are repeated."""

from __future__ import annotations

import datetime
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
import requests
from affine import Affine

from hyp3_builders import DATES, REGION, SCENE, Loopback, region, running
from job_builders import job_of
from slipscan.archive.extent import crop_bounds
from slipscan.archive.hyp3.archive import Hyp3
from slipscan.archive.hyp3.orders import OrderBook
from slipscan.archive.hyp3.session import connect
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid, read_grid
from slipscan.settings import ArchiveSettings
from slipscan.vocabulary import check
from slipscan_loopback.http import LoopbackServer, Response
from waiting import LONG_S


@pytest.fixture
def loopback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    with running(tmp_path, monkeypatch) as made:
        yield made


def test_credentials(loopback: Loopback, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EARTHDATA_TOKEN", "another-token")
    with pytest.raises(SlipscanError, match=r"refused .*401.* renew the login") as refused:
        OrderBook(loopback.settings, loopback.cache).credits_left()
    assert "another-token" not in str(refused.value)
    with pytest.raises(SlipscanError, match="credentials go to"):
        connect(ArchiveSettings(hyp3_url="https://hyp3.example.org"))
    with pytest.raises(SlipscanError, match="credentials go to"):
        connect(ArchiveSettings(hyp3_url="http://hyp3-api.asf.alaska.edu"))
    monkeypatch.delenv("EARTHDATA_TOKEN")
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    with pytest.raises(SlipscanError, match="EARTHDATA_TOKEN"):
        connect(ArchiveSettings())
    (tmp_path / "netrc").write_text("default login somebody password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("EARTHDATA_TOKEN", "token-of-tests")
    assert OrderBook(loopback.settings, loopback.cache).credits_left() == 100
    real = connect(ArchiveSettings())  # nothing is sent: a token needs no login
    request = real.session.prepare_request(requests.Request("GET", f"{real.url}/user"))
    assert request.headers["Authorization"] == "Bearer token-of-tests"


def test_questions_are_repeated_and_silence_ends() -> None:
    answers = [Response(503, b"<html>", "text/html"), Response(200, b'{"remaining_credits": 3}', "application/json")]
    with LoopbackServer() as server:
        server.route("/user", lambda request: answers.pop(0))
        download = {"attempts": 2, "backoff_s": 0.0, "read_timeout_s": LONG_S}
        settings = ArchiveSettings.model_validate({"hyp3_url": server.url, "download": download})
        assert connect(settings).check_credits() == 3


def test_the_last_failure_counts_and_an_order_is_sent_once() -> None:
    with LoopbackServer() as server:
        server.route("/user|/jobs", lambda request: Response(503, b"<html>", "text/html"))
        download = {"attempts": 3, "backoff_s": 0.0, "read_timeout_s": LONG_S}
        hyp3 = connect(ArchiveSettings.model_validate({"hyp3_url": server.url, "download": download}))
        with pytest.raises(requests.exceptions.JSONDecodeError):  # the last answer is given on
            hyp3.check_credits()
        with pytest.raises(requests.exceptions.JSONDecodeError):
            hyp3.submit_prepared_jobs([])
        assert [record.method for record in server.requests] == ["GET", "GET", "GET", "POST"]
    with pytest.raises(requests.ConnectionError):  # nobody is there any more
        hyp3.check_credits()


# Products -------------------------------------------------------------------------------------------------------------

NAME = "S1_087_000000s1n00-185682s2n02-000000s3n00_IW_20200103_20200115_VV_INT80_ABCD"
ROW = pd.Series(
    {"product_version": "INSAR_ISCE_MULTI_BURST 20x4", "reference_date": "2020-01-03", "secondary_date": "2020-01-15"}
)
LEFT, TOP = 480_000.0, 4_520_000.0  # UTM 36 north
AREA = (32.70, 40.75, 32.85, 40.90)  # beyond the whole product


def write_product(path: Path, name: str = NAME, **layers: np.ndarray) -> Path:
    """A product of 3 x 4 cells whose numbers are chosen by hand."""
    shape = (3, 4)
    phase = np.full(shape, 10, np.float32)
    phase[0, 0], phase[2, 3] = 0, -10
    made = {
        "unw_phase": phase,
        "corr": np.full(shape, 0.5, np.float32),
        "conncomp": np.where(phase == 0, 0, 2).astype(np.float32),
        "lv_theta": np.full(shape, np.deg2rad(52.0), np.float32),  # incidence 38 degrees
        "lv_phi": np.full(shape, np.deg2rad(-168.0), np.float32),  # to the west and a little south: ascending
        "dem": np.full(shape, 900, np.float32),
        **layers,
    }
    with zipfile.ZipFile(path, "w") as archive:
        for layer, values in made.items():
            with rasterio.MemoryFile() as memory:
                transform = Affine(80, 0, LEFT, 0, -80, TOP)
                with memory.open(
                    driver="GTiff", width=4, height=3, count=1, crs="EPSG:32636", transform=transform,
                    dtype=values.dtype.name, nodata=0,
                ) as raster:  # fmt: skip
                    raster.write(values, 1)
                archive.writestr(f"{name}/{name}_{layer}.tif", bytes(memory.getbuffer()))
    return path


def test_positive_phase_is_motion_away_from_the_satellite(tmp_path: Path) -> None:
    crop = Hyp3().crop(ROW, [write_product(tmp_path / "a.zip")], job_of(REGION), AREA)
    assert crop is not None
    check(crop, "granule")
    motion = crop["interferogram"].values
    assert np.isnan(motion[0, 0])
    assert motion[1, 1] == pytest.approx(-0.0441383, abs=1e-6)  # 10 rad x 0.05546576 m / (4 pi), away
    assert motion[2, 3] == pytest.approx(+0.0441383, abs=1e-6)
    assert crop["component"].values.tolist() == [[0, 2, 2, 2], [2, 2, 2, 2], [2, 2, 2, 2]]
    assert crop["coherence"].values[1, 1] == 0.5 and crop["height"].values[1, 1] == 900
    los = [float(crop[f"los_{name}"][1, 1]) for name in ("east", "north", "up")]
    np.testing.assert_allclose(los, [-0.602208, -0.128003, 0.788011], atol=1e-5)
    assert crop.attrs["reference_date"] == "2020-01-03" and crop.attrs["secondary_date"] == "2020-01-15"
    grid = read_grid(crop)
    assert grid.crs.to_epsg() == 32636 and grid.x[0] == LEFT + 40 and grid.y[0] == TOP - 40


def test_only_the_window_is_read(tmp_path: Path) -> None:
    path = write_product(tmp_path / "a.zip")
    inner = Grid(LEFT + np.array([130.0, 190.0]), TOP - np.array([130.0, 190.0]), read_grid_of(path, tmp_path).crs)
    lon, lat = inner.lonlat()
    crop = Hyp3().crop(ROW, [path], job_of(REGION), (lon.min(), lat.min(), lon.max(), lat.max()))
    assert crop is not None and crop["interferogram"].shape == (2, 2)
    assert crop["x"].values.tolist() == [LEFT + 120, LEFT + 200]
    assert Hyp3().crop(ROW, [path], job_of(REGION), (10.0, 10.0, 10.1, 10.1)) is None


def read_grid_of(path: Path, tmp_path: Path) -> Grid:
    crop = Hyp3().crop(ROW, [path], job_of(REGION), AREA)
    assert crop is not None
    return read_grid(crop)


def test_a_product_without_a_valid_pixel_is_none(tmp_path: Path) -> None:
    path = write_product(tmp_path / "a.zip", unw_phase=np.zeros((3, 4), np.float32))
    assert Hyp3().crop(ROW, [path], job_of(REGION), AREA) is None


def test_bad_products_are_refused(tmp_path: Path) -> None:
    good = write_product(tmp_path / "a.zip")
    descending = region(orbit_direction="descending").tracks[0]
    with pytest.raises(SlipscanError, match="impossible for a right-looking descending"):
        Hyp3().crop(ROW, [good], job_of(REGION, track=descending), AREA)
    other = write_product(tmp_path / "b.zip", name=NAME.replace("20200103_20200115", "20200115_20200103"))
    with pytest.raises(SlipscanError, match="from 20200115 to 20200103, not from 20200103 to 20200115"):
        Hyp3().crop(ROW, [other], job_of(REGION), AREA)
    content = bytearray(good.read_bytes())
    content[content.index(np.float32(-10).tobytes())] ^= 0xFF  # a byte of the phase
    (tmp_path / "c.zip").write_bytes(content)
    with pytest.raises(SlipscanError, match=r"c\.zip is damaged .*CRC.* fetch it again"):
        Hyp3().crop(ROW, [tmp_path / "c.zip"], job_of(REGION), AREA)
    (tmp_path / "d.zip").write_bytes(content[:-30])
    with pytest.raises(SlipscanError, match="is damaged"):
        Hyp3().crop(ROW, [tmp_path / "d.zip"], job_of(REGION), AREA)
    with zipfile.ZipFile(tmp_path / "e.zip", "w") as archive:
        archive.writestr("a/a.txt", "nothing")
    with pytest.raises(SlipscanError, match="no layer interferogram"):
        Hyp3().crop(ROW, [tmp_path / "e.zip"], job_of(REGION), AREA)
    percent = write_product(tmp_path / "f.zip", corr=np.full((3, 4), 50, np.float32))
    with pytest.raises(SlipscanError, match="reaches 50, this is not the scale of the convention hyp3"):
        Hyp3().crop(ROW, [percent], job_of(REGION), AREA)


def test_the_true_motion_comes_back_from_search_to_crop(loopback: Loopback, tmp_path: Path) -> None:
    table = loopback.manifest(DATES[2].isoformat())
    loopback.order(table, submit=True)
    loopback.look(table)
    files = Hyp3().locate(table, job_of(REGION, loopback.settings, loopback.cache))
    for _, row in table.iterrows():
        (file,) = files[row["granule"]]
        path = tmp_path / file.name
        path.write_bytes(requests.get(file.url, timeout=LONG_S).content)
        crop = Hyp3().crop(row, [path], job_of(REGION), crop_bounds(REGION))
        assert crop is not None
        lon, lat = read_grid(crop).lonlat()
        dates = (datetime.date.fromisoformat(row[name]) for name in ("reference_date", "secondary_date"))
        difference = crop["interferogram"].values - SCENE.interferogram(lon, lat, *dates)
        valid = difference[np.isfinite(difference)]
        assert valid.size > 500 and np.ptp(valid) < 1e-5  # a constant is undetermined
        inside = np.isfinite(crop["los_east"].values)
        np.testing.assert_allclose(crop["los_east"].values[inside], SCENE.los(lon, lat)[0][inside], atol=1e-4)
