"""A catalogue that is open in another program, or that a user has worked in."""

import hashlib
import logging
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pyogrio
import pytest

from event_builders import event
from increment_builders import folded, held
from slipscan.catalogue import geopackage, users_work
from slipscan.errors import SlipscanError

SQLITE = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
for name in ("IsEmpty", "MinX", "MaxX", "MinY", "MaxY"):  # of SpatiaLite, called by the triggers of the index
    database.create_function(f"ST_{name}", 1, lambda _: 0)
for statement in sys.argv[2:]:
    database.execute(statement).fetchall()
print("ready", flush=True); sys.stdin.readline()
"""
GDAL = """
import sys, pyogrio
pyogrio.set_gdal_config_options({"OGR_SQLITE_JOURNAL": "WAL", "SQLITE_USE_OGR_VFS": "NO"})
for number, batch in enumerate([1, 2]):
    frame = pyogrio.read_dataframe(sys.argv[1], layer="runs", read_geometry=False)
    pyogrio.write_dataframe(frame, sys.argv[1], layer="runs", driver="GPKG", append=True)
print("ready", flush=True); sys.stdin.readline()
"""
GDAL_READER = """
import sys, pyogrio
with pyogrio.raw.open_arrow(sys.argv[1], layer="events", batch_size=1) as (meta, reader):
    print("ready", flush=True); sys.stdin.readline()
    from pyarrow import RecordBatchReader
    print(RecordBatchReader.from_stream(reader).read_all().num_rows, flush=True)
"""
Open = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def elsewhere() -> Iterator[Open]:
    """Runs a program that has the catalogue open until a line is sent to it."""
    running: list[subprocess.Popen[str]] = []

    def run(program: str, *args: object) -> "subprocess.Popen[str]":
        command = [sys.executable, "-W", "ignore", "-c", program, *map(str, args)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        return process

    yield run
    for process in running:
        process.kill()
        process.communicate()


def write(path: Path, *found: dict[str, object]) -> None:
    """The catalogue of one increment."""
    geopackage.write(path, folded(held(*found)))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def types(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as database:
        return [row[0] for row in database.execute("SELECT type FROM events")]


def beside(path: Path) -> list[str]:
    return sorted(p.name for p in path.parent.iterdir() if p != path)


WAL = ("PRAGMA journal_mode=WAL", "DELETE FROM runs")


@pytest.mark.parametrize(
    "statements",
    [
        WAL,
        ("PRAGMA journal_mode=WAL", "SELECT * FROM runs"),
        ("BEGIN IMMEDIATE", "DELETE FROM runs"),
        ("PRAGMA cache_size=1", "PRAGMA cache_spill=1", "BEGIN", "UPDATE events SET weights = hex(zeroblob(100000))"),
    ],
    ids=["log", "log that was only read", "transaction", "journal"],
)
def test_open_in_another_program_it_is_refused_and_replaced_when_it_is_closed(
    tmp_path: Path, elsewhere: Open, statements: tuple[str, ...]
) -> None:
    path = tmp_path / "catalogue.gpkg"
    write(path, event())
    program = elsewhere(SQLITE, path, *statements)
    inode = path.stat().st_ino
    with pytest.raises(SlipscanError, match=r"catalogue.gpkg is open in another program"):
        write(path)
    assert path.stat().st_ino == inode
    program.communicate("\n")
    write(path)
    assert types(path) == []
    assert not [name for name in beside(path) if name.endswith(("-wal", "-shm", "-journal"))]


def test_open_to_write_without_any_lock_it_is_refused(tmp_path: Path, elsewhere: Open) -> None:
    """QGIS with its write-ahead log switched off: idle, but the next edit would go to a file that is gone."""
    path = tmp_path / "catalogue.gpkg"
    write(path, event())
    elsewhere(SQLITE, path, "SELECT count(*) FROM events")
    if not users_work._is_open_to_write(path):
        pytest.skip("the system cannot tell who has a file open (file leases)")
    with pytest.raises(SlipscanError, match="open in another program"):
        write(path)
    assert beside(path) == []


def test_a_killed_programs_log_is_checked_in_and_its_edits_are_kept(tmp_path: Path, elsewhere: Open) -> None:
    path = tmp_path / "catalogue.gpkg"
    write(path, event())
    program = elsewhere(SQLITE, path, "PRAGMA journal_mode=WAL", "UPDATE events SET type = 'checked'")
    program.kill()
    program.wait()
    assert beside(path) == ["catalogue.gpkg-shm", "catalogue.gpkg-wal"]
    write(path)
    assert types(path) == []
    (kept,) = beside(path)
    assert types(tmp_path / kept) == ["checked"]


@pytest.mark.parametrize("end", ["-wal", "-shm", "-journal"])
def test_a_log_without_its_catalogue_is_not_laid_over_a_new_one(tmp_path: Path, elsewhere: Open, end: str) -> None:
    """Snakemake removes an output before its job runs, while QGIS has it open."""
    path = tmp_path / "catalogue.gpkg"
    Path(f"{path}{end}").write_text("edits")
    with pytest.raises(SlipscanError, match=f"catalogue.gpkg{end} belongs to a catalogue that is gone.* move .* away"):
        write(path, event())
    assert beside(path) == [f"catalogue.gpkg{end}"] and not path.exists()
    assert Path(f"{path}{end}").read_text() == "edits"


def test_what_gdal_appends_is_kept(tmp_path: Path, elsewhere: Open) -> None:
    path = tmp_path / "catalogue.gpkg"
    write(path, event())
    elsewhere(GDAL, path).communicate("\n")
    write(path, event())
    (kept,) = tmp_path.glob("catalogue.kept-*.gpkg")
    assert [len(geopackage.read(file)[2]) for file in (path, kept)] == [1, 4]
    assert not [name for name in beside(path) if name.endswith(("-wal", "-shm", "-journal"))]


def test_a_reader_in_gdal_reads_on_in_the_catalogue_that_it_opened(tmp_path: Path, elsewhere: Open) -> None:
    path = tmp_path / "catalogue.gpkg"
    write(path, event())
    reader = elsewhere(GDAL_READER, path)
    write(path)
    answer, _ = reader.communicate("\n")
    assert answer == "1\n"
    assert len(geopackage.read(path)[0]) == 0


EDITS = {
    "cell": "UPDATE events SET type = 'checked'",
    "row": "DELETE FROM events",
    "column": "ALTER TABLE events ADD COLUMN note TEXT",
    "layer": "CREATE TABLE my_points (fid INTEGER PRIMARY KEY, note TEXT)",
    "project": "CREATE TABLE qgis_projects (name TEXT PRIMARY KEY, metadata BLOB, content BLOB)",
    "view": "CREATE VIEW large AS SELECT * FROM events WHERE mw > 5",
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_edits_are_kept_under_another_name(tmp_path: Path, edit: str, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "catalogue.gpkg"
    write(path, event())
    clean = digest(path)
    with closing(sqlite3.connect(path)) as database, database:
        for name in ("IsEmpty", "MinX", "MaxX", "MinY", "MaxY"):  # of SpatiaLite, called by the triggers of the index
            database.create_function(f"ST_{name}", 1, lambda _: 0)
        database.execute(edit)
    edited = digest(path)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            write(path, event())
            assert digest(path) == clean
            (kept,) = beside(path)
            assert digest(tmp_path / kept) == edited and kept.startswith("catalogue.kept-")
    assert len(caplog.records) == 1 and kept in caplog.text


def test_a_look_at_it_is_no_edit(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.gpkg"
    write(path, event())
    clean = digest(path)
    with closing(sqlite3.connect(path)) as database:  # as QGIS does, when it opens and closes a file
        for mode in ("WAL", "DELETE"):
            database.execute(f"PRAGMA journal_mode={mode}")
    assert digest(path) != clean
    geopackage.read(path)
    assert beside(path) == []
    write(path, event())
    assert digest(path) == clean and beside(path) == []


def test_another_geopackage_is_refused_and_one_of_version_0_1_is_kept(tmp_path: Path) -> None:
    write(tmp_path / "catalogue.gpkg", event())
    events = pyogrio.read_dataframe(tmp_path / "catalogue.gpkg", layer="runs")
    pyogrio.write_dataframe(events, tmp_path / "mine.gpkg", layer="mine", driver="GPKG")
    before = digest(tmp_path / "mine.gpkg")
    with pytest.raises(SlipscanError, match=r"mine.gpkg is not a catalogue that slipscan wrote"):
        write(tmp_path / "mine.gpkg", event())
    assert digest(tmp_path / "mine.gpkg") == before
    former = tmp_path / "former.gpkg"
    shutil.copyfile(tmp_path / "catalogue.gpkg", former)
    with closing(sqlite3.connect(former)) as database, database:
        database.executescript("DROP TABLE gpkg_metadata_reference; DROP TABLE gpkg_metadata")
    write(former, event())
    assert digest(former) == digest(tmp_path / "catalogue.gpkg")
    assert len(list(tmp_path.glob("former.kept-*.gpkg"))) == 1
