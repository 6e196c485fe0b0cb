"""NGL's table of steps, and the way of the stations' files from the archive to the comparison."""

import logging

import numpy as np
import pytest

from slipscan.archive.stations import copy_stations, steps_file
from slipscan.errors import SlipscanError
from slipscan.gnss.ngl import parse_date
from slipscan.gnss.stage import read_network
from slipscan.gnss.steps import read_steps
from transient_builders import daily, tenv3_text


@pytest.fixture(autouse=True)
def _everything_logged(caplog):
    caplog.set_level(logging.INFO)


def series(name):
    return tenv3_text(name, daily("2019-01-01", 20), np.random.default_rng(0).standard_normal((20, 3)) * 1e-3)


@pytest.mark.parametrize(
    ("label", "date"), [("99MAY30", "1999-05-30"), ("05JAN26", "2005-01-26"), ("80dec01", "1980-12-01")]
)
def test_dates(label, date):
    assert parse_date(label) == np.datetime64(date)


@pytest.mark.parametrize("label", ["", "05JAN2", "05JAN026", "-1JAN05", "05JAN+5", "05JAM05", "21FEB29", "2005-01-26"])
def test_no_dates(label):
    with pytest.raises(ValueError, match=r"date|day|Day|parsing"):
        parse_date(label)


STEPS = (
    "HLNA  13JUN27  1  Logfile_Changed\nHLNA  13JUN27  1  Logfile_Changed\n"
    "AHUP  06OCT15  2   363.078    89.267  6.7 hv5532127\nHLNA  06AUG23  1  Antenna_Type_Changed\n"
)


@pytest.mark.parametrize("encoding", ["ascii", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_steps(tmp_path, encoding, end):
    (tmp_path / "steps.txt").write_bytes(f"# NGL\n\n{STEPS.lower()}".replace("\n", end).encode(encoding))
    steps = read_steps(tmp_path / "steps.txt")
    assert [(str(s.time)[:10], s.kind, s.text) for s in steps["HLNA"]] == [
        ("2006-08-23", "equipment", "antenna_type_changed"),
        ("2013-06-27", "equipment", "logfile_changed"),
    ]
    quake = steps["AHUP"][0]
    assert (quake.kind, quake.magnitude, quake.distance_km) == ("earthquake", 6.7, 89.267)


def test_bad_lines_of_steps_are_named_and_a_bad_table_refused(tmp_path, caplog):
    path = tmp_path / "steps.txt"
    path.write_text(STEPS + "HLNA 13JUX27 1 x\nHLNA 13JUN28 3 x\nHLNA\n")
    steps = read_steps(path)
    assert {name: len(found) for name, found in steps.items()} == {"AHUP": 1, "HLNA": 2}
    for number in (5, 6, 7):
        assert f"left out: line {number} of" in caplog.text
    for bad, sentence in (
        ("HLNA  13JUN27  3  what", r"line 1 of .* is no step"),
        ("<html>404</html>", "web page"),
        ("", "is empty"),
    ):
        path.write_text(bad)
        with pytest.raises(SlipscanError, match=sentence):
            read_steps(path)
    with pytest.raises(SlipscanError, match="no table of steps"):
        read_steps(tmp_path / "none.txt")


def test_steps_come_along_from_the_archive_to_the_network(tmp_path, caplog):
    for name in ("HLNA", "LATE"):
        (tmp_path / f"{name}.tenv3").write_text(series(name))
    (tmp_path / "Steps.TXT").write_text(STEPS)
    (tmp_path / "notes.doc").touch()
    copied = tmp_path / "copied"
    copied.mkdir()
    copy_stations(tmp_path, copied)
    assert sorted(path.name for path in copied.glob("[!.]*")) == ["HLNA.tenv3", "LATE.tenv3", "steps.txt"]
    assert "left aside (copied, notes.doc)" in caplog.text
    path = steps_file(copied)
    assert path is not None and len(read_steps(path)["HLNA"]) == 2
    read_network(copied)
    assert "not in" in caplog.text and "LATE" in caplog.text.splitlines()[-1]


def test_the_archive_leaves_out_one_station_and_never_the_steps(tmp_path, caplog):
    (tmp_path / "GOOD.tenv3").write_text(series("GOOD"))
    (tmp_path / "DIRE.tenv3").mkdir()
    copied = tmp_path / "copied"
    copied.mkdir()
    copy_stations(tmp_path, copied)
    assert [path.name for path in copied.glob("[!.]*")] == ["GOOD.tenv3"]
    assert "DIRE.tenv3 cannot be read" in caplog.text
    (tmp_path / "steps.txt").symlink_to("nowhere")
    with pytest.raises(SlipscanError, match=r"steps.txt cannot be read"):
        copy_stations(tmp_path, copied)
