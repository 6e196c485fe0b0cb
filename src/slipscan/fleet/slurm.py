"""What Slurm knows of a project's jobs: those in the queue, those a killed run left, why one ended."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from slipscan.errors import SlipscanError

FIELDS: Final = ("%i", "%T", "%M", "%j", "%k", "%Z")
"""Of squeue: id, state, time used, name, comment, working directory."""
RUN_NAME: Final = re.compile(r"(?:.*_)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""The name of a job: the executor plugin gives all of a run one UUID, behind the profile's prefix."""
GONE_S: Final = 120.0
"""How long a cancelled job may take to end: Slurm's KillWait is 30 s, and its file system may be slow."""
LOOK_S: Final = 1.0
ENDS: Final = (
    (re.compile(r"oom[-_]?kill|out of memory|memory limit", re.IGNORECASE), "more memory than it was given", "mem_mb"),
    (re.compile(r"DUE TO TIME LIMIT"), "more time than it was given", "runtime"),
)
"""What Slurm writes into the log of a job that it ended, what that means, and the resource to raise."""


@dataclass(frozen=True)
class ClusterJob:
    """A job in Slurm's queue.

    Attributes
    ----------
    id
        of Slurm
    state
        PENDING, RUNNING, ...
    used
        wall time so far, as Slurm writes it ([days-]hours:minutes:seconds)
    run
        name of the job: all jobs of one run of Snakemake have the same
    what
        rule (or group) and wildcards
    """

    id: str
    state: str
    used: str
    run: str
    what: str


def jobs(directory: Path) -> list[ClusterJob]:
    """List this user's jobs that Snakemake submitted from a project's directory; none where there is no Slurm.

    Raises
    ------
    SlipscanError
        squeue does not answer
    """
    if shutil.which("squeue") is None:
        return []
    separator = "\x1f"
    lines = _ask("squeue", "--me", "--noheader", "--format", separator.join(FIELDS)).splitlines()
    found = []
    for line in lines:
        number, state, used, run, comment, where = (part.strip() for part in line.split(separator))
        if Path(where) == directory.resolve() and RUN_NAME.fullmatch(run):
            what = comment.removeprefix("rule_").replace("_wildcards_", " ").replace("/", " ")
            found.append(ClusterJob(number, state, used, run, what))
    return found


def head(directory: Path) -> int | None:
    """The process of a Snakemake that is at work in a directory on this machine (None: none, or it cannot be told)."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            here = (process / "cwd").readlink()
        except OSError:
            continue
        is_snakemake = any(word.rpartition(b"/")[2] == b"snakemake" for word in words)
        if here == directory.resolve() and is_snakemake and b"--mode" not in words:  # with it: inside of a job
            return int(process.name)
    return None


def clean(directory: Path) -> list[ClusterJob]:
    """Cancel the jobs that a killed Snakemake left in the queue, and wait until they have ended.

    A second run would submit what they are still at, and two jobs would write one output.

    Returns
    -------
    jobs
        those that were cancelled

    Raises
    ------
    SlipscanError
        a Snakemake is at work there, Slurm does not answer, or a job does not end
    """
    if shutil.which("squeue") is None:
        raise SlipscanError("there is no squeue on this machine: run this on a login node of the cluster")
    if (process := head(directory)) is not None:
        raise SlipscanError(
            f"Snakemake is at work in {directory} (process {process}), so its jobs are no leftovers: stop it first"
            f" (kill -INT {process} cancels them, too)"
        )
    found = jobs(directory)
    if found:
        _ask("scancel", *(job.id for job in found))
    end = time.monotonic() + GONE_S
    while left := jobs(directory):
        if time.monotonic() > end:
            raise SlipscanError(
                f"job {left[0].id} ({left[0].what}) is still {left[0].state} {GONE_S:.0f} s after it was cancelled:"
                " wait until squeue no longer lists it"
            )
        time.sleep(LOOK_S)
    return found


def why(log: Path) -> tuple[str, str] | None:
    """Why Slurm ended a job, from the log that Slurm wrote of it: what it lacked, and which resource to raise.

    None where it says nothing of it.
    """
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return next(((lacked, resource) for pattern, lacked, resource in ENDS if pattern.search(text)), None)


def _ask(*command: str) -> str:
    """What a command of Slurm answers; raises SlipscanError."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"status {done.returncode}"
        raise SlipscanError(f"{command[0]} does not answer ({said}): run this on a login node of the cluster")
    return done.stdout
