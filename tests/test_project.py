"""How a project begins, and what is seen of a run: `slipscan init`, `--logger slipscan`, `make`."""

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from slipscan.errors import SlipscanError
from slipscan.project.start import start, starting_files
from test_workflow import SMALL, small_region
from waiting import LONG_S
from workflow import REPOSITORY, Workflow, feature_collection

LINES = ("--logger", "slipscan")
JOB_SHEET = re.compile(r"jobid|wildcards:|^rule |resources:|Shell command|Job stats|Select jobs", re.MULTILINE)


def tree(directory: Path) -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in directory.rglob("*")}


# init ------------------------------------------------------------------------------------------------------------


def in_the_way(directory: Path, what: str) -> Path:
    """Make something at a path that a project needs, or above it; the path."""
    path = directory / {"file": "config/regions.geojson", "link": "Snakefile", "no directory": "workflow/rules"}[what]
    path.parent.mkdir(parents=True)
    if what == "link":
        path.symlink_to("nowhere")
    else:
        path.write_text("mine")
    return path


@pytest.mark.parametrize("what", ["file", "link", "no directory"])
def test_init_overwrites_nothing(tmp_path: Path, what: str) -> None:
    path = in_the_way(tmp_path / "project", what)
    before = tree(tmp_path)
    with pytest.raises(SlipscanError, match=re.escape(f"{path} exists already: nothing was written")):
        start(tmp_path / "project")
    assert tree(tmp_path) == before


def test_init_below_or_in_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for directory in (tmp_path / "file", tmp_path / "file/deeper/project"):
        with pytest.raises(SlipscanError, match=re.escape(f"{tmp_path / 'file'} exists already")):
            start(directory)
    assert tree(tmp_path) == {tmp_path / "file": b"mine"}


def test_init_beside_files_of_another_name(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/mine.yaml").write_text("mine")
    assert start(tmp_path) == [tmp_path / name for name in starting_files()]
    assert (tmp_path / "config/mine.yaml").read_text() == "mine"
    with pytest.raises(SlipscanError, match="nothing was written"):
        start(tmp_path)


# One line a stage ------------------------------------------------------------------------------------------------


def test_one_line_a_stage_and_the_sentence_of_one_that_fails(tmp_path: Path) -> None:
    flow = Workflow(tmp_path, SMALL, feature_collection(small_region()))
    said = flow.run(*LINES, "--", "manifests", "results/SMALL/truth.json")
    head, *stages = [line for line in said.splitlines() if not line.startswith("Using ")]
    assert re.fullmatch(r"2 stages to run; Snakemake's log: \.snakemake/log/\S+\.log", head)
    assert "rule manifest" in (tmp_path / head.split()[-1]).read_text()
    assert sorted(re.sub(r"^\d/2 | +\d+ s$", "", line) for line in stages) == ["manifest SMALL 087A", "truth SMALL"]
    assert [line[:4] for line in stages] == ["1/2 ", "2/2 "]
    assert "nothing to be done" in flow.run(*LINES, "--", "manifests")

    (tmp_path / "results/SMALL/087A/manifest.csv").write_text("no,manifest\n")
    said = flow.run(*LINES, "--", "results/SMALL/087A/stack.zarr", expect=1)
    log = "results/logs/SMALL/087A/archive.log"
    sentence = (tmp_path / log).read_text().splitlines()[-1].removeprefix("slipscan: error: ")
    assert f"archive SMALL 087A failed: {sentence}\n  its log: {log}\n" in said
    assert not JOB_SHEET.search(said) and said.count(sentence) == 1 and "Error" not in said


def test_a_stage_that_was_killed_shows_the_end_of_its_log(tmp_path: Path) -> None:
    flow = Workflow(tmp_path, SMALL, feature_collection(small_region()))
    rule = tmp_path / "workflow/rules/archive.smk"
    killed = "bash -c 'echo half-way >&2; kill -9 $$' "
    rule.write_text(rule.read_text().replace("slipscan archive truth ", killed))
    said = flow.run(*LINES, "--", "results/SMALL/truth.json", expect=1)
    assert "truth SMALL failed: it ended without a sentence; the last line of its log is: half-way" in said


def test_a_bad_configuration_is_its_sentence_alone(tmp_path: Path) -> None:
    flow = Workflow(tmp_path, {**SMALL, "detect": {"treshold": 3}}, feature_collection(small_region()))
    lines = [line for line in flow.run(*LINES, expect=1).splitlines() if not line.startswith("Using ")]
    (line,) = lines
    assert line.startswith("slipscan: error: the configuration: detect.treshold: unknown key")


# make ------------------------------------------------------------------------------------------------------------


def make(directory: Path, target: str, *variables: str, expect: int = 0) -> str:
    # Within `make test` make would take this for a call of its own, and say which directory it enters.
    environment = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    done = subprocess.run(
        ["make", target, *variables], cwd=directory, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        check=False, timeout=LONG_S, env=environment,
    )  # fmt: skip
    assert (done.returncode != 0) == bool(expect), done.stdout
    return done.stdout


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What `make` needs, and an interpreter whose environments hold a pip that only talks."""
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(REPOSITORY / name, tmp_path)
    script(tmp_path / "pip", 'echo "WARNING: pip talks"; test -z "$BROKEN" || { echo "ERROR: no such wheel"; exit 1; }')
    making = f'mkdir -p "$3/bin"; cp {tmp_path}/pip "$3/bin/pip"'
    script(tmp_path / "python", f'if [ "$2" = venv ]; then {making}; else exec {sys.executable} "$@"; fi')
    return tmp_path


def test_setup_is_one_line_and_the_rest_is_in_a_log(checkout: Path) -> None:
    said = make(checkout, "setup", "PYTHON=./python")
    assert re.fullmatch(r"installing into \.venv \(log: \.venv/install\.log\) \.\.\. \d+ s\n", said)
    assert "WARNING: pip talks" in (checkout / ".venv/install.log").read_text()
    assert "pip" not in make(checkout, "setup", "PYTHON=./python"), "it is installed"


def test_a_setup_that_fails_says_why_and_where(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKEN", "1")
    said = make(checkout, "setup", "PYTHON=./python", expect=2)
    assert "failed\n" in said and "ERROR: no such wheel" in said and "the whole log: .venv/install.log" in said
    assert not (checkout / ".venv/.installed").exists()


def test_a_check_that_fails_says_what_it_found(checkout: Path) -> None:
    make(checkout, "setup", "PYTHON=./python")
    script(checkout / ".venv/bin/mypy", "echo Success: no issues")
    assert re.fullmatch(r"mypy \.\.\. \d+ s\n", make(checkout, "types"))
    script(checkout / ".venv/bin/mypy", "echo x.py:1: error: no such name; exit 1")
    said = make(checkout, "types", expect=2)
    assert "x.py:1: error" in said and "the whole log: .venv/types.log" in said


def test_a_lock_that_fails_leaves_the_old_one(checkout: Path) -> None:
    make(checkout, "setup", "PYTHON=./python")
    script(checkout / ".venv/bin/pip", "echo numpy==1; exit 1")
    before = (checkout / "requirements.lock").read_bytes()
    make(checkout, "lock", expect=2)
    assert (checkout / "requirements.lock").read_bytes() == before


def test_clean_deletes_what_the_demo_wrote_and_nothing_else(tmp_path: Path) -> None:
    flow = Workflow(tmp_path, {})
    shutil.copy(tmp_path / "config/demo.yaml", tmp_path / "config/test.yaml")
    shutil.copy(REPOSITORY / "Makefile", tmp_path)
    table = [line.split("\t") for line in flow.run("--summary").splitlines() if line.startswith("results/")]
    assert len(table) > 20
    logs = [row[3] for row in table]
    benchmarks = [log.replace("/logs/", "/benchmarks/").replace(".log", ".tsv") for log in logs]
    for path in (tmp_path / name for name in {*(row[0] for row in table), *logs, *benchmarks}):
        if path.suffix == ".zarr" or path.name == "stations":
            path.mkdir(parents=True)
            (path / ("ISA1.tenv3" if path.name == "stations" else "zarr.json")).write_text("ours")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("ours")
    (tmp_path / "results/demo/ISMT-TWIN/increments").mkdir()
    (tmp_path / "results/demo/ISMT-TWIN/increments/00001-90ed45bbf4f7.parquet").write_text("ours")
    names = (
        "results/README.md", "results/my/catalogue.gpkg", "results/catalogue.gpkg", "results/demo/notes.txt",
        "results/demo/ISMT-TWIN/087A/my.zarr/zarr.json", "results/demo/logs/notes.txt", "results/demo/edits.gpkg",
        "results/demo/ISMT-TWIN/increments/notes.parquet", "results/demo/MINE/087A/stack.zarr/zarr.json",
        "cache/granules/mine.nc", ".snakemake/metadata/mine",
    )  # fmt: skip
    mine = [tmp_path / name for name in names]
    for path in mine:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    make(tmp_path, "clean")
    left = [path for top in ("results", "cache") for path in (tmp_path / top).rglob("*") if path.is_file()]
    assert sorted(left) == sorted(path for path in mine if ".snakemake" not in path.parts)
    assert (tmp_path / ".snakemake/metadata/mine").exists()
    make(tmp_path, "clean")


def test_the_tree_says_what_lands_in_results() -> None:
    assert "make demo" in (REPOSITORY / "results/README.md").read_text()
    assert "!/results/README.md" in (REPOSITORY / ".gitignore").read_text().splitlines()
    assert (REPOSITORY / "src/slipscan/project/files/workflow").is_symlink(), "one source of the files of a project"
