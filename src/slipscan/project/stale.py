"""What Snakemake would run, and why: its dry run, read."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from slipscan.errors import SlipscanError
from slipscan.project.stage_lines import TARGETS

JOB: Final = re.compile(r"^(?:local)?rule (?P<rule>\w+):\n(?P<lines>(?:    .*\n)+)", re.MULTILINE)
FIELD: Final = re.compile(r"^    (?P<name>reason|wildcards): (?P<text>.*)$", re.MULTILINE)
CHANGED: Final = re.compile(r"before: (?P<before>.*?) now: (?P<now>.*)")
NEVER_RAN: Final = "Missing output files"
FOLLOWS: Final = "Input files updated by another job"


@dataclass(frozen=True)
class Job:
    """One job that would run.

    Attributes
    ----------
    title
        rule, region and track
    reason
        in Snakemake's words
    """

    title: str
    reason: str

    @property
    def never_ran(self) -> bool:
        """Whether its output is not there, so that there is nothing stale."""
        return self.reason.startswith(NEVER_RAN)

    @property
    def text(self) -> str:
        """One line: what changed, not what it was among."""
        if self.reason.startswith(FOLLOWS):
            return f"{self.title}: what it reads is made again"
        if changed := CHANGED.search(self.reason):
            before, now = (changed[part].strip() or "nothing" for part in ("before", "now"))
            return f"{self.title}: {before} became {now}"
        return f"{self.title}: {self.reason}"


def jobs(config: Path | None, directory: Path) -> list[Job]:
    """What Snakemake would run in a project's directory with a configuration file (None: the project's own).

    Raises
    ------
    SlipscanError
        no workflow there, or Snakemake refuses it
    """
    if not (directory / "Snakefile").is_file():
        raise SlipscanError(
            f"there is no Snakefile in {directory}: run this in a project (`slipscan init DIR` makes one)"
        )
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--cores", "1", "--nocolor"]
    command += ["--configfile", str(config)] if config else []
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    if done.returncode:
        lines = [line for line in said.splitlines() if line.strip()]
        cause = next((line for line in lines if "slipscan: error:" in line), lines[-1] if lines else "no output")
        raise SlipscanError(f"Snakemake refuses the project in {directory}: {cause.strip()}")
    out = []
    for job in JOB.finditer(said):
        fields = {field["name"]: field["text"] for field in FIELD.finditer(job["lines"])}
        places = [part.partition("=")[2] for part in fields.get("wildcards", "").split(", ") if part]
        if job["rule"] not in TARGETS:
            out.append(Job(" ".join([job["rule"], *places]), fields.get("reason", "").strip()))
    return out


def status(config: Path | None, directory: Path, stale: bool) -> str:
    """A line a job that would run; where `stale`, only of those that ran before."""
    wanted = [job.text for job in jobs(config, directory) if not (stale and job.never_ran)]
    return "\n".join(wanted) or ("nothing would run again" if stale else "nothing would run")
