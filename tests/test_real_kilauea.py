"""Real daily positions on Kilauea (NGL): known slow slip events seen at HLNA, and nothing at other times."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import shapely

from slipscan.fit.model import days_since_2014
from slipscan.gnss.event import compare_event
from slipscan.gnss.offsets import measure, prepare, ramp_columns
from slipscan.gnss.stage import read_network
from slipscan.gnss.steps import read_steps
from slipscan.gnss.tenv3 import read_stations
from slipscan.settings import GnssSettings

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data"
DIRECTORY, STEPS = SHARED / "kilauea" / "gnss", SHARED / "ngl" / "steps.txt"
pytestmark = pytest.mark.skipif(
    not (DIRECTORY.is_dir() and STEPS.is_file()), reason=f"the real GNSS series are not in {SHARED}"
)

SEEN = ("2000-11-09", "2005-01-26", "2010-02-01", "2012-05-26", "2015-10-15")
SMALL = ("1998-09-20", "2000-05-29", "2002-12-16", "2003-07-04")
DISTURBANCES = ("1997-01-30", "1999-09-12", "2007-06-17", "2011-03-05", "2018-05-04")
"""Intrusions and the great event of 2018."""


@pytest.fixture(scope="module")
def stations():
    return {station.name: station for station in read_stations(DIRECTORY)}


def day(text):
    return np.datetime64(text, "ns")


def around(date):
    """The two days or so that these events last."""
    return date - np.timedelta64(12, "h"), date + np.timedelta64(36, "h")


@pytest.fixture(scope="module")
def hlna(stations):
    """Its daily positions, with trajectory and noise."""
    return prepare([stations["HLNA"]], {"HLNA": read_steps(STEPS)["HLNA"]})


def horizontal(daily, date, others):
    """Size of a station's horizontal displacement in mm, and in its standard deviations."""
    middle = float(days_since_2014(np.array(date)[None])[0]) + 0.5
    window = daily.window(middle - 3 * 365.25, middle + 3 * 365.25)

    def ramps(dates):
        return ramp_columns(window.days, days_since_2014(np.array(dates, "M8[ns]")) + 0.5, np.full(len(dates), 2.0))

    found = measure(window, ramps([date]), ramps([day(o) for o in others]))
    moved, std = found.size[0, 0, :2], found.std[0, 0, :2]
    return 1e3 * float(np.hypot(*moved)), float(np.hypot(*(moved / std)))


def test_every_station_is_read(stations):
    assert sorted(stations) == ["AHUP", "CNPK", "CRIM", "DVLT", "HLNA", "OUTL", "PUHI", "PUHR"]
    for station in stations.values():
        assert (np.diff(station.time) > np.timedelta64(0)).all()
        assert -155.4 < station.longitude < -155.2
        assert 19.2 < station.latitude < 19.5
        assert (station.sigma > 0).all()


def test_hlna_has_two_monuments(stations):
    hlna = stations["HLNA"]
    assert all(set(s.monument) == {0} for name, s in stations.items() if name != "HLNA")
    assert set(hlna.monument) == {0, 1}
    changes = hlna.time[1:][np.diff(hlna.monument) != 0]
    assert len(changes) >= 5  # there and back again, and to the new one for good
    assert changes.min() > day("2013-06-25")
    assert changes.max() < day("2013-08-05")
    jump = [np.median(hlna.enu[(hlna.monument == m) & (abs(hlna.time - changes[0]) < np.timedelta64(60, "D"))], axis=0)
            for m in (0, 1)]  # fmt: skip
    np.testing.assert_allclose((jump[1] - jump[0])[:2], [-17.4, -5.9], atol=0.1)


@pytest.mark.parametrize("date", SEEN)
def test_known_slow_slip_is_seen(hlna, date):
    others = [other for other in SEEN + SMALL + ("2007-06-17",) if other != date]
    size_mm, significance = horizontal(hlna, day(date), others)
    assert 5.0 < size_mm < 16.0
    # There are no positions from 2000-11-02 to 2000-11-18: how far the station wandered meanwhile, nobody knows.
    assert significance > (2.0 if date == "2000-11-09" else 3.0)


def test_random_dates_are_quiet(hlna):
    generator = np.random.default_rng(20100201)
    busy = [day(d) for d in SEEN + SMALL + DISTURBANCES] + [s.time for s in read_steps(STEPS)["HLNA"]]
    quiet = []
    while len(quiet) < 14:
        date = day("1999-01-01") + np.timedelta64(int(generator.integers(0, 18 * 365)), "D")
        if min(abs(date - other) for other in busy) > np.timedelta64(90, "D"):
            quiet.append(horizontal(hlna, date, (*SEEN, *SMALL, "2007-06-17"))[1])
    assert np.median(quiet) < 2.0
    assert sum(significance > 3.0 for significance in quiet) <= 1


def slip_below(station, start, end):
    """A row of the event table: 120 mm of slip towards the sea on the decollement, where these events are placed."""
    place = station.longitude + 0.01, station.latitude - 0.02
    plane = {"depth_km": 7.5, "strike_deg": 240.0, "dip_deg": 8.0, "length_km": 20.0, "width_km": 10.0}
    slip = {"slip_mm": 120.0, "rake_deg": 90.0, "volume_change_m3": np.nan, "type": "slow_slip"}
    about = {"longitude": place[0], "latitude": place[1], "geometry": shapely.Point(place).buffer(0.05)}
    return {**plane, **slip, **about, "area_km2": 80.0, "tracks": "", "t05": start, "t95": end}


def test_broken_files_beside_change_no_bit_of_a_verdict(stations, tmp_path):
    broken = tmp_path / "broken"
    for directory in (tmp_path / "whole", broken):
        shutil.copytree(DIRECTORY, directory)
        shutil.copyfile(STEPS, directory / "steps.txt")
    lines = [line.split() for line in (DIRECTORY / "AHUP.tenv3").read_text().splitlines()]
    without_sigma = [["SIGM", *line[1:14], "0", "0", "0", *line[17:]] for line in lines[1:]]
    (broken / "SIGM.tenv3").write_text("\n".join(map(" ".join, [lines[0], *without_sigma])))
    (broken / "ZERO.tenv3").touch()
    (broken / "HTML.tenv3").write_text("<html>")
    event = slip_below(stations["HLNA"], *around(day("2015-10-15")))
    whole, beside = (
        compare_event(event, [], [], read_network(directory), GnssSettings())
        for directory in sorted(tmp_path.iterdir())
    )
    # The source is made up: it moves all five by the same, and HLNA moved most. What HLNA did stands none the less.
    assert whole.judgement.verdict == "insensitive"
    assert whole.judgement.stations == 5
    moved, covariance = whole.measured.weighted(whole.judgement.weight)
    hlna = 3 * [station.name for station in whole.measured.stations].index("HLNA")
    assert 12.0 < 1e3 * np.hypot(*moved[hlna : hlna + 2]) < 18.0
    assert np.sqrt(np.diag(covariance)[hlna : hlna + 2]).max() < 3e-3
    np.testing.assert_equal(vars(beside.judgement), vars(whole.judgement))
    assert beside.rows == whole.rows
