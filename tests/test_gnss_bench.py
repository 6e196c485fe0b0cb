"""The page of the GNSS benchmark: rows measured at different times stand in one table."""

import json

import pytest

from slipbench.gnss_page import ALL, measure
from slipbench.gnss_rows import Places
from slipbench.gnss_speed import parts, write_stations
from slipscan.errors import SlipscanError


def test_rows_that_were_kept_are_written_and_unknown_ones_refused(tmp_path):
    places, rows, page = (
        Places(tmp_path / "stations", tmp_path / "steps.txt"),
        tmp_path / "rows.json",
        tmp_path / "page.md",
    )
    kept = [{"what": "noise", "must": "90 %", "aim": "95 %", "measured": "91 %", "met": True}]
    kept_too = [{"what": "twin", "must": "0.95", "aim": "1", "measured": "0.90", "met": False}]
    rows.write_text(json.dumps({"gnss rows": {"twin": kept_too, "noise": kept}}))
    table = measure([], places, rows, page)
    lines = table.splitlines()[2:]
    assert lines[0] == "| noise | 90 % | 95 % | 91 % | yes |"
    assert "| twin | 0.95 | 1 | 0.90 | **no** |" in lines
    assert "| velocity |  |  | not measured yet | not shown |" in lines
    assert table in page.read_text()
    with pytest.raises(SlipscanError, match=f"no row 'speeed': there are {', '.join(ALL)}"):
        measure(["speeed"], places, rows, page)
    page.write_text("mine")
    with pytest.raises(SlipscanError):
        measure([], places, rows, page)


def test_every_part_of_the_speed_is_of_files_that_were_read(tmp_path, caplog):
    write_stations(tmp_path, 2, 400)
    caplog.set_level("WARNING")
    spent = parts(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2 and not caplog.text
    assert [name.split()[0].rstrip(",") for name in spent] == ["reading", "cleaning", "trajectories", "T2"]
    assert min(spent.values()) > 0.0
