"""A real series (Erta Ale, 219 epochs, 2014-2024) through every stage of the command line: the dike of January 2017."""

from __future__ import annotations

import json
import re
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import shapely

from slipscan import vocabulary
from slipscan.cli import app
from slipscan.field import Observation
from slipscan.noise.estimate import measure
from slipscan.noise.parameters import model_of, to_model
from slipscan.source.elsewhere import Wanted, changes_of
from slipscan.source.maps import TrackMaps, open_track
from slipscan.source.times import times_of
from slipscan.stack import open_stack
from slipscan.store import open_zarr

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"
SERIES = DATA / "erta_ale" / "cum.h5"
LONGITUDE, LATITUDE = 40.67, 13.60
"""Of the caldera (SOURCE.txt, Moore et al. 2019): what is known to have moved lies in it."""
BEFORE, AFTER = "2017-01-11", "2017-02-04"
"""Epochs between which the dike of 16-21 January 2017 fell."""

NOISY = pd.Timestamp("2017-09-14"), pd.Timestamp("2017-11-13")
"""Six epochs after the longest gap, two to three times as noisy as the others: what they hold is taken for an event."""

EPOCH = pd.Timedelta(days=12)

pytestmark = pytest.mark.skipif(not SERIES.is_file(), reason=f"the real series is not at {SERIES}")


def region_file(directory: Path) -> Path:
    """The scene as a region; the reference is refarea of SOURCE.txt (columns 150 to 170, rows 10 to 30)."""
    west, south, east, north = 40.577, 13.510, 40.762, 13.691
    feature = {
        "type": "Feature",
        "geometry": {
            "type": "Polygon",
            "coordinates": [[(west, south), (east, south), (east, north), (west, north), (west, south)]],
        },
        "properties": {
            "id": "ERTA",
            "name": "Erta Ale",
            "archive": "local",
            "tracks": [
                {
                    "id": "014A",
                    "relative_orbit": 14,
                    "orbit_direction": "ascending",
                    "local": {"convention": "licsbas", "path": "erta_ale"},
                }
            ],
            "reference_point": [40.7375, 13.6705],
            "tectonic_setting": "volcano",
        },
    }
    path = directory / "regions.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    return path


def slipscan(*words: object) -> None:
    """One command, as a user gives it."""
    app([str(word) for word in words], standalone_mode=False)


def run_all(directory: Path, pixel_m: int, nulls: int, sources: tuple[str, ...] = ()) -> Path:
    """Every stage; returns the results directory. `sources`: settings of that stage."""
    results, regions = directory / "results", region_file(directory)
    region, track = results / "ERTA", results / "ERTA" / "014A"
    track.mkdir(parents=True)
    (directory / "stations").mkdir()
    where = ("--regions", regions, "--set", f"data_root={DATA}")
    manifest, observations = track / "manifest.csv", track / "observations.zarr"
    stack, denoised, transients = (track / f"{name}.zarr" for name in ("stack", "denoised", "transients"))
    calibration, events, gnss = track / "calibration.json", region / "events.parquet", region / "gnss.parquet"
    cache = ("--cache", directory / "cache")
    slipscan("archive", "search", "ERTA", "014A", manifest, "--as-of", "2026-06-30", *where)
    slipscan("archive", "fetch", "ERTA", "014A", manifest, observations, track / "inventory.csv", *cache, *where)
    slipscan("timeseries", observations, stack, "--set", f"pixel_m={pixel_m}", "--set", "reference_radius_m=1500")
    slipscan("noise", stack, track / "noise.zarr")
    slipscan("denoise", stack, denoised, "--noise", track / "noise.zarr")
    searched = ("--denoised", denoised, "--noise", track / "noise.zarr")
    slipscan("calibrate", stack, calibration, *searched, "--set", f"nulls={nulls}", *cache)
    slipscan("detect", stack, transients, *searched, "--calibration", calibration)
    slipscan("source", transients, "--out", events, *(word for one in sources for word in ("--set", one)))
    slipscan("gnss", events, directory / "stations", transients, "--out", gnss)
    slipscan("increment", events, gnss, region / "increments", region / "increment.json")
    slipscan("catalogue", results, results / "catalogue.gpkg")
    page, world_map = results / "report.html", results / "map.png"
    slipscan("report", results / "catalogue.gpkg", results, page, world_map, "--region", "ERTA", "--regions", regions)
    return results


FEW = ("searched=4096", "particles=80")
"""Enough where no type is asked for."""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_all(tmp_path_factory.mktemp("erta"), pixel_m=800, nulls=8, sources=FEW)


def km_from_the_caldera(events: pd.DataFrame) -> np.ndarray:
    east = (events["longitude"] - LONGITUDE) * 111.2 * np.cos(np.radians(LATITUDE))
    return np.hypot(east, (events["latitude"] - LATITUDE) * 111.2).to_numpy(dtype=float)


def check_dike(results: Path, peak_mm: tuple[float, float]) -> None:
    """Date within an epoch, place within 3 km, map of the step that the raw series itself shows."""
    track = results / "ERTA" / "014A"
    events = pd.read_parquet(results / "ERTA" / "events.parquet")
    dike = events.loc[events["statistic"].idxmax()]
    assert dike["p_value"] < 0.013  # a bound: 8 nulls tell no smaller one
    middle = pd.Timestamp(dike["t50"])
    assert pd.Timestamp(BEFORE) - EPOCH < middle < pd.Timestamp(AFTER) + EPOCH
    assert dike["duration_d"] < 48 and not dike["ongoing"]
    assert peak_mm[0] < dike["peak_negative_mm"] < peak_mm[1]
    # Of the footprint; the source explains a tenth of the map and is not to be trusted (docs/real_series.md).
    centre = shapely.from_wkb(dike["geometry"]).centroid
    placed = pd.DataFrame({"longitude": [centre.x], "latitude": [centre.y]})
    assert km_from_the_caldera(placed).max() < 3.0
    transients, stack = open_zarr(track / "transients.zarr").load(), open_zarr(track / "stack.zarr").load()
    found = transients["map"].values[np.argmax(transients["statistic"].values)]
    step = (stack["displacement"].sel(time=AFTER).values - stack["displacement"].sel(time=BEFORE).values).squeeze()
    step = step - np.nanmedian(step)
    strong = np.isfinite(found) & (np.abs(step) > 0.03)
    assert np.corrcoef(found[strong], step[strong])[0, 1] > 0.85
    assert 0.8 < float(found[strong] @ step[strong] / (step[strong] @ step[strong])) < 1.2
    # Relaxation and re-inflation are found in pieces, of either sign. Elsewhere nothing is known to have moved.
    elsewhere = events[(events["statistic"] > 10.0) & (km_from_the_caldera(events) > 6.0)]
    assert pd.to_datetime(elsewhere["t50"]).between(*NOISY).all()


def test_the_dike_is_found(results: Path) -> None:
    check_dike(results, (-160.0, -60.0))


def test_the_series_is_that_of_the_source(results: Path) -> None:
    stack = open_zarr(results / "ERTA" / "014A" / "stack.zarr")
    assert stack.sizes["time"] == 219
    assert str(stack["time"].values[0])[:10] == "2014-12-17" and str(stack["time"].values[-1])[:10] == "2024-07-09"
    steps = np.sort(np.diff(stack["time"].values) / np.timedelta64(1, "D"))
    assert steps[-3:].tolist() == [96, 102, 222]
    step = stack["displacement"].sel(time=AFTER) - stack["displacement"].sel(time=BEFORE)
    assert -150 < 1e3 * float(step.min() - step.median()) < -70


def test_its_noise_can_be_simulated(results: Path) -> None:
    noise = open_zarr(results / "ERTA" / "014A" / "noise.zarr")
    assert set(vocabulary.raised_flags(noise["bounded"])) <= {"turbulence_epoch_std"}  # a calm epoch or two
    assert 3.0 < float(noise["exponent"]) < 4.3
    model = model_of(noise)
    assert 3e-3 < model.turbulence_std_m < 30e-3
    assert 0.3 < model.strength_log_std < 0.7
    drawn = model.simulate(np.random.default_rng(0), 12.0 * np.arange(10), np.zeros((25, 25)), 800.0)
    assert np.isfinite(drawn).all()


def test_the_report_shows_every_event(results: Path) -> None:
    page = (results / "report.html").read_text()
    assert re.search("SSE-2017[0-9]{4}-ERTA-a", page)
    assert page.count("data:image/png;base64,") >= 8


@pytest.mark.parametrize("cells", [2, 4])
def test_the_noise_outside_of_the_volcano(cells: int) -> None:
    """Epochs from 2018-06 on, the volcano left out: where a step of the fit once went to exponents above 6."""
    with h5py.File(SERIES) as file:
        series, days, height = file["cum"][:] * 1e-3, file["imdates"][:], file["hgt"][:].astype(float)
    time = pd.to_datetime([str(day) for day in days]).to_numpy().astype("datetime64[ns]")
    late = time >= np.datetime64("2018-06-01")
    series, time = series[late], time[late]
    series[:, 40:140, 40:145] = np.nan
    rows, columns = (n // cells * cells for n in height.shape)
    blocks = (rows // cells, cells, columns // cells, cells)
    # One missing cell of a block is enough: the mean of the others would be of another place.
    series = series[:, :rows, :columns].reshape(-1, *blocks).mean(axis=(2, 4))
    height = height[:rows, :columns].reshape(blocks).mean(axis=(1, 3))
    found = measure(Observation(series, time, 109.3 * cells, height), (110.6 * cells, 108.1 * cells))
    assert found.turbulence is not None
    assert found.turbulence.at_border == frozenset()
    assert 3.3 < found.turbulence.spectrum.exponents[0] < 4.0
    flat = np.zeros((rows // cells, columns // cells))
    drawn = to_model(found).simulate(np.random.default_rng(0), [0.0, 12.0], flat, 110.0 * cells)
    assert 1e-3 < drawn.std() < 50e-3


def test_half_of_the_epochs_shows_the_events_that_all_of_them_do(results: Path) -> None:
    """As a track that detected none of them: every second epoch, the even ones and the odd ones."""
    track = results / "ERTA" / "014A"
    found, stack = open_track(track / "transients.zarr", 0), open_stack(track / "stack.zarr")
    assert found.los is not None
    wanted = [Wanted(times_of([found], [one]), one.footprint) for one in found.transients]
    for first in (0, 1):
        none = found.dataset.isel(transient=slice(0, 0), time=slice(first, None, 2))
        half = TrackMaps("half", none, found.grid, found.los, ())
        ((changes, which),) = changes_of(stack.isel(time=slice(first, None, 2)), half, wanted, None)
        assert which == list(range(len(wanted)))
        alike = []
        for number in which:
            whole, _, footprint = found.total([number])
            part = changes.total([number])[0]
            known = footprint & np.isfinite(whole) & np.isfinite(part)
            alike.append(float(np.corrcoef(whole[known], part[known])[0, 1]))
        assert np.median(alike) > 0.9, alike


@pytest.mark.slow
def test_the_dike_on_finer_pixels(tmp_path: Path) -> None:
    check_dike(run_all(tmp_path, pixel_m=400, nulls=16), (-170.0, -90.0))
