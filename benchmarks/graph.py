"""What Snakemake needs to build the graph of many region-tracks: processor time, wall time, memory.

    python benchmarks/graph.py 10 100 1000 3000            a dry run before anything ran
    python benchmarks/graph.py --finished 10 100           nothing to be done: every product is there
    python benchmarks/graph.py --target manifests 3000     the search alone

Two tracks a region, archive 'aria', the whole of the workflow of this repository, empty files for products.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
TRACKS = (
    {"relative_orbit": 87, "orbit_direction": "ascending"},
    {"relative_orbit": 65, "orbit_direction": "descending"},
)


def project(directory: Path, region_tracks: int) -> None:
    """A copy of the workflow with a table of so many region-tracks."""
    for name in ("workflow", "profiles", "config"):
        shutil.copytree(REPOSITORY / name, directory / name)
    shutil.copy(REPOSITORY / "Snakefile", directory)
    features = [feature(number) for number in range(region_tracks // len(TRACKS))]
    table = {"type": "FeatureCollection", "features": features}
    (directory / "config/regions.geojson").write_text(json.dumps(table))


def feature(number: int) -> dict[str, object]:
    """A region of half a degree; where it lies does not matter."""
    lon, lat = -170 + number % 300, -60 + number // 300
    ring = [[lon, lat], [lon + 0.5, lat], [lon + 0.5, lat + 0.5], [lon, lat + 0.5], [lon, lat]]
    properties = {
        "id": f"R{number:05d}", "name": f"region {number}", "archive": "aria",
        "reference_point": [lon + 0.2, lat + 0.2],
        "tectonic_setting": "any", "tracks": [{"id": f"T{i}", **track} for i, track in enumerate(TRACKS)],
    }  # fmt: skip
    return {"type": "Feature", "properties": properties, "geometry": {"type": "Polygon", "coordinates": [ring]}}


def measured(directory: Path, *arguments: str) -> tuple[float, float, float, str]:
    """Processor s, wall s, peak memory in GB, and output of a Snakemake."""
    begun = time.monotonic()
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(command, cwd=directory, stdout=out, stderr=out)
        _, status, usage = os.wait4(process.pid, 0)
        out.seek(0)
        said = out.read()
    if status:
        sys.exit(said[-4000:])
    return usage.ru_utime + usage.ru_stime, time.monotonic() - begun, usage.ru_maxrss / 1e6, said


def main() -> None:
    """Print a row a number of region-tracks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("region_tracks", type=int, nargs="+")
    parser.add_argument("--finished", action="store_true")
    parser.add_argument("--target", default="all")
    parser.add_argument(
        "--sheets", dest="quiet", action="store_const", const=["rules"], default=["rules", "progress"],
        help="have Snakemake go through the sheet of each job, too",
    )  # fmt: skip
    given = parser.parse_args()
    print("| region-tracks | jobs | processor, s | wall, s | peak memory, GB |\n| --- | --- | --- | --- | --- |")
    for number in given.region_tracks:
        with tempfile.TemporaryDirectory() as directory:
            project(Path(directory), number)
            if given.finished:
                finish(Path(directory))
            options = ("--logger", "slipscan", "-n", "--quiet", *given.quiet)
            cpu, wall, memory, said = measured(Path(directory), *options, "--", given.target)
            total = next((line.split()[1] for line in said.splitlines() if line.startswith("total ")), "0")
            print(f"| {number:,} | {int(total):,} | {cpu:.1f} | {wall:.1f} | {memory:.2f} |", flush=True)


def finish(directory: Path) -> None:
    """Make every product, empty, and have Snakemake record it as made."""
    table = json.loads((directory / "config/regions.geojson").read_text())
    for region in (feature["properties"] for feature in table["features"]):
        place = directory / "results" / region["id"]
        for track in region["tracks"]:
            for name in ("observations", "stack", "noise", "denoised", "transients"):
                (place / track["id"] / f"{name}.zarr").mkdir(parents=True)
            for name in ("manifest.csv", "inventory.csv", "calibration.json"):
                (place / track["id"] / name).touch()
        (place / "stations").mkdir()
        for name in ("events.parquet", "gnss.parquet", "increment.json"):
            (place / name).touch()
    for name in ("catalogue.gpkg", "catalogue.json", "report.html", "map.png"):
        (directory / "results" / name).touch()
    measured(directory, "--touch", "--quiet", "all")


if __name__ == "__main__":
    main()
