"""Speed of the catalogue: 100 regions that grow for 20 updates, and one fold of up to a million events.

    python benchmarks/catalogue/fold.py updates --changed 0.1
    python benchmarks/catalogue/fold.py size 5000 50000 500000

CPU seconds of this process and its threads (`process_time`): they hang less on what else the machine does.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from slipscan.catalogue import geopackage, stage
from slipscan.catalogue.append import WRITING, to_table
from slipscan.catalogue.fold import fold
from slipscan.catalogue.increment import ABOUT_KEY, SCANS_KEY, SCHEMA, Increment
from slipscan.events import SOURCE_COLUMNS
from slipscan.settings import CatalogueSettings

EMPTY = {"str": "", "float64": np.nan, "bool": False, "int64": 0}
START = np.datetime64("2015-01-01")


def scan(region: str, until: str) -> dict[str, Any]:
    """A scan of track 087A until a date."""
    return {
        "region": region, "track": "087A", "window_start": str(START), "window_end": until, "data_until": until,
        "area_km2": 1e4, "threshold": 5.5, "false_alarms_per_1e4km2_yr": 0.1, "calibration_id": "cal-1",
        "weights": "slipnet 0123456789ab", "inventory_sha256": "0" * 64, "slipscan_version": "0.2.0",
    }  # fmt: skip


def region_events(region: str, number: int, count: int, rng: np.random.Generator) -> gpd.GeoDataFrame:
    """Events of one region on a lattice of places, footprints of 40 corners."""
    place = np.arange(count)
    side = int(np.ceil(np.sqrt(count)))
    lon = -170 + 3.0 * (number % 100) + 2.0 * (place % side) / side + rng.uniform(-0.1, 0.1, count) / side
    lat = -60 + 3.0 * (number // 100) + 2.0 * (place // side) / side
    t50 = START + rng.integers(100, 2500, count).astype("timedelta64[D]")
    half = rng.integers(5, 90, count).astype("timedelta64[D]")
    columns: dict[str, Any] = {c.name: [EMPTY[c.dtype]] * count for c in SOURCE_COLUMNS}
    columns |= {
        "region": [region] * count, "tracks": ["087A"] * count, "type": ["slow_slip"] * count,
        "t05": np.datetime_as_string(t50 - half), "t50": np.datetime_as_string(t50),
        "t95": np.datetime_as_string(t50 + half), "duration_d": 2.0 * half.astype(float), "longitude": lon,
        "latitude": lat, "depth_km": rng.uniform(2, 20, count), "mw": rng.uniform(4.5, 6.5, count),
        "potency_m3": rng.uniform(1e5, 1e7, count), "strike_deg": rng.uniform(0, 360, count),
        "dip_deg": rng.uniform(20, 90, count), "rake_deg": rng.uniform(-180, 180, count),
        "length_km": rng.uniform(5, 40, count), "width_km": rng.uniform(3, 20, count),
        "slip_mm": rng.uniform(5, 60, count), "statistic": rng.uniform(6, 30, count),
        "p_value": rng.uniform(1e-5, 1e-2, count), "threshold": 5.5, "data_until": "2022-01-01",
        "calibration_id": "cal-1", "weights": "slipnet 0123456789ab", "slipscan_version": "0.2.0",
        "gnss_verdict": "no_coverage", "gnss_stations": 0, "gnss_log_likelihood_ratio": np.nan,
    }  # fmt: skip
    shapes = shapely.buffer(shapely.points(lon, lat), rng.uniform(0.2, 0.6, count) / side, quad_segs=10)
    return gpd.GeoDataFrame(pd.DataFrame(columns), geometry=shapes, crs="EPSG:4326")


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """What it gives, CPU seconds, wall seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    result = work()
    return result, time.process_time() - cpu, time.perf_counter() - wall


def updates(regions: int, events: int, rounds: int, changed: float) -> None:
    """Increments of every region, a share of the events changed in each; folds before and after the last of them."""
    rng = np.random.default_rng(1)
    print(f"{regions} regions x {events} events x {rounds} updates, {changed:.0%} changed each; CPU s (wall s)")
    with tempfile.TemporaryDirectory(prefix="slipscan-bench-") as directory:
        results = Path(directory)
        tables: dict[str, pa.Table] = {}
        for number in range(rounds):
            until = str(np.datetime64("2022-01-01") + 30 * number)
            if number == rounds - 1:
                _folded(results, "first fold, of all but the last update")
            for region in range(regions):
                name = f"R{region:03d}"
                tables[name] = (
                    _revised(tables[name], changed, rng)
                    if number
                    else to_table(region_events(name, region, events, rng))
                )
                _put(tables[name], scan(name, until), results / name / "increments", number + 1)
                if number == rounds - 1 and not region:
                    _folded(results, "last update of one region")
        _folded(results, "last update of all regions")
        ids = _folded(results, "nothing new")
        command = [sys.executable, "-m", "slipscan", "catalogue", "fold", str(results), str(results / "catalogue.gpkg")]
        _, _, wall = timed(lambda: subprocess.run(command, check=True, capture_output=True))
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(f"the same as a command, with its imports: {used.ru_utime + used.ru_stime:.2f} ({wall:.2f})")
        inputs, settings = read(results)
        early = fold([one for one in inputs if one.seq <= rounds // 2], settings).events["id"]
        print(f"every id of half of the updates kept: {list(early) == ids}; peak {peak_gb():.2f} GB", flush=True)


def _folded(results: Path, what: str) -> list[str]:
    """Read, fold and write once, and print the seconds of each; the ids."""
    (inputs, settings), *reading = timed(lambda: read(results))
    catalogue, *folding = timed(lambda: fold(inputs, settings))
    _, *writing = timed(lambda: geopackage.write(results / "catalogue.gpkg", catalogue))
    parts = (("read", reading), ("fold", folding), ("check and write", writing))
    told = ", ".join(f"{name} {cpu:.2f} ({wall:.2f})" for name, (cpu, wall) in parts)
    cpu, wall = (sum(part[i] for _, part in parts) for i in (0, 1))
    print(f"{what}: {told}; sum {cpu:.2f} ({wall:.2f}); {len(catalogue.events)} events,"
          f" {len(catalogue.layers['history'])} versions", flush=True)  # fmt: skip
    return list(catalogue.events["id"])


def _revised(table: pa.Table, share: float, rng: np.random.Generator) -> pa.Table:
    """The same events, some with another magnitude and a footprint that moved a little."""
    hit = rng.uniform(size=table.num_rows) < share
    mw = table["mw"].to_numpy() + np.where(hit, rng.normal(0, 0.02, table.num_rows), 0)
    shapes = shapely.from_wkb(table["geometry"].to_numpy(zero_copy_only=False))
    shapes[hit] = shapely.transform(shapes[hit], lambda xy: xy + rng.normal(0, 1e-3, 2))
    for name, values in (("mw", pa.array(mw)), ("geometry", pa.array(shapely.to_wkb(shapes), pa.binary()))):
        table = table.set_column(table.schema.get_field_index(name), name, values)
    return table


def _put(table: pa.Table, scanned: dict[str, Any], directory: Path, seq: int) -> None:
    """An increment as `append` writes it, but without flushing it to the disk."""
    buffer = io.BytesIO()
    told = {SCANS_KEY: json.dumps([scanned]), ABOUT_KEY: json.dumps({"schema": SCHEMA})}
    pq.write_table(table.replace_schema_metadata(told), buffer, **WRITING)
    directory.mkdir(parents=True, exist_ok=True)
    sha = hashlib.sha256(buffer.getvalue()).hexdigest()[:12]
    (directory / f"{seq:05d}-{sha}.parquet").write_bytes(buffer.getvalue())


def read(results: Path) -> tuple[list[Increment], CatalogueSettings]:
    """All increments."""
    return stage.read_increments(stage.increments_below(results))[0], CatalogueSettings()


def peak_gb() -> float:
    """Largest memory of the process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def size(total: int) -> None:
    """Two increments of each of 100 regions, half of the events changed in the second; fold and write."""
    rng = np.random.default_rng(1)
    made = []
    for region in range(100):
        name = f"R{region:03d}"
        table = region_events(name, region, total // 100, rng)
        for seq, until in ((1, "2022-01-01"), (2, "2022-06-01")):
            if seq == 2:
                hit = np.arange(0, len(table), 2)
                table.loc[hit, "mw"] = table.loc[hit, "mw"] + 0.01
                shifted = shapely.transform(table.geometry.to_numpy()[hit], lambda xy: xy + 1e-4)
                table.loc[hit, "geometry"] = gpd.GeoSeries(shifted, index=hit, crs="EPSG:4326")
            made.append(Increment(name, seq, f"{seq:012x}", (scan(name, until),), to_table(table)))
    catalogue, cpu_fold, _ = timed(lambda: fold(made, CatalogueSettings()))
    with tempfile.TemporaryDirectory(prefix="slipscan-bench-") as directory:
        file = Path(directory) / "catalogue.gpkg"
        _, cpu_write, _ = timed(lambda: geopackage.write(file, catalogue))
        megabytes = file.stat().st_size / 1e6
    events = len(catalogue.events)
    scale = events * np.log2(max(events, 2))
    print(
        f"{events} events, {len(catalogue.layers['history'])} versions: CPU s: fold {cpu_fold:.2f}, check and write"
        f" {cpu_write:.2f}; microseconds per n log2 n: {1e6 * cpu_fold / scale:.2f}, {1e6 * cpu_write / scale:.2f};"
        f" {megabytes:.0f} MB; peak {peak_gb():.2f} GB",
        flush=True,
    )


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    grown = commands.add_parser("updates")
    for name, value in (("--regions", 100), ("--events", 50), ("--rounds", 20)):
        grown.add_argument(name, type=int, default=value)
    grown.add_argument("--changed", type=float, default=0.1)
    sized = commands.add_parser("size")
    sized.add_argument("events", type=int, nargs="+")
    told = parser.parse_args()
    if told.command == "updates":
        updates(told.regions, told.events, told.rounds, told.changed)
    for events in getattr(told, "events", []) if told.command == "size" else []:
        size(events)


if __name__ == "__main__":
    main()
