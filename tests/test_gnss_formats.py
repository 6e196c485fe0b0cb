"""Positions in other files than NGL's, and MIDAS velocities."""

import numpy as np
import pytest

from slipscan.errors import SlipscanError
from slipscan.gnss.midas import midas_velocity
from slipscan.gnss.tenv3 import read_station, read_stations
from transient_builders import daily

DAYS = daily("2019-01-01", 30)
ENU = np.random.default_rng(1).standard_normal((30, 3)) * [1e-3, 1e-3, 3e-3]


def pos_text():
    head = (
        "PBO Station Position Time Series. Reference Frame : IGS14\n4-character ID: P123\nStation name  : Somewhere\n"
    )
    rows = [
        f" {str(day)[:10].replace('-', '')} 120000 58484.5 1.0 2.0 3.0 0.001 0.001 0.001 0 0 0 40.5 239.5 100.0"
        f" {n:.5f} {e:.5f} {u:.5f} 0.0011 0.0012 0.0030 0.1 0.2 0.3 final"
        for day, (e, n, u) in zip(DAYS, ENU, strict=True)
    ]
    return head + "*YYYYMMDD HHMMSS JJJJJ.JJJJ X Y Z\n" + "\n".join(rows) + "\n"


def csv_text(unit="mm", factor=1e3):
    names = ",".join(f"{c}_{unit}" for c in ("east", "north", "up", "sigma_east", "sigma_north", "sigma_up"))
    rows = [
        f"own1,{-120.5},40.5,{str(day)[:10]}," + ",".join(f"{factor * v:.7f}" for v in (*enu, 1e-3, 1e-3, 3e-3))
        for day, enu in zip(DAYS[::-1], ENU[::-1], strict=True)
    ]
    return f"station,longitude_deg,latitude_deg,date,{names}\n" + "\n".join(rows) + "\n"


def test_pos_files_of_earthscope(tmp_path):
    (tmp_path / "P123.pos").write_text(pos_text())
    station = read_station(tmp_path / "P123.pos")
    assert (station.name, station.longitude, station.latitude) == ("P123", pytest.approx(-120.5), pytest.approx(40.5))
    np.testing.assert_allclose(station.enu, ENU, atol=1e-5)
    np.testing.assert_allclose(station.sigma[0], [0.0012, 0.0011, 0.0030])
    np.testing.assert_allclose(station.correlation[0], [0.1, 0.3, 0.2])
    np.testing.assert_array_equal(station.time, DAYS)


@pytest.mark.parametrize(("unit", "factor"), [("mm", 1e3), ("m", 1.0)])
def test_plain_csv_in_any_order_of_time(tmp_path, unit, factor):
    (tmp_path / "OWN1.csv").write_text(csv_text(unit, factor))
    station = read_station(tmp_path / "OWN1.csv")
    assert station.name == "OWN1"
    np.testing.assert_allclose(station.enu, ENU, atol=1e-6)
    np.testing.assert_array_equal(station.time, DAYS)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("P123.pos", "PBO\n", "no line '4-character ID:'"),
        ("P123.pos", "4-character ID: P123\n", "no position"),
        ("P123.pos", "", "is empty"),
        ("OWN1.csv", csv_text().replace("up_mm", "up_inch"), "one column 'up_m' or 'up_mm'"),
        ("OWN1.csv", csv_text().replace("date", "when"), "no column 'date'"),
        ("OWN1.csv", csv_text().replace("own1", "own2", 1), "2 stations"),
    ],
)
def test_a_bad_file_leaves_out_its_station_and_no_other(tmp_path, caplog, name, text, sentence):
    (tmp_path / "GOOD.csv").write_text(csv_text().replace("own1", "good"))
    (tmp_path / name).write_text(text)
    with pytest.raises(SlipscanError, match=sentence):
        read_station(tmp_path / name)
    assert [station.name for station in read_stations(tmp_path)] == ["GOOD"]
    assert "station left out" in caplog.text


def test_a_truncated_row_costs_its_day_alone(tmp_path, caplog):
    lines = pos_text().splitlines()
    lines[10] = lines[10][:60]
    (tmp_path / "P123.pos").write_text("\n".join(lines))
    assert len(read_station(tmp_path / "P123.pos").time) == 29
    assert "line 11 is cut short" in caplog.text


def test_midas_minds_neither_steps_nor_seasons():
    generator = np.random.default_rng(2)
    day = np.flatnonzero(generator.random(2000) < 0.8)
    years = day / 365.25
    position = np.outer(years, [0.02, -0.01, 0.003]) + 3e-3 * np.cos(2 * np.pi * years)[:, None]
    position += 1e-3 * generator.standard_normal(position.shape)
    position[day > 1000] += [0.05, -0.03, 0.1]
    rate, std = midas_velocity(day, position)
    np.testing.assert_allclose(rate, [0.02, -0.01, 0.003], atol=1e-3)
    assert (std > 0).all() and (std < 1e-3).all()
    assert np.isnan(midas_velocity(day[:50], position[:50])[0]).all()
