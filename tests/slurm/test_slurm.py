"""A run through a real Slurm is complete and has the bytes of a run without, also where jobs, nodes, the head die."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cluster import Cluster
from small import ACCOUNT, QUICK

from slipscan.store import same_store
from workflow import Workflow

PATIENCE_S = 900
"""Minutes on an idle machine are a quarter of an hour on a busy one."""
VICTIM = "results/SMALL/087A/noise.zarr"
"""A store whose job is short, so that a fault costs little."""


def asked(*command: str) -> list[str]:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def until(found: Callable[[], object]) -> object:
    end = time.monotonic() + PATIENCE_S
    while not (value := found()):
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.2)
    return value


def test_a_run_through_slurm_has_the_bytes_of_a_local_one(local: Workflow, through_slurm: tuple[Workflow, str]) -> None:
    flow, _ = through_slurm
    for name in ("catalogue.gpkg", "report.html", "SMALL/events.parquet", "SMALL/087A/calibration.json"):
        one, two = (each.directory / "results" / name for each in (local, flow))
        assert one.read_bytes() == two.read_bytes(), name
    for store in ("stack", "noise", "denoised", "transients"):
        one, two = (each.directory / f"results/SMALL/087A/{store}.zarr" for each in (local, flow))
        assert same_store(one, two), store


def test_jobs_went_where_the_profile_says(through_slurm: tuple[Workflow, str]) -> None:
    flow, said = through_slurm
    fields = "Comment,Partition,AllocTRES,State,Account,WorkDir"
    # From yesterday on, since sacct begins at midnight where it is not told: a run across midnight would lose jobs.
    said_of = asked("sacct", "-a", "-X", "-n", "-P", "-S", "now-1days", "-o", fields)
    mine = [row for line in said_of if (row := line.split("|"))[5] == str(flow.directory)]
    kinds = {row[0].split("_wildcards_")[0]: row for row in mine}
    assert {row[3] for row in mine} == {"COMPLETED"} and {row[4] for row in mine} == {ACCOUNT}, mine
    assert kinds["rule_denoise"][1] == "gpu" and "gres/gpu=1" in kinds["rule_denoise"][2]
    assert kinds["rule_noise"][1] == "cpu" and "gres/gpu" not in kinds["rule_noise"][2]
    # Transfers stay on the login node, and what is small travels together: seven jobs for eleven stages.
    assert len(mine) == 7 and not {"rule_manifest", "rule_archive", "rule_stations"} & set(kinds), kinds
    assert "catalogue" in said and "report" in said


def test_a_profile_that_another_would_override_is_refused(local: Workflow) -> None:
    said = local.run("--dry-run", "--profile", "profiles/slurm", expect=1)
    assert "say --workflow-profile profiles/slurm" in said and "Traceback" not in said


class Run:
    """A Snakemake that makes the victim again, in a copy of a finished run, and the first job of it, which hangs."""

    def __init__(self, finished: Workflow, directory: Path, *options: str, hang: bool = True) -> None:
        self.directory = directory
        shutil.copytree(finished.directory, directory)
        shutil.rmtree(directory / VICTIM)
        (directory / "results/logs/SMALL/087A/noise.log").unlink()
        command = [sys.executable, "-m", "snakemake", "--configfile", "config/test.yaml", "--logger", "slipscan"]
        self.command = [*command, "--workflow-profile", "profiles/slurm", *QUICK, *options, "--", VICTIM]
        self.log = directory.with_suffix(".log")
        self.head = self.start()
        self.job = str(until(lambda: next(iter(self.queue()), "")))
        if hang:
            os.kill(int(str(until(self.worker))), signal.SIGSTOP)

    def start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(self.command, cwd=self.directory, stdout=log, stderr=log, start_new_session=True)

    def queue(self) -> list[str]:
        """Its jobs in Slurm's queue."""
        rows = [line.split("|") for line in asked("squeue", "-h", "-o", "%i|%Z|%T")]
        return [row[0] for row in rows if row[1] == str(self.directory) and row[2] in ("PENDING", "RUNNING")]

    def worker(self) -> str:
        """The process of the stage, inside the job."""
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_bytes().split(b"\0")
                inside = (process / "cwd").readlink() == self.directory
            except OSError:
                continue
            if inside and b"noise" in words and any(word.endswith(b"/slipscan") for word in words):
                return process.name
        return ""

    def node(self) -> str:
        return asked("squeue", "-h", "-j", self.job, "-o", "%N")[0]

    def ends_well(self) -> str:
        """Wait for its end; what it said."""
        status = self.head.wait(2 * PATIENCE_S)
        said = self.log.read_text()
        assert status == 0, said
        return said


ON_GPU_NODE = ("--set-resources", "noise:slurm_partition=gpu")
"""Away from the nodes of which one will be lost."""


def scancelled(run: Run, cluster: Cluster) -> None:
    subprocess.run(["scancel", run.job], check=True)


def hung(run: Run, cluster: Cluster) -> None:
    """Nothing more: its time limit ends it."""


def node_lost(run: Run, cluster: Cluster) -> None:
    cluster.kill_node(run.node())


def head_killed(run: Run, cluster: Cluster) -> None:
    os.killpg(run.head.pid, signal.SIGKILL)
    run.head.wait()
    assert run.queue() == [run.job]  # left behind, and at work
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    clean = [sys.executable, "-m", "slipscan", "cluster", "clean"]
    done = subprocess.run(clean, cwd=run.directory, env=environment, capture_output=True, text=True, check=True)
    assert f"cancelled: {run.job} noise" in done.stdout and run.queue() == []
    unlock = [*run.command[: run.command.index("--")], "--unlock"]
    subprocess.run(unlock, cwd=run.directory, check=True, capture_output=True)
    run.head = run.start()


MINUTES = "noise:runtime=4**(attempt-1)"
LITTLE = "noise:mem_mb=150*attempt**4"
FAULTS: dict[str, tuple[Callable[[Run, Cluster], None], tuple[str, ...], bool]] = {
    "scancel": (scancelled, ON_GPU_NODE, True),
    "time limit": (hung, (*ON_GPU_NODE, MINUTES), True),
    "memory": (hung, (*ON_GPU_NODE, LITTLE), False),
    "node lost": (node_lost, (), True),
    "head killed": (head_killed, ON_GPU_NODE, True),
}
SAID = {
    "scancel": "noise SMALL 087A failed: it was cancelled (scancel)",
    "node lost": "noise SMALL 087A failed: its node was lost",
    "time limit": "noise SMALL 087A failed: it needed more time than it was given (runtime 1): raise runtime of noise",
    "memory": "noise SMALL 087A failed: it needed more memory than it was given (mem_mb 150): raise mem_mb of noise",
}


@pytest.fixture(scope="session")
def after_faults(
    cluster: Cluster, through_slurm: tuple[Workflow, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Run | AssertionError]:
    """All of the faults at once, each in a run of its own."""
    base = tmp_path_factory.mktemp("faults").resolve()

    def suffer(name: str) -> Run:
        fault, options, hang = FAULTS[name]
        run = Run(through_slurm[0], base / name.replace(" ", "-"), *options, hang=hang)
        fault(run, cluster)
        run.ends_well()
        return run

    with ThreadPoolExecutor(len(FAULTS)) as pool:
        futures = {name: pool.submit(suffer, name) for name in FAULTS}
    return {name: future.exception() or future.result() for name, future in futures.items()}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_survived_with_the_same_bytes(
    name: str, local: Workflow, after_faults: dict[str, Run | AssertionError]
) -> None:
    run = after_faults[name]
    if not isinstance(run, Run):
        raise run
    assert same_store(local.directory / VICTIM, run.directory / VICTIM)
    assert SAID.get(name, "") in run.log.read_text()
    assert run.queue() == []
