"""What jobs need, why a cluster ended them, and how a project stands, from files alone."""

import base64
import datetime
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from slipscan.errors import SlipscanError
from slipscan.fleet import slurm
from slipscan.fleet.size import memory_mb, pixel_epochs, runtime_min
from slipscan.fleet.status import describe, standings
from slipscan.outputs import NEW
from slipscan.project.stage_lines import LogHandler, Stage
from slipscan.settings import Settings
from slipscan.store import write_zarr
from test_workflow import small_region

MANIFEST = "name,reference_date,secondary_date\na,2018-09-01,2018-09-25\nb,2018-09-01,2018-09-13\n"
TODAY = datetime.date(2018, 10, 5)


def test_memory_and_time_grow_with_the_store_and_with_the_attempt(tmp_path: Path) -> None:
    store, table = tmp_path / "stack.zarr", tmp_path / "calibration.json"
    cube = np.zeros((20, 100, 500), "float32")
    write_zarr(xr.Dataset({"displacement": (("time", "y", "x"), cube)}), store, NEW)
    assert pixel_epochs(store) == 1_000_000
    inputs = [str(table), str(store)]
    assert [memory_mb(1000, inputs, attempt) for attempt in (1, 2)] == [1008, 2016]
    # A million at a tenth of a million a second are 10 s; three times that, in whole minutes.
    assert [runtime_min(10, 0.1, inputs, attempt) for attempt in (1, 3)] == [11, 33]
    assert [runtime_min(10, 0.005, inputs, 1), runtime_min(10, 0.005, [str(table)], 1)] == [20, 10]
    assert pixel_epochs(tmp_path / "not there.zarr") == 0
    metadata = store / "zarr.json"
    metadata.write_text(metadata.read_text().replace("20", "30"))
    os.utime(metadata, ns=(1, 1))
    assert pixel_epochs(store) == 1_500_000, "a store that a job made anew is read anew"


SLURM_LOGS = {
    "slurmstepd: error: *** STEP 18.0 ON cpu1 CANCELLED AT 2026-11-28T20:41:12 DUE TO TIME LIMIT ***": "runtime",
    "slurmstepd: error: Step 21.0 exceeded memory limit (420000 > 153600), being killed": "mem_mb",
    "slurmstepd: error: Detected 1 oom_kill event in StepId=20.0. Some of the step tasks have been.": "mem_mb",
    "slurmstepd: error: *** STEP 18.0 ON cpu1 CANCELLED AT 2026-11-28T20:41:12 ***": None,
}


@pytest.mark.parametrize("line", SLURM_LOGS)
def test_the_log_of_slurm_says_which_resource_to_raise(line: str, tmp_path: Path) -> None:
    (tmp_path / "18.log").write_text(f"host: cpu1\n{line}\n")
    found = slurm.why(tmp_path / "18.log")
    assert (found[1] if found else None) == SLURM_LOGS[line]
    assert slurm.why(tmp_path / "19.log") is None


def test_a_job_that_a_cluster_ended_is_said_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "noise.log").write_text("12:00:00 slipscan: 30 of 60\n")
    (tmp_path / "18.log").write_text("slurmstepd: error: *** JOB 18 ON cpu1 CANCELLED AT 12:01 DUE TO TIME LIMIT ***\n")
    handler = LogHandler.__new__(LogHandler)
    handler.running = {3: Stage("noise SMALL 087A", 0.0, {"runtime": 60})}
    member = {"jobid": 3, "log": [str(tmp_path / "noise.log")]}
    handler._group_failed([member], [str(tmp_path / "18.log")])
    said = capsys.readouterr().err
    assert "noise SMALL 087A failed: it needed more time than it was given (runtime 60): raise runtime of noise" in said
    assert handler.running == {}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """SMALL is at timeseries, which failed; OTHER is at noise, which runs."""
    for region, made in {"SMALL": (), "OTHER": ("stack.zarr",)}.items():
        track = tmp_path / "results" / region / "087A"
        for name in ("manifest.csv", "inventory.csv", *made):
            track.mkdir(parents=True, exist_ok=True)
            (track / name).write_text(
                "name,reference_date,secondary_date\na,2018-09-01,2018-09-25\nb,2018-09-01,2018-09-13\n"
            )
        (tmp_path / f"results/logs/{region}/087A").mkdir(parents=True)
    (tmp_path / "results/logs/SMALL/087A/timeseries.log").write_text("20:00:00 x\nslipscan: error: no valid pixel\n\n")
    (tmp_path / "results/logs/OTHER/087A/noise.log").write_text("20:00:00 slipscan: 3 of 9\n")
    marked = base64.urlsafe_b64encode(b"results/OTHER/087A/noise.zarr").decode()
    (tmp_path / ".snakemake/incomplete").mkdir(parents=True)
    (tmp_path / f".snakemake/incomplete/{marked}").write_text("{}")
    return tmp_path


def test_the_status_tells_stage_age_and_failure(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(project))
    regions = {name: small_region(name) for name in ("OTHER", "SMALL")}
    other, _, small, whole = standings(regions, Settings(), project, TODAY)
    assert (other.done, other.running, other.failed, other.age_d) == ("timeseries", "noise", "", 10)
    assert (small.done, small.running, small.failed) == ("archive", "", "timeseries")
    assert small.said == "slipscan: error: no valid pixel" and small.data_until == "2018-09-25"
    assert (whole.track, whole.done, whole.failed, whole.age_d) == ("", "", "", None)
    told = json.loads(describe(regions, Settings(), project, in_json=True))
    assert [one["failed"] for one in told["standings"]] == ["", "", "timeseries", ""]
    text = describe(regions, Settings(), project, in_json=False)
    assert "timeseries SMALL 087A: slipscan: error: no valid pixel" in text and "1 failed" in text
    # A queue that does not answer hides nothing.
    (project / "squeue").write_text("#!/bin/sh\necho slurm_load_jobs error >&2\nexit 1\n")
    (project / "squeue").chmod(0o755)
    text = describe(regions, Settings(), project, in_json=False)
    assert "1 failed" in text and "squeue does not answer (slurm_load_jobs error)" in text


def test_a_long_name_is_found_among_what_snakemake_has_begun(project: Path) -> None:
    results = f"{'r' * 150}/{'s' * 150}"
    (project / results).parent.mkdir()
    (project / "results").rename(project / results)
    name = base64.urlsafe_b64encode(f"{results}/OTHER/087A/noise.zarr".encode()).decode()
    parts = [name[:254], name[254:]]
    place = project / ".snakemake/incomplete" / f"@{parts[0]}"
    place.mkdir()
    (place / parts[1]).write_text("{}")
    found = standings({"OTHER": small_region("OTHER")}, Settings(results_dir=results), project, TODAY)
    assert found[0].running == "noise"


def test_jobs_are_not_cancelled_under_a_snakemake_that_is_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("squeue", "scancel"):
        (tmp_path / name).write_text("#!/bin/sh\ntouch called\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    work = tmp_path / "snakemake"
    work.mkdir()
    script = tmp_path / "bin/snakemake"
    script.parent.mkdir()
    script.write_text("import time\nprint(flush=True)\ntime.sleep(600)\n")
    with subprocess.Popen([sys.executable, script], cwd=work, stdout=subprocess.PIPE) as head:
        assert head.stdout is not None and head.stdout.readline()
        assert slurm.head(work) == head.pid and slurm.head(tmp_path) is None
        with pytest.raises(SlipscanError, match=f"process {head.pid}"):
            slurm.clean(work)
        assert not list(tmp_path.rglob("called"))
        head.kill()


def test_without_slurm_there_are_no_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert slurm.jobs(tmp_path) == []
    with pytest.raises(SlipscanError, match="no squeue"):
        slurm.clean(tmp_path)
