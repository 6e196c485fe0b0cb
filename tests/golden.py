"""What every stage makes of a small input of its own, in a few numbers, kept in golden.json beside it.

    python tests/golden.py             (say which stages give other numbers)
    python tests/golden.py --write     (after VERSION of those was raised in slipscan/STAGE/__init__.py)

The input of a stage is made here, not by another stage, so that a change shows where it was made.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

sys.path.insert(0, str(Path(__file__).parent))

import network_scene
from completeness_builders import DETECTION, ONE, opened, white_stack
from event_builders import event, scan, table
from simulated import stack_dataset
from slipscan.catalogue.stage import write_catalogue, write_increment
from slipscan.completeness.stage import completeness as grid_of
from slipscan.denoise.registry import build
from slipscan.denoise.stage import denoise_stack
from slipscan.detect.calibrate import calibrate_track
from slipscan.detect.stage import detect as detect_in
from slipscan.detect.track import track_in
from slipscan.events import GNSS_COLUMNS, write_events
from slipscan.geometry import to_lonlat
from slipscan.gnss.stage import read_comparison, write_gnss_table
from slipscan.noise.stage import estimate_noise
from slipscan.settings import (
    CatalogueSettings,
    DenoiseSettings,
    DetectSettings,
    GnssSettings,
    NoiseSettings,
    SourceSettings,
)
from slipscan.source.maps import open_track
from slipscan.source.sources import Fault, displacement, local_crs
from slipscan.source.stage import explain
from slipscan.versions import version_of
from transient_builders import CENTRE, daily, flicker, tenv3_text, transients

FILE: Final = Path(__file__).with_suffix(".json")
NETWORK, FITTED, EXACT = 1e-3, 1e-4, 1e-6
"""Relative tolerances that hold across kinds of processors: of networks and of searches, of closed forms in
single precision, of everything in double precision."""
FAULT = Fault(1e3, -2e3, 3.0e3, 261.5, 85.0, 10e3, 4e3, -0.08, 0.0)
DATES = ("2018-12-01", "2018-12-31")
STATIONS = {"NEAR": (2e3, -6e3), "REFS": (-14e3, 14e3)}
"""East and north of the middle, metres."""

Numbers = dict[str, Any]


def key_numbers(**arrays: ArrayLike) -> Numbers:
    """Mean, spread and three values of every array; a single number as it is."""
    out: Numbers = {}
    for name, given in arrays.items():
        values = np.asarray(given, float).ravel()
        if len(values) == 1:
            out[name] = float(values[0])
            continue
        out |= {f"{name}_mean": float(np.nanmean(values)), f"{name}_std": float(np.nanstd(values))}
        out |= {f"{name}_{at}": float(values[at * (len(values) - 1) // 4]) for at in (1, 2, 3)}
    return out


def timeseries(_: Path) -> Numbers:
    """Interferograms with noise and gaps to a stack."""
    made = network_scene.dataset(network_scene.displacement(9, 14, 12), network_scene.neighbours(9), noise=2e-3)
    made["interferogram"][3, 8:10, 5:7] = np.nan
    stack = network_scene.invert(made)
    return key_numbers(**{name: stack[name] for name in ("displacement", "inversion_std", "temporal_coherence")})


def noise(_: Path) -> Numbers:
    """Strengths and spectrum of a stack."""
    found = estimate_noise(stack_dataset(epochs=20, seed=4), NoiseSettings(spectrum_bins=8))
    names = ("epoch_rms", "power_spectrum", "white_std", "exponent", "band_white_std", "red_variance")
    return key_numbers(**{name: found[name] for name in names})


def denoised(method: str) -> Callable[[Path], Numbers]:
    """The denoised product of a stack with an event, by a method with its shipped weights."""

    def stage(_: Path) -> Numbers:
        settings = DenoiseSettings(method=method, device="cpu")
        denoiser = build(settings)
        if method == "slipnet":
            denoiser.network.half_precision = False  # processors round bfloat16 apart
        found = denoise_stack(stack_dataset(epochs=24, seed=5, event_m=0.03), settings, denoiser)
        return key_numbers(**{name: found[name] for name in ("transient", "denoised_std", "rate", "offset")})

    return stage


def detect(_: Path) -> Numbers:
    """Threshold and transients of a stack with an event."""
    settings = DetectSettings(nulls=8)
    dataset = stack_dataset(epochs=30, seed=6, event_m=0.05)
    dataset, track = track_in(dataset, settings, noise=estimate_noise(dataset, NoiseSettings()))
    calibration = calibrate_track(track, settings, 1)
    found = detect_in(dataset, track, settings, calibration)
    middle = (found["t50"] - found["time"][0]) / np.timedelta64(1, "D")
    return key_numbers(
        threshold=calibration.threshold, redness=calibration.redness, count=found.sizes["transient"],
        statistic=found["statistic"], t50_d=middle, map=found["map"], footprint=found["footprint"].sum(),
    )  # fmt: skip


def source(directory: Path) -> Numbers:
    """What made the transient of one track."""
    path = transients(directory / "a.zarr", "087A", [FAULT], [DATES], pixels=60)
    events, _ = explain([open_track(path, 0)], SourceSettings(max_points=60, particles=50, searched=128))
    names = ("longitude", "latitude", "depth_km", "potency_m3", "mw_50", "log_evidence", "area_km2")
    return {"type": list(events["type"]), **key_numbers(**{name: events[name] for name in names})}


def completeness(_: Path) -> Numbers:
    """Magnitudes of completeness of two kinds of source at one place."""
    settings = ONE.model_copy(update={"strikes_deg": (45.0,), "kinds": ("strike_slip", "volume"), "injections": 4})
    found = grid_of([opened(white_stack(3e-3))], settings, DETECTION)
    return key_numbers(**{name: found[name] for name in ("mc90", "mc90_std", "mc50")})


def gnss(directory: Path) -> Numbers:
    """The verdict of two stations on an event."""
    path = transients(directory / "a.zarr", "087A", [FAULT], [DATES], pixels=60)
    seen = event(lon=CENTRE[0], lat=CENTRE[1], t50="2018-12-16", duration_d=30.0)
    write_events(directory / "events.parquet", table(seen), [scan()])
    stations = directory / "stations"
    stations.mkdir()
    time = daily("2016-01-01", 1800)
    start, end = (np.datetime64(date, "ns") for date in DATES)
    course = np.clip((time - start) / (end - start), 0, 1)[:, None]
    for seed, (name, (east, north)) in enumerate(STATIONS.items()):
        enu = 1e-3 * np.stack([flicker(np.random.default_rng([seed, i]), len(time), 1.0) for i in range(3)], 1)
        enu += course * displacement(FAULT, np.array([east]), np.array([north]))
        lon, lat = (float(v) for v in to_lonlat(np.array(east), np.array(north), local_crs(*CENTRE)))
        (stations / f"{name}.tenv3").write_text(tenv3_text(name, time, enu, (lon, lat, 900.0)))
    write_gnss_table(directory / "events.parquet", [path], stations, directory / "gnss.parquet", GnssSettings())
    found = read_comparison(directory / "gnss.parquet")
    names = (
        "insar_mm", "insar_std_mm", "gnss_mm", "gnss_std_mm", "gnss_log_likelihood_ratio", "gnss_size",
    )  # fmt: skip
    return {"verdict": list(found["gnss_verdict"]), **key_numbers(**{name: found[name] for name in names})}


def catalogue(directory: Path) -> Numbers:
    """Two increments of a region and their fold: an event seen again, one retracted, one new."""
    import pyogrio

    for rows in ((event(), event(t50="2019-06-01", lon=32.4)), (event(t50="2019-03-05"), event(t50="2019-09-01"))):
        write_events(directory / "events.parquet", table(*rows), [scan()])
        pd.DataFrame(columns=["event", "station", *(c.name for c in GNSS_COLUMNS)]).to_parquet(directory / "g.parquet")
        increments = directory / "results" / "AAAA" / "increments"
        write_increment(directory / "events.parquet", directory / "g.parquet", increments, directory / "increment.json")
    write_catalogue(directory / "results", directory / "catalogue.gpkg", CatalogueSettings())
    shown = {
        "events": ["id", "version", "status", "t50"],
        "history": ["event_id", "version", "change", "data_until"],
        "observations": ["event_id", "track", "detected"],
    }
    layers = {name: pyogrio.read_dataframe(directory / "catalogue.gpkg", layer=name) for name in shown}
    return {name: [[str(v) for v in row] for row in layers[name][shown[name]].values] for name in shown}


GOLDEN: Final[dict[str, tuple[Callable[[Path], Numbers], float]]] = {
    "timeseries": (timeseries, FITTED),
    "noise": (noise, FITTED),
    "denoise classical": (denoised("classical"), FITTED),
    "denoise slipnet": (denoised("slipnet"), NETWORK),
    "detect": (detect, FITTED),
    "source": (source, NETWORK),
    "completeness": (completeness, NETWORK),
    "gnss": (gnss, FITTED),
    "catalogue": (catalogue, EXACT),
}
"""What is measured, and how well it holds across processors; the first word is a stage of `slipscan.versions`."""


def measured(name: str) -> Numbers:
    """The numbers of today's code."""
    with tempfile.TemporaryDirectory(prefix="slipscan-golden-") as directory:
        return GOLDEN[name][0](Path(directory))


def differences(name: str, found: Numbers, kept: Numbers) -> list[str]:
    """What differs from the numbers that are kept, a line each; small against a spread counts as equal."""
    out = []
    for key in sorted(set(found) | set(kept)):
        now, before = found.get(key), kept.get(key)
        if isinstance(now, float) and isinstance(before, float):
            # A mean about zero is known as well as what it is the mean of.
            scale = abs(kept.get(f"{key.rpartition('_')[0]}_std", 0.0))
            tolerance = GOLDEN[name][1]
            if np.isclose(now, before, rtol=tolerance, atol=tolerance * scale, equal_nan=True):
                continue
        elif now == before:
            continue
        out.append(f"{key}: {before} became {now}")
    return out


def verdict(name: str, found: Numbers, kept: dict[str, Any]) -> str:
    """What has to be done about a stage; empty where its results are those that are kept."""
    stage = name.split()[0]
    entry = kept.get(name, {"version": 0, "numbers": {}})
    changed = differences(name, found, entry["numbers"])
    if changed and version_of(stage) == entry["version"]:
        return (
            f"results of {name} changed ({changed[0]}): raise VERSION in slipscan/{stage}/__init__.py and run python"
            " tests/golden.py --write"
        )
    if changed or version_of(stage) != entry["version"]:
        return f"VERSION of {stage} is another than that of tests/golden.json: run python tests/golden.py --write"
    return ""


def read() -> dict[str, Any]:
    """What is kept: by name, the version of the stage and its numbers."""
    return json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}


def main() -> int:
    """Compare, or write what changed with its version."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="keep today's numbers of stages whose version was raised")
    write = parser.parse_args().write
    kept, refused = read(), False
    for name in GOLDEN:
        found = measured(name)
        said = verdict(name, found, kept)
        if said and write and not said.startswith("results"):
            kept[name] = {"version": version_of(name.split()[0]), "numbers": found}
            said = "written"
        refused |= said not in ("", "written")
        print(f"{name}: {said or 'as it was'}")
    FILE.write_text(json.dumps({name: kept[name] for name in GOLDEN if name in kept}, indent=1) + "\n")
    return int(refused)


if __name__ == "__main__":
    raise SystemExit(main())
