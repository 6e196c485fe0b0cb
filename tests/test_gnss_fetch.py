"""Stations from the loopback server, which answers as NGL does: around a region, resumed, only what has changed."""

import logging

import numpy as np
import pytest

from slipscan.earthquakes import read_earthquakes
from slipscan.errors import SlipscanError
from slipscan.gnss.earthquakes import earthquake_steps, radius_km
from slipscan.gnss.fetch import fetch_stations
from slipscan.gnss.holdings import around, named, read_holdings
from slipscan.gnss.steps import read_steps
from slipscan.gnss.tenv3 import read_stations
from slipscan.regions import Region
from slipscan.settings import DownloadSettings, NglSettings
from slipscan_loopback import ngl
from slipscan_loopback.http import Faults, LoopbackServer
from transient_builders import daily, tenv3_text

FAST = DownloadSettings(attempts=6, backoff_s=0.01, max_wait_s=0.1)
TRACK = {"id": "087A", "relative_orbit": 87, "orbit_direction": "ascending"}
SQUARE = ((179.0, -40.0), (180.0, -40.0), (180.0, -39.0), (179.0, -39.0), (179.0, -40.0))
HOLDINGS = """Sta  Lat(deg)   Long(deg) Hgt(m)  X(m)  Y(m)  Z(m)  Dtbeg  Dtend  Dtmod  NumSol StaOrigName
NEAR -39.5   179.5  10.0 0 0 0 2008-03-27 2018-09-25 2023-10-08   3190
OVER -39.5  180.2  10.0 0 0 0 2008-04-08 2019-09-29 2022-05-10   2362
BRIF -39.6   179.6  10.0 0 0 0 2008-04-08 2008-09-29 2022-05-10   100
AWAY -45.0   179.5  10.0 0 0 0 2008-04-08 2019-09-29 2022-05-10   2362
broken line
"""
STEPS = "NEAR  13JUN27  1  Antenna_Type_Changed\nAWAY  13JUN27  1  Antenna_Type_Changed\n"


@pytest.fixture(autouse=True)
def _everything_logged(caplog):
    caplog.set_level(logging.INFO)


def region(**keys):
    return Region(
        id="HIKU", name="a margin", archive="simulated", tracks=(TRACK,), reference_point=(179.5, -39.5),
        tectonic_setting="subduction", polygon=SQUARE, **keys,
    )  # fmt: skip


def series(name, count=30):
    noise = np.random.default_rng(1).standard_normal((count, 3)) * 1e-3
    return tenv3_text(name, daily("2019-01-01", count), noise)


@pytest.fixture
def archive():
    return ngl.Holdings({name: series(name) for name in ("NEAR", "OVER", "AWAY")}, HOLDINGS, STEPS)


def fetched(server, directory, entry, **keys):
    settings = NglSettings(url=server.url, **keys)
    return fetch_stations(entry, settings, FAST, directory / "cache", directory / "stations")


def test_stations_are_found_around_a_region_across_the_antimeridian(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text(HOLDINGS)
    table = read_holdings(path)
    assert table["longitude"].tolist() == pytest.approx([179.5, -179.8, 179.6, 179.5])
    assert around(table, SQUARE, 10.0)["name"].tolist() == ["BRIF", "NEAR"]
    assert around(table, SQUARE, 20.0)["name"].tolist() == ["BRIF", "NEAR", "OVER"]  # 17 km east of 180 degrees
    assert around(table, SQUARE, 700.0)["name"].tolist() == ["AWAY", "BRIF", "NEAR", "OVER"]
    assert named(table, ["away", "NEAR", "NONE"])["name"].tolist() == ["AWAY", "NEAR"]
    with pytest.raises(SlipscanError, match="no station NONE"):
        named(table, ["NONE"])


def test_fetch_asks_again_only_for_what_has_changed(tmp_path, archive):
    with LoopbackServer() as server:
        ngl.register(server, archive)
        assert fetched(server, tmp_path, region(gnss_distance_km=50.0)) == ["NEAR", "OVER"]
        assert [s.name for s in read_stations(tmp_path / "stations")] == ["NEAR", "OVER"]
        assert list(read_steps(tmp_path / "stations" / "steps.txt")) == ["NEAR"]
        before = len(server.requests)
        archive.series["OVER"] = series("OVER", 40)
        fetched(server, tmp_path, region(gnss_distance_km=50.0))
        again = {r.path.rpartition("/")[2]: r for r in server.requests[before:]}
        status = {name: r.status for name, r in again.items()}
        assert status == {"DataHoldings.txt": 304, "steps.txt": 304, "NEAR.tenv3": 304, "OVER.tenv3": 200}
        assert again["NEAR.tenv3"].bytes_sent == 0
        assert [len(s.time) for s in read_stations(tmp_path / "stations")] == [30, 40]


def test_fetch_goes_on_after_faults_and_leaves_out_what_is_not_there(tmp_path, archive, caplog):
    del archive.series["AWAY"]
    with LoopbackServer(Faults(0.5, kinds=("cut", "unavailable"), seed=3)) as server:
        ngl.register(server, archive)
        entry = region(gnss_stations=("NEAR", "AWAY", "OVER"))
        assert fetched(server, tmp_path, entry) == ["NEAR", "OVER"]
    assert "station left out: NGL lists AWAY" in caplog.text
    with LoopbackServer() as server:
        ngl.register(server, archive)
        with pytest.raises(SlipscanError, match="no station of 365 days within 5 km"):
            archive.holdings = HOLDINGS.replace("NEAR -39.5", "NEAR -59.5")
            fetched(server, tmp_path, region(gnss_distance_km=5.0))


def test_stations_without_listed_steps_get_those_of_earthquakes_around(tmp_path, archive):
    catalogue = tmp_path / "quakes.csv"
    catalogue.write_text(
        "time,latitude,longitude,mag,id\n2020-03-04T05:06:07.000Z,-39.5,-179.0,6.0,near\n"
        "2021-03-04T05:06:07.000Z,-39.5,170.0,6.0,far\n2016-11-13T11:02:56.000Z,-42.7,173.0,7.8,great\n"
    )
    assert radius_km(6.0) == pytest.approx(162.181, abs=1e-3)  # the row of M 6.0 in NGL's table
    found = earthquake_steps(read_earthquakes(catalogue), -179.8, -39.5)
    assert [(step.text, str(step.time)[:10]) for step in found] == [("great", "2016-11-13"), ("near", "2020-03-04")]
    with LoopbackServer() as server:
        ngl.register(server, archive)
        fetched(server, tmp_path, region(), earthquakes=str(catalogue))
    steps = read_steps(tmp_path / "stations" / "steps.txt")
    assert [step.text for step in steps["OVER"]] == ["great", "near"]
    assert [step.kind for step in steps["NEAR"]] == ["equipment"]
    catalogue.unlink()
    with pytest.raises(SlipscanError, match=r"quakes\.csv: correct ngl\.earthquakes"), LoopbackServer() as server:
        ngl.register(server, archive)
        fetched(server, tmp_path, region(), earthquakes=str(catalogue))
