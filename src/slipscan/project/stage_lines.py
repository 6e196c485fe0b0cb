"""What `snakemake --logger slipscan` shows: one line a stage, with progress and the time it took.

Snakemake's own sheets of every job go to its log file, which is named first. A stage that fails is shown with the
last line of its log, the sentence that says what is wrong, and the name of that log; one that a cluster ended, with
what it lacked.
"""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from slipscan.fleet.slurm import why

TARGETS = {"all", "manifests"}
"""Rules that only name what is wanted."""
TITLE_WIDTH = 36
SENTENCE = "slipscan: error: "
SAID_BY_THE_STAGE = (
    "CalledProcessError",
    "Exiting because a job execution failed",
    "At least one job did not complete",
)
"""In what Snakemake says of a failed job beside the job's own error."""
LOST = {"NODE_FAIL": "its node was lost", "CANCELLED": "it was cancelled (scancel)"}
"""What a state of Slurm means that a job did not earn."""
NOTHING_TO_DO = "Nothing to be done"
"""How Snakemake's message begins that a run with nothing to do consists of."""


class Stage(NamedTuple):
    """A job that runs: rule, region and track, when it began (s), and what it was given."""

    title: str
    begun: float
    resources: dict[str, object]


class LogHandler(LogHandlerBase):
    """Snakemake's records in, a few lines out: what goes well on stdout, what does not on stderr."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def __post_init__(self) -> None:
        self.running: dict[int, Stage] = {}
        self.done = 0
        self.total = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record if a user wants it."""
        event = getattr(record, "event", None)
        if event == LogEvent.RUN_INFO:
            self._begin(record)
        elif event == LogEvent.JOB_INFO:
            job = vars(record)
            title = " ".join([job["rule_name"], *map(str, dict(job["wildcards"]).values())])
            self.running[job["jobid"]] = Stage(title, time.monotonic(), dict(job.get("resources", {}).items()))
        elif event == LogEvent.JOB_FINISHED:
            self._finished(self.running.pop(vars(record)["job_id"], None))
        elif event == LogEvent.JOB_ERROR:
            # Snakemake tells the errors again at the end of the run: a job is taken out the first time.
            if (stage := self.running.pop(vars(record)["jobid"], None)) is not None:
                self._failed(stage, vars(record)["log"], str(vars(record)["rule_msg"]))
        elif event == LogEvent.GROUP_ERROR:
            self._group_failed(vars(record)["job_error_info"], vars(record)["aux_logs"])
        elif event == LogEvent.ERROR or (event is None and record.levelno >= logging.WARNING):
            self._error(str(record.msg))
        elif event is None and str(record.msg).startswith(NOTHING_TO_DO):
            _say("nothing to be done: all is up to date")

    def _begin(self, record: logging.LogRecord) -> None:
        """The number of stages, and where Snakemake's own log is; in a dry run the table of jobs."""
        if self.common_settings.dryrun:
            _say(str(record.msg))
            return
        stats = vars(record)["stats"]
        self.total = sum(int(count) for rule, count in stats.items() if rule not in TARGETS | {"total"})
        _say(f"{self.total} stage{'s' * (self.total != 1)} to run; Snakemake's log: {_own_log()}")

    def _finished(self, stage: Stage | None) -> None:
        if stage is None or stage.title in TARGETS:
            return
        self.done += 1
        count = f"{self.done:>{len(str(self.total))}}/{self.total}"
        _say(f"{count} {stage.title:<{TITLE_WIDTH}} {time.monotonic() - stage.begun:5.0f} s")

    def _group_failed(self, members: list[dict[str, Any]], cluster_logs: list[str]) -> None:
        """Jobs that went to a cluster as one: those that say what is wrong, else what the cluster says of all."""
        popped = [(self.running.pop(member["jobid"], None), member["log"]) for member in members]
        failed = [(stage, logs) for stage, logs in popped if stage is not None]
        for stage, logs in [job for job in failed if any(map(_sentence, job[1]))] or failed:
            self._failed(stage, [*logs, *cluster_logs])

    @staticmethod
    def _failed(stage: Stage, logs: list[str], of_the_cluster: str = "") -> None:
        rule = stage.title.split()[0]
        if sentence := next(filter(None, map(_sentence, logs)), ""):
            reason = sentence
        elif ended := next(filter(None, (why(Path(log)) for log in logs[1:])), None):
            lacked, resource = ended
            given = stage.resources.get(resource, "unknown")
            reason = (
                f"it needed {lacked} ({resource} {given}): raise {resource} of {rule} in the profile (set-resources)"
            )
        elif lost := next((said for state, said in LOST.items() if f"'{state}'" in of_the_cluster), ""):
            reason = lost
        else:
            line = next((line for line in map(_last_line, logs) if line), "")
            reason = f"it ended without a sentence; the last line of its log is: {line or '(none)'}"
        _complain(f"{stage.title} failed: {reason}\n  its log: {', '.join(logs) or '(none)'}")

    @staticmethod
    def _error(text: str) -> None:
        """An error or warning of Snakemake's own; of one that holds a sentence of slipscan, the sentence."""
        if not any(part in text for part in SAID_BY_THE_STAGE):
            _complain(next((line for line in text.splitlines() if line.startswith(SENTENCE)), text))


def _say(text: str) -> None:
    print(text, flush=True)


def _complain(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _own_log() -> str:
    """The file that Snakemake's own handler of this run writes to, relative to here."""
    for handler in logging.getLogger("snakemake.logging").handlers:
        if isinstance(handler, logging.FileHandler):
            path = Path(handler.baseFilename)
            return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
    return "none"


def _sentence(log: str) -> str:
    """What slipscan says of an error in the last line of a log, empty where it says nothing."""
    line = _last_line(log)
    return line.removeprefix(SENTENCE) if line.startswith(SENTENCE) else ""


def _last_line(log: str) -> str:
    """The last line of a log that says something, empty where there is none."""
    path = Path(log)
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n") if path.is_file() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
