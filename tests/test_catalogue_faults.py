"""The catalogue is the old or the new one, whatever becomes of the process; increments are never lost."""

import json
import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalogue_faults import add, digest, fold
from event_builders import event, scan
from increment_builders import write_source
from slipscan.catalogue import consolidated, geopackage, increment, stage
from slipscan.errors import SlipscanError
from slipscan.events import read_events
from slipscan.outputs import sha256_file

HERE = Path(__file__).parent


def run(*arguments: object, **environment: str) -> list[str]:
    """Lines of `catalogue_faults.py`."""
    command = [sys.executable, str(HERE / "catalogue_faults.py"), *map(str, arguments)]
    done = subprocess.run(
        command, text=True, capture_output=True, check=False, timeout=900, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("points", [8, pytest.param(150, marks=pytest.mark.slow)])
def test_killed_at_any_point_it_is_the_old_or_the_new_one(tmp_path: Path, points: int) -> None:
    results, scratch = tmp_path / "results", tmp_path / "scratch"
    results.mkdir()
    scratch.mkdir()
    *kills, end, left, of_scratch = run("kill", results, points, TMPDIR=str(scratch))
    found = [line.split() for line in kills]
    assert len(found) >= min(points, 100)
    assert {state for _, _, state in found} == {"old", "new"}
    assert [code for _, code, _ in found] == ["-9"] * (len(found) - 1) + ["0"]
    assert end == "end new"
    assert left == "left AAAA BBBB catalogue.gpkg catalogue.json", "what killed ones left is removed by the next"
    assert of_scratch == "scratch"


@pytest.mark.slow
@pytest.mark.parametrize(("rounds", "locks"), [(1, "with"), (5, "with"), (5, "without")])
def test_eight_processes_that_add_and_fold_at_once_lose_nothing(tmp_path: Path, rounds: int, locks: str) -> None:
    codes, increments, whole = run("race", tmp_path, 8, rounds, locks)
    assert codes == "codes" + " 0" * 8
    assert increments == f"increments {16 * rounds}"
    assert whole == "whole"


def test_a_fold_with_nothing_new_changes_no_byte(tmp_path: Path) -> None:
    add(tmp_path, "AAAA", 0)
    fold(tmp_path)
    before = {name: digest(tmp_path / name) for name in ("catalogue.gpkg", "catalogue.json")}
    add(tmp_path, "AAAA", 0)
    fold(tmp_path)
    assert {name: digest(tmp_path / name) for name in before} == before
    assert len(stage.increments_below(tmp_path)) == 1


def test_what_is_kept_of_many_increments_changes_no_byte_and_hides_no_damage(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(consolidated.MIN_INCREMENTS):
        add(tmp_path, "AAAA", number)
    directory = tmp_path / "AAAA/increments"
    fold(tmp_path)
    first, kept = digest(tmp_path / "catalogue.gpkg"), directory / consolidated.NAME
    assert len(consolidated.load(directory)) == consolidated.MIN_INCREMENTS
    fold(tmp_path)  # of what is kept
    assert digest(tmp_path / "catalogue.gpkg") == first
    content = kept.read_bytes()
    add(tmp_path, "AAAA", consolidated.MIN_INCREMENTS)
    fold(tmp_path)  # of what is kept, and one more
    first = digest(tmp_path / "catalogue.gpkg")
    assert kept.read_bytes() == content, "one new increment is no reason to write all again"
    kept.unlink()
    fold(tmp_path)  # of nothing
    assert digest(tmp_path / "catalogue.gpkg") == first
    assert len(consolidated.load(directory)) == consolidated.MIN_INCREMENTS + 1
    for spoilt in (kept.read_bytes()[:-1], b"", b"x" * 100):
        kept.write_bytes(spoilt)
        assert consolidated.load(directory) == {}
    fold(tmp_path)
    assert digest(tmp_path / "catalogue.gpkg") == first
    victim = damage(stage.increments_below(tmp_path)[2])
    with caplog.at_level(logging.WARNING):
        fold(tmp_path)
    assert victim.name in caplog.text and digest(tmp_path / "catalogue.gpkg") != first


# Increments of other versions, damaged and foreign ones.


def rewrite(path: Path, metadata: dict[bytes, bytes | None], drop: tuple[str, ...] = ()) -> Path:
    """The same increment with other metadata or columns, under the name that its bytes ask for."""
    table = pq.read_table(path)
    told = {**table.schema.metadata, **metadata}
    table = table.drop_columns(list(drop)).replace_schema_metadata({k: v for k, v in told.items() if v is not None})
    path.unlink()
    pq.write_table(table, path)
    return path.rename(path.with_name(f"{path.name[:5]}-{sha256_file(path)[:12]}.parquet"))


def test_an_increment_of_the_first_layout_is_read(tmp_path: Path) -> None:
    """It has the columns of version 0.1 alone, and tells neither comparisons nor the region's outline."""
    add(tmp_path, "AAAA", 0)
    (path,) = stage.increments_below(tmp_path)
    read = increment.read(rewrite(path, {b"slipscan_increment": None}, drop=("variance_explained",)))
    assert (read.schema, read.told("gnss"), read.told("region")) == (1, {}, {})
    fold(tmp_path)
    layers = geopackage.read_layers(tmp_path / "catalogue.gpkg")
    assert list(layers["events"]["variance_explained"].isna()) == [True, True]
    assert list(layers["runs"]["schema"]) == [1]


def test_a_newer_one_stops_the_fold_and_the_catalogue_stays(tmp_path: Path) -> None:
    for number in range(2):
        add(tmp_path, "AAAA", number)
        if number == 0:
            fold(tmp_path)
    before = digest(tmp_path / "catalogue.gpkg")
    told = json.dumps({"gnss": {}, "region": {}, "schema": increment.SCHEMA + 1}).encode()
    path = rewrite(stage.increments_below(tmp_path)[1], {b"slipscan_increment": told})
    with pytest.raises(SlipscanError, match=rf"{path.name} was written by a later version of slipscan"):
        fold(tmp_path)
    assert digest(tmp_path / "catalogue.gpkg") == before


def damage(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-40])
    return path


def truncate(path: Path) -> Path:
    path.write_bytes(b"")
    return path


def other_parquet(path: Path) -> Path:
    return rewrite(path, {b"slipscan_scans": None})


def not_one(path: Path) -> Path:
    path.unlink()
    path = path.with_name("notes.txt")
    path.write_text("mine")
    return path


def of_values(path: Path, **values: object) -> Path:
    """The same increment with another value in its first row, under the name that its bytes ask for."""
    table = pq.read_table(path)
    for name, value in values.items():
        column = [value, *table[name].to_pylist()[1:]]
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(column))
    path.unlink()
    pq.write_table(table, path)
    return path.rename(path.with_name(f"{path.name[:5]}-{sha256_file(path)[:12]}.parquet"))


def no_date(path: Path) -> Path:
    return of_values(path, t50="1 March")


def no_polygon(path: Path) -> Path:
    return of_values(path, geometry=b"mine")


def no_magnitude(path: Path) -> Path:
    return of_values(path, mw=99.0)


def no_area(path: Path) -> Path:
    (told,) = json.loads(pq.read_table(path).schema.metadata[b"slipscan_scans"])
    return rewrite(path, {b"slipscan_scans": json.dumps([told | {"area_km2": "large"}]).encode()})


@pytest.mark.parametrize(
    "spoil", [damage, truncate, other_parquet, not_one, no_date, no_polygon, no_magnitude, no_area]
)
def test_what_is_no_whole_increment_is_refused_by_name_and_the_rest_is_folded(
    tmp_path: Path, spoil, caplog: pytest.LogCaptureFixture
) -> None:
    for region in ("AAAA", "BBBB"):
        add(tmp_path, region, 0)
    path = spoil(stage.increments_below(tmp_path)[0])
    with caplog.at_level(logging.WARNING):
        fold(tmp_path)
    assert path.name in caplog.text and len(caplog.records) == 1
    layers = geopackage.read_layers(tmp_path / "catalogue.gpkg")
    assert set(layers["events"]["region"]) == {"BBBB"}
    refused = layers["runs"][layers["runs"]["refused"].notna()].iloc[0]
    assert (refused["region"], refused["increment"]) == ("AAAA", path.name)
    assert path.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody; others cannot write to what is not theirs")
def test_a_directory_without_permission_is_one_sentence_and_the_old_catalogue() -> None:
    with tempfile.TemporaryDirectory() as name:
        results = Path(name)
        add(results, "AAAA", 0)
        fold(results)
        before = digest(results / "catalogue.gpkg")
        add(results, "AAAA", 1)
        for path in (results, *results.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        script = (
            "import os, sys; from pathlib import Path; from slipscan.ending import run_app\n"
            "from slipscan.catalogue.stage import write_catalogue as write\n"
            "from slipscan.settings import CatalogueSettings\n"
            "import pandera.pandas\n"  # which nobody may not be allowed to read
            "r = Path(sys.argv[1]); os.setgid(65534); os.setuid(65534)\n"
            "run_app(lambda standalone_mode: write(r, r / 'catalogue.gpkg', CatalogueSettings()))\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, name], text=True, capture_output=True, check=False, timeout=300
        )
        last = done.stderr.splitlines()[-1]
        assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
        assert last.startswith("slipscan: error: ") and name in last and "ermission" in last
        assert digest(results / "catalogue.gpkg") == before
        assert sorted(path.name for path in results.iterdir()) == ["AAAA", "catalogue.gpkg", "catalogue.json"]


def test_what_snakemake_restores_is_never_the_truth(tmp_path: Path) -> None:
    """A failed job's outputs are removed or put back to what they were: only the two pointers are outputs."""
    source = write_source(tmp_path / "AAAA", event())
    directory, pointer = tmp_path / "AAAA/increments", tmp_path / "AAAA/increment.json"
    stage.write_increment(*source, directory, pointer)
    fold(tmp_path)
    backup = {path: path.read_bytes() for path in (pointer, tmp_path / "catalogue.json")}
    source = write_source(tmp_path / "AAAA", event(), event(t50="2019-09-01"), scans=[scan(until="2020-06-01")])
    stage.write_increment(*source, directory, pointer)
    fold(tmp_path)
    assert len(read_events(source[0])[0]) == 2
    whole = digest(tmp_path / "catalogue.gpkg")
    for path, content in backup.items():
        path.write_bytes(content)
    fold(tmp_path)
    assert digest(tmp_path / "catalogue.gpkg") == whole
    assert len(increment.find(directory)) == 2
