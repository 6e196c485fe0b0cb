"""Real daily positions on Kilauea (NGL): known slow slip events seen at HLNA, and nothing at other times."""

from pathlib import Path

import numpy as np
import pytest

from slipscan.gnss.steps import read_steps
from slipscan.gnss.tenv3 import read_stations
from slipscan.gnss.trajectory import fit_transient
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


def horizontal(station, date, others):
    """Size of the horizontal displacement in mm, and in its standard deviations."""
    steps = read_steps(STEPS)[station.name]
    estimate = fit_transient(station, around(date), GnssSettings(), steps, [around(day(o)) for o in others])
    moved, covariance = estimate.displacement[:2], estimate.covariance[:2, :2]
    return 1e3 * float(np.hypot(*moved)), float(np.sqrt(moved @ np.linalg.solve(covariance, moved)))


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
def test_known_slow_slip_is_seen(stations, date):
    others = [other for other in SEEN + SMALL + ("2007-06-17",) if other != date]
    size_mm, significance = horizontal(stations["HLNA"], day(date), others)
    assert 5.0 < size_mm < 16.0
    # There are no positions from 2000-11-02 to 2000-11-18: how far the station wandered meanwhile, nobody knows.
    assert significance > (2.0 if date == "2000-11-09" else 3.0)


def test_random_dates_are_quiet(stations):
    generator = np.random.default_rng(20100201)
    busy = [day(d) for d in SEEN + SMALL + DISTURBANCES] + [s.time for s in read_steps(STEPS)["HLNA"]]
    quiet = []
    while len(quiet) < 14:
        date = day("1999-01-01") + np.timedelta64(int(generator.integers(0, 18 * 365)), "D")
        if min(abs(date - other) for other in busy) > np.timedelta64(90, "D"):
            quiet.append(horizontal(stations["HLNA"], date, (*SEEN, *SMALL, "2007-06-17"))[1])
    assert np.median(quiet) < 2.0
    assert sum(significance > 3.0 for significance in quiet) <= 1
