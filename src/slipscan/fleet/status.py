"""How far every region and track is, from the files alone: quick for thousands, and safe while a run is at work."""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from slipscan.errors import SlipscanError
from slipscan.fleet.slurm import ClusterJob, head
from slipscan.fleet.slurm import jobs as cluster_jobs
from slipscan.regions import Region
from slipscan.settings import Settings

OF_A_TRACK: Final = {
    "manifest": "manifest.csv",
    "archive": "inventory.csv",
    "timeseries": "stack.zarr",
    "noise": "noise.zarr",
    "denoise": "denoised.zarr",
    "calibrate": "calibration.json",
    "detect": "transients.zarr",
}
"""What the stages of a region's track leave, in their order."""
OF_A_REGION: Final = {
    "source": "events.parquet",
    "gnss": "gnss.parquet",
    "completeness": "completeness.parquet",
    "increment": "increment.json",
}
"""The same of a region."""
PART: Final = 254
"""Letters of a file's name in Snakemake's directory; a longer name becomes directories."""
SAID: Final = 300
"""Characters of a log's last line that are shown."""
TAIL: Final = 8192
"""Bytes of a log that are read."""


@dataclass(frozen=True)
class Standing:
    """How a region's track, or a region (track ''), stands.

    Attributes
    ----------
    region, track
        ids
    done
        the last stage whose product is there, with those of all stages before it; '' before the first
    running
        the stage that Snakemake has begun and not ended; ''
    failed
        the stage that has a log and no product, and does not run; ''
    said
        the last line of that stage's log
    data_until
        the last acquisition of the manifest, ISO date; ''
    age_d
        days from it to today; None without one
    """

    region: str
    track: str
    done: str
    running: str
    failed: str
    said: str
    data_until: str
    age_d: int | None


def standings(regions: dict[str, Region], settings: Settings, directory: Path, today: datetime.date) -> list[Standing]:
    """One line a region's track, and one a region, in the order of the table.

    Parameters
    ----------
    settings
        results_dir is used
    directory
        the project's: results_dir and Snakemake's own directory are below it
    """
    out = []
    for region in regions.values():
        for track in region.tracks:
            out.append(_standing(settings, directory, today, OF_A_TRACK, region.id, track.id))
        out.append(_standing(settings, directory, today, OF_A_REGION, region.id, ""))
    return out


def _standing(
    settings: Settings, directory: Path, today: datetime.date, stages: dict[str, str], region: str, track: str
) -> Standing:
    results = directory / settings.results_dir
    place, logs = Path(region, track), Path("logs", region, track)
    done = running = failed = said = ""
    for stage, name in stages.items():
        product, log = results / place / name, results / logs / f"{stage}.log"
        if _begun(directory, Path(settings.results_dir) / place / name):
            running = stage
            break
        if not product.exists():
            failed, said = (stage, last_line(log)) if log.is_file() else ("", "")
            break
        done = stage
    until = _data_until(results / place / "manifest.csv") if track else ""
    age = (today - datetime.date.fromisoformat(until)).days if until else None
    return Standing(region, track, done, running, failed, said, until, age)


def _begun(directory: Path, output: Path) -> bool:
    """Whether Snakemake marked an output as begun, and did not end it: it runs, or its run was killed."""
    name = base64.urlsafe_b64encode(str(output).encode()).decode()
    parts = [name[i : i + PART] for i in range(0, len(name), PART)]
    return directory.joinpath(".snakemake", "incomplete", *(f"@{part}" for part in parts[:-1]), parts[-1]).is_file()


def last_line(log: Path) -> str:
    """The last line of a log that says something."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL))
            lines = file.read().decode("utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip()[:SAID] for line in reversed(lines) if line.strip()), "")


def _data_until(manifest: Path) -> str:
    """The latest second date of a manifest, without reading it as a table; '' where there is none."""
    try:
        lines = manifest.read_text(encoding="utf-8").splitlines()
        column = lines[0].split(",").index("secondary_date")
        return max(datetime.date.fromisoformat(line.split(",")[column]).isoformat() for line in lines[1:])
    except (OSError, ValueError, IndexError):
        return ""


def text(found: Sequence[Standing], jobs: Sequence[ClusterJob], at_work: bool) -> str:
    """A table for a terminal: every track and region, then the failures, then the jobs in the queue.

    `at_work`: whether a Snakemake is at work here, as far as this machine can tell.
    """
    rows = [("region", "track", "done", "running", "data until", "age, d")]
    for one in found:
        age = "" if one.age_d is None else str(one.age_d)
        shown = f"{one.failed} FAILED" if one.failed else one.running
        rows.append((one.region, one.track, one.done or "-", shown, one.data_until, age))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    failures = [one for one in found if one.failed]
    lines += ["", f"{len(failures)} failed"] if failures else []
    lines += [f"  {_title(one)}: {one.said or '(its log is empty)'}" for one in failures]
    lines += ["", f"{len(jobs)} on the cluster"] if jobs else []
    lines += [f"  {job.id} {job.state} {job.used} {job.what}" for job in jobs]
    if any(one.running for one in found) and not (jobs or at_work):
        lines += [
            "",
            "no Snakemake is at work here on this machine: what is 'running' was killed, or runs from another",
        ]
    return "\n".join(lines)


def _title(one: Standing) -> str:
    return " ".join(filter(None, (one.failed, one.region, one.track)))


def as_json(found: Sequence[Standing], jobs: Sequence[ClusterJob], silent: str) -> str:
    """The same as JSON: 'standings', 'jobs', and under 'cluster' why the queue does not answer, or nothing."""
    content = {"standings": [asdict(one) for one in found], "jobs": [asdict(job) for job in jobs], "cluster": silent}
    return json.dumps(content, indent=1)


def describe(regions: dict[str, Region], settings: Settings, directory: Path, in_json: bool) -> str:
    """What `slipscan status` prints; a queue that does not answer is said, and hides nothing else."""
    found = standings(regions, settings, directory, datetime.datetime.now(datetime.UTC).date())
    try:
        queue, silent = cluster_jobs(directory), ""
    except SlipscanError as error:
        queue, silent = [], str(error)
    if in_json:
        return as_json(found, queue, silent)
    return "\n".join(filter(None, (text(found, queue, head(directory) is not None), silent)))
