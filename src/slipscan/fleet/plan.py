"""What a region table costs before it is run: granules, bytes, hours, disk, money, and what binds first."""

from __future__ import annotations

import datetime
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd
from pyproj import Geod
from shapely.geometry import Polygon

from slipscan.archive.registry import has_truth
from slipscan.detect.nulls import FIRST_PASS_NULLS, KINDS, SIMULATED
from slipscan.fleet.rates import LONG, SERIES, Rates
from slipscan.regions import Region
from slipscan.settings import Settings

SENTINEL_BEGAN: Final = datetime.date(2014, 10, 1)
OF_A_TRACK: Final = ("manifest", "archive", "timeseries", "noise", "denoise", "calibrate", "detect")
OF_A_REGION: Final = ("stations", "source", "gnss", "increment")
ONCE: Final = ("catalogue", "report")
EARTH: Final = Geod(ellps="WGS84")


@dataclass(frozen=True)
class Work:
    """One region's track.

    Attributes
    ----------
    region, track
        ids
    epochs, pairs
        acquisitions and interferograms
    pixels
        of the metric grid that it sees
    granules
        files of the archive
    """

    region: str
    track: str
    archive: str
    epochs: int
    pairs: int
    pixels: int
    granules: int

    @property
    def million_epochs(self) -> float:
        """Million pixel-epochs."""
        return self.pixels * self.epochs / 1e6

    @property
    def million_pairs(self) -> float:
        """Million pixels times pairs."""
        return self.pixels * self.pairs / 1e6


@dataclass(frozen=True)
class Machines:
    """What there is to run on: nodes with cores, GPUs in all, downloads at once."""

    nodes: int
    cores: int
    gpus: int
    streams: int


@dataclass(frozen=True)
class Plan:
    """What a table costs.

    Attributes
    ----------
    stages
        one row a stage: jobs, cpu_h, gpu_h
    granules, download_gb, disk_gb
        files, bytes as sent, all stores at the end (nothing is removed in between, so that it is the peak)
    hours
        wall time of each thing that may bind: download, cpu, gpu, longest track
    money
        of processors, GPUs and a month of the disk
    """

    stages: pd.DataFrame
    granules: int
    download_gb: float
    disk_gb: float
    hours: dict[str, float]
    money: float

    @property
    def wall_h(self) -> float:
        """Wall time: the parts overlap, so it is that of the largest."""
        return max(self.hours.values())

    @property
    def binds(self) -> str:
        """What takes that long."""
        return max(self.hours, key=lambda name: self.hours[name])


def works(regions: Iterable[Region], settings: Settings, rates: Rates) -> list[Work]:
    """What every track has to do, from its polygon, the dates and the grid."""
    out = []
    days = (datetime.date.fromisoformat(settings.as_of) - SENTINEL_BEGAN).days
    for region in regions:
        km2 = abs(EARTH.geometry_area_perimeter(Polygon(region.polygon))[0]) / 1e6
        epochs, per_epoch = rates.found * days / rates.revisit_d, rates.pairs_per_epoch
        if has_truth(region):
            simulated = settings.archive.simulated
            until = _epochs_until(settings)
            epochs, per_epoch = until * (1 - simulated.missing_epoch_fraction), simulated.pairs_per_epoch
        pairs = epochs * (1 if region.archive in SERIES else per_epoch)
        beside = Counter(track.orbit_direction for track in region.tracks)
        for track in region.tracks:
            # Each of several tracks of one direction sees a part of a region.
            seen_km2 = km2 * min(1.0, rates.views / beside[track.orbit_direction])
            pixels = math.ceil(seen_km2 * 1e6 / settings.timeseries.pixel_m**2)
            # Frames that a stretch of a track touches, in the mean: its length over theirs, and one.
            frames = seen_km2 / rates.frame_km2 + 1
            sizes = (round(epochs), round(pairs), pixels, round(pairs * frames))
            out.append(Work(region.id, track.id, region.archive, *sizes))
    return out


def _epochs_until(settings: Settings) -> int:
    """Acquisitions of the simulated archive up to `as_of`."""
    simulated = settings.archive.simulated
    days = (datetime.date.fromisoformat(settings.as_of) - datetime.date.fromisoformat(simulated.start)).days
    return max(0, min(simulated.epochs, days // simulated.interval_d + 1))


def seconds(work: Work, settings: Settings, rates: Rates) -> dict[str, float]:
    """Processor seconds of every stage of a track, starts not counted."""
    longer = max(work.epochs, 1) / LONG
    null = rates.null_s + work.million_epochs * rates.null_s_per_million * longer**rates.null_growth
    nulls = len((*KINDS, SIMULATED)) * (settings.detect.nulls + min(FIRST_PASS_NULLS, settings.detect.nulls))
    return {
        "manifest": 0.0,
        "archive": work.million_pairs * rates.fetch_s_per_million,
        "timeseries": work.million_pairs * rates.timeseries_s_per_million,
        "noise": work.million_epochs * rates.noise_s_per_million,
        "denoise": work.million_epochs * rates.denoise_s_per_million * longer**rates.denoise_growth,
        "calibrate": null * nulls,
        "detect": work.million_epochs * rates.detect_s_per_million * longer**rates.detect_growth,
    }


def plan(regions: list[Region], settings: Settings, rates: Rates, machines: Machines, cluster: bool = True) -> Plan:
    """Cost a region table.

    Parameters
    ----------
    settings
        as_of, timeseries.pixel_m, detect.nulls, archive.simulated
    cluster
        whether every job pays for the scheduler's starts of Snakemake, too
    """
    tracks = works(regions, settings, rates)
    costs = [seconds(work, settings, rates) for work in tracks]
    start = rates.start_s + (rates.scheduler_s if cluster else 0.0)
    rows = []
    for stage in OF_A_TRACK:
        cpu, gpu = sum(cost[stage] for cost in costs), 0.0
        if stage == "denoise" and machines.gpus:
            cpu, gpu = 0.0, cpu / rates.gpu_speedup + start * len(tracks)
        rows.append((stage, len(tracks), (cpu + start * len(tracks)) / 3600, gpu / 3600))
    for stages, jobs in ((OF_A_REGION, len(regions)), (ONCE, 1)):
        rows += [(stage, jobs, start * jobs / 3600, 0.0) for stage in stages]
    of_sources = sum(work.million_epochs for work in tracks) * rates.source_s_per_million / 3600
    table = pd.DataFrame(rows, columns=["stage", "jobs", "cpu_h", "gpu_h"])
    table.loc[table["stage"] == "source", "cpu_h"] += of_sources
    granules = sum(work.granules for work in tracks)
    gb = sum(work.granules * rates.granule_gb[work.archive] for work in tracks)
    disk = sum(_values(work) * rates.bytes_of_a_value for work in tracks) / 1e9
    cpu_h, gpu_h = float(table["cpu_h"].sum()), float(table["gpu_h"].sum())
    hours = {
        "download": gb * 1e3 / (rates.stream_mb_s * machines.streams) / 3600,
        "cpu": cpu_h / (machines.nodes * machines.cores),
        "gpu": gpu_h / machines.gpus if machines.gpus else 0.0,
        "the longest track": max((sum(cost.values()) for cost in costs), default=0.0) / 3600,
    }
    money = cpu_h * rates.cpu_hour_price + gpu_h * rates.gpu_hour_price + disk / 1e3 * rates.tb_month_price
    return Plan(table, granules, gb, disk, hours, money)


def _values(work: Work) -> float:
    """Float32 values of the stores of a track: pairs with coherence; displacement, its sigma, transient, its sigma."""
    pairs = 0 if work.archive in SERIES else 2 * work.million_pairs
    return 1e6 * (pairs + 4 * work.million_epochs)


def measured(results: Path) -> pd.Series:
    """Processor hours of every stage of a run, from the tables that Snakemake writes (`benchmarks`)."""
    rows = []
    for file in sorted((results / "benchmarks").rglob("*.tsv")):
        table = pd.read_csv(file, sep="\t", na_values=["-", "NA"])
        rows.append((file.stem, float(table["cpu_time"].sum()) / 3600))
    return pd.DataFrame(rows, columns=["stage", "cpu_h"]).groupby("stage")["cpu_h"].sum()
