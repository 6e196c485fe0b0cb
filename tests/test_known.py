"""Published events against a catalogue."""

from __future__ import annotations

from pathlib import Path

import pytest

from event_builders import event, scan
from increment_builders import folded, held
from slipbench.known import COLUMNS, read_known, score_known
from slipscan.catalogue import geopackage
from slipscan.errors import SlipscanError
from slipscan.regions import read_regions

CONFIG = Path(__file__).resolve().parents[1] / "config"
ROW = ["E1", "AAAA", "somewhere", "2019-02-20", "2019-03-05", "12", "32.0", "40.0", "25", "5.1", "yes", "a paper", ""]


def listed(path: Path, *rows: list[str]) -> Path:
    path.write_text("# a remark\n" + "\n".join(",".join(row) for row in (list(COLUMNS), *rows)) + "\n")
    return path


def changed(**values: str) -> list[str]:
    return [values.get(name, cell) for name, cell in zip(COLUMNS, ROW, strict=True)]


def test_the_shipped_list_names_sources_and_regions_that_are_there():
    known, regions = read_known(CONFIG / "known_events.csv"), read_regions(CONFIG / "regions.geojson")
    assert len({one["id"] for one in known}) == len(known) >= 5
    for one in known:
        assert one["region"] in regions or not one["region"]
        assert "http" in one["source"] and one["start"].year >= 2014


def test_published_events_are_found_missed_or_not_scanned(tmp_path):
    increments = [held(event(lon=32.1, lat=40.05), scans=[scan()])]
    path = tmp_path / "catalogue.gpkg"
    geopackage.write(path, folded(*increments))
    known = listed(
        tmp_path / "known.csv", ROW, changed(id="E2", longitude="33.0"),
        changed(id="E3", start="2019-04-10", end="2019-04-20"),
        changed(id="E4", start="2016-01-01", end="2016-02-01"), changed(id="E5", region=""),
    )  # fmt: skip
    text = score_known(path, known)
    assert text.startswith("1 of 3 published events that lie in a scan were found; 2 lie in none")
    results = {line.split()[0]: line for line in text.splitlines()[4:]}
    assert " found " in results["E1"] and "SSE-2019" in results["E1"]
    assert all(" missed " in results[name] for name in ("E2", "E3"))
    assert all(" not scanned " in results[name] for name in ("E4", "E5"))


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (changed(start="soon"), "event 'E1' of .*soon"),
        (changed(longitude="east"), "event 'E1' of .*east"),
        (changed(end="2019-01-01"), "ends before it starts"),
        (changed(verified="perhaps"), "neither yes nor no"),
    ],
)
def test_a_wrong_row_is_one_sentence(tmp_path, row, sentence):
    with pytest.raises(SlipscanError, match=sentence):
        read_known(listed(tmp_path / "known.csv", row))


def test_another_table_is_refused(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SlipscanError, match="lacks the column 'id'"):
        read_known(tmp_path / "x.csv")
    with pytest.raises(SlipscanError, match="comes with slipscan"):
        read_known(tmp_path / "nothing.csv")
