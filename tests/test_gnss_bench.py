"""The page of the GNSS benchmark: rows measured at different times stand in one table."""

import json

import pytest

from slipbench.gnss_page import ALL, measure
from slipbench.gnss_rows import Places
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
    assert "| velocity |  |  | not measured yet | **no** |" in lines
    assert table in page.read_text()
    with pytest.raises(SlipscanError, match=f"no row 'speeed': there are {', '.join(ALL)}"):
        measure(["speeed"], places, rows, page)
    page.write_text("mine")
    with pytest.raises(SlipscanError):
        measure([], places, rows, page)
