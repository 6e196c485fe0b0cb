"""What an update costs beside a full run, stage by stage: processor seconds of the stages' own functions.

    python benchmarks/increment.py --side 256 --epochs 300 --added 5
    python benchmarks/increment.py --side 512 --until timeseries

A simulated track, `--side` x `--side` pixels of 200 m, goes through the stages of a track; then some epochs come, and
it goes through them again, with the same cache. Starts of processes are not counted: they are the same for both.
"""

from __future__ import annotations

import argparse
import datetime
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from slipscan.archive.job import Job
from slipscan.archive.stage import write_manifest, write_observations
from slipscan.denoise.stage import write_denoised
from slipscan.detect.calibrate import write_calibration
from slipscan.detect.stage import write_transients
from slipscan.noise.stage import write_noise
from slipscan.regions import Region
from slipscan.settings import ArchiveSettings, DenoiseSettings, DetectSettings, NoiseSettings, TimeseriesSettings
from slipscan.timeseries.stage import write_stack

START, DAYS = datetime.date(2018, 1, 4), 6
WEST, SOUTH = 32.3, 40.65
PIXEL_KM, KM_LON, KM_LAT = 0.2, 84.2, 111.1
DETECT = DetectSettings(nulls=16)


def date(epochs: int) -> str:
    """The last of so many acquisitions."""
    return (START + datetime.timedelta(days=DAYS * (epochs - 1))).isoformat()


def job_of(side: int, epochs: int, cache: Path) -> Job:
    """A region of `side` x `side` pixels and its track, of as many epochs in all."""
    east, north = WEST + side * PIXEL_KM / KM_LON, SOUTH + side * PIXEL_KM / KM_LAT
    ring = ((WEST, SOUTH), (east, SOUTH), (east, north), (WEST, north), (WEST, SOUTH))
    region = Region.model_validate({
        "id": "INCR", "name": "increment", "archive": "simulated", "tectonic_setting": "continental transform",
        "reference_point": (WEST + 0.05, north - 0.05), "polygon": ring,
        "tracks": [{"id": "087A", "relative_orbit": 87, "orbit_direction": "ascending"}],
    })  # fmt: skip
    simulated = {"start": START.isoformat(), "interval_d": DAYS, "epochs": epochs, "missing_epoch_fraction": 0.0}
    return Job(region, region.tracks[0], ArchiveSettings.model_validate({"simulated": simulated}), cache)


def run(job: Job, out: Path, as_of: str, calibrated_until: str, last: str) -> dict[str, float]:
    """Processor seconds of every stage of a track, up to a date and a stage."""
    out.mkdir()
    names = ("manifest.csv", "inventory.csv", "observations.zarr", "stack.zarr", "noise.zarr", "denoised.zarr",
             "calibration.json", "transients.zarr")  # fmt: skip
    manifest, inventory, observations, stack, noise, denoised, calibration, transients = (out / name for name in names)
    denoising = DenoiseSettings(device="cpu")

    def fetch() -> None:
        write_manifest(job, as_of, manifest)
        write_observations(job, manifest, observations, inventory)

    known = {"denoised": denoised, "noise": noise}
    stages: dict[str, Callable[[], None]] = {
        "fetch": fetch,
        "timeseries": lambda: write_stack(observations, stack, TimeseriesSettings(), cache_dir=job.cache_dir),
        "noise": lambda: write_noise(stack, noise, NoiseSettings()),
        "denoise": lambda: write_denoised(stack, denoised, denoising, noise=noise),
        "calibrate": lambda: write_calibration(
            stack, calibration, DETECT, until=calibrated_until, cache_dir=job.cache_dir, **known
        ),
        "detect": lambda: write_transients(stack, transients, DETECT, calibration=calibration, **known),
    }
    took = {}
    for name, work in stages.items():
        begun = time.process_time()
        work()
        took[name] = time.process_time() - begun
        if name == last:
            break
    return took


def main() -> None:
    """Print a row a stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--added", type=int, default=5)
    parser.add_argument("--until", default="detect", help="the last stage")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        job = job_of(given.side, given.epochs + given.added, place / "cache")
        run(
            job_of(48, 12, place / "warm cache"), place / "warm", date(12), date(12), given.until
        )  # imports and look-up tables
        full = run(job, place / "full", date(given.epochs), date(given.epochs), given.until)
        update = run(job, place / "update", date(given.epochs + given.added), date(given.epochs), given.until)
    print("| stage | full, s | update, s | ratio |\n| --- | --- | --- | --- |")
    for name, took in full.items():
        print(f"| {name} | {took:.1f} | {update[name]:.1f} | {update[name] / took:.2f} |")


if __name__ == "__main__":
    main()
