"""What an update costs beside a full run, stage by stage, and what Snakemake adds to the work.

    python benchmarks/increment.py --side 256 --epochs 300 --added 5

A simulated region and track, `--side` pixels of 200 m square, is run to the end; then `as_of` moves by some epochs and
`make update`'s two targets run again. Processor seconds are those of Snakemake's benchmark files, and of the whole tree
of processes; one core, so that jobs follow one another.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
START, DAYS = datetime.date(2018, 1, 4), 6
WEST, SOUTH = 32.3, 40.65
STAGES = ("manifest", "archive", "timeseries", "noise", "denoise", "calibrate", "detect", "stations", "source", "gnss",
          "increment", "catalogue", "report")  # fmt: skip


def date(epochs: int) -> str:
    """The last of so many acquisitions."""
    return (START + datetime.timedelta(days=DAYS * (epochs - 1))).isoformat()


def project(directory: Path, side: int, epochs: int, added: int) -> None:
    """A copy of the workflow with one region of `side` x `side` pixels of 200 m."""
    for name in ("workflow", "profiles", "config"):
        shutil.copytree(REPOSITORY / name, directory / name)
    shutil.copy(REPOSITORY / "Snakefile", directory)
    lon, lat = WEST + side * 0.2 / 84.2, SOUTH + side * 0.2 / 111.1
    ring = [[WEST, SOUTH], [lon, SOUTH], [lon, lat], [WEST, lat], [WEST, SOUTH]]
    properties = {
        "id": "INCR", "name": "increment", "archive": "simulated", "tectonic_setting": "continental transform",
        "reference_point": [WEST + 0.05, lat - 0.05],
        "tracks": [{"id": "087A", "relative_orbit": 87, "orbit_direction": "ascending"}],
    }  # fmt: skip
    feature = {"type": "Feature", "properties": properties, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    table = {"type": "FeatureCollection", "features": [feature]}
    (directory / "config/regions.geojson").write_text(json.dumps(table))
    simulated = {
        "scenario": "ismetpasa", "start": START.isoformat(), "interval_d": DAYS, "epochs": epochs + added,
        "missing_epoch_fraction": 0.0,
    }  # fmt: skip
    config = {
        "regions": ["INCR"], "archive": {"simulated": simulated},
        "calibration_as_of": date(epochs), "detect": {"nulls": 16}, "denoise": {"device": "cpu"},
    }  # fmt: skip
    (directory / "config/test.yaml").write_text(yaml.safe_dump(config))


def run(directory: Path, as_of: str) -> tuple[dict[str, float], dict[str, float], float, float]:
    """Processor and wall seconds of every stage that ran, and those of all, up to a date."""
    benchmarks = directory / "results/benchmarks"
    shutil.rmtree(benchmarks, ignore_errors=True)
    begun, cpu = time.monotonic(), 0.0
    for target in ("manifests", "all"):
        command = [sys.executable, "-m", "snakemake", "--cores", "1", "--configfile", "config/test.yaml"]
        process = subprocess.Popen(
            [*command, "--config", f"as_of={as_of}", "--quiet", "progress", "--", target], cwd=directory,
            stdout=sys.stderr, stderr=sys.stderr,
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            sys.exit(f"snakemake {target} failed in {directory}")
        cpu += usage.ru_utime + usage.ru_stime
    wall = time.monotonic() - begun
    rows = {path.stem: next(csv.DictReader(path.open(), delimiter="\t")) for path in benchmarks.rglob("*.tsv")}
    of_cpu, of_wall = ({name: float(row[key]) for name, row in rows.items()} for key in ("cpu_time", "s"))
    return of_cpu, of_wall, cpu, wall


def main() -> None:
    """Print a row a stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--added", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        project(place, given.side, given.epochs, given.added)
        full = run(place, date(given.epochs))
        update = run(place, date(given.epochs + given.added))
    print("| stage | full, s | update, s | ratio |\n| --- | --- | --- | --- |")
    for name in STAGES:
        one, other = full[0].get(name, 0.0), update[0].get(name, 0.0)
        print(f"| {name} | {one:.1f} | {other:.1f} | {other / max(one, 0.01):.2f} |")
    for name, (of_cpu, of_wall, cpu, wall) in (("full", full), ("update", update)):
        work, waited = sum(of_cpu.values()), sum(of_wall.values())
        print(
            f"{name}: stages {work:.0f} s of the processor, all {cpu:.0f} s (Snakemake {100 * (1 - work / cpu):.1f} %);"
            f" wall {waited:.0f} s of {wall:.0f} s (Snakemake {100 * (1 - waited / wall):.1f} %)"
        )


if __name__ == "__main__":
    main()
