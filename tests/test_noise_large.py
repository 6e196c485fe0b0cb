"""The noise of a scene too large to be taken whole: a bounded sample, read tile by tile, tells what all of it would."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from slipscan import coarse
from slipscan.field import Observation
from slipscan.fit.model import days_since_2014
from slipscan.geometry import Grid, utm_crs, write_grid
from slipscan.noise.estimate import NoiseEstimate, measure
from slipscan.noise.estimate_bands import band_power
from slipscan.noise.estimate_power import binned, power
from slipscan.noise.sample import MOST_PIXELS, MOST_WINDOWS, WINDOW, sample_of, spread_windows
from slipscan.noise.simulate import NoiseModel, NoiseParts, TurbulenceSpectrum, turbulence
from slipscan.store import write_zarr
from slipscan.vocabulary import annotate

PIXEL_M = 200.0
TRUTH = NoiseModel(8e-3, 0.35, 8e-6, 0.0, 4e-3, 1.5e-3, TurbulenceSpectrum(outer_scale_m=40e3))


def dates(count: int) -> np.ndarray:
    return np.datetime64("2016-01-03", "ns") + np.arange(count) * np.timedelta64(12, "D")


@cache
def scene(rows: int, columns: int, count: int, gaps: float = 0.1) -> tuple[Observation, NoiseParts]:
    """A scene of TRUTH with a rate from north to south, and its parts."""
    generator, days = np.random.default_rng(0), days_since_2014(dates(count))
    hills = TurbulenceSpectrum(exponents=(3.6, 3.6, 3.6), outer_scale_m=20e3)
    height = (600 + 300 * turbulence(np.random.default_rng(1), (rows, columns), PIXEL_M, 1, hills)[0]).astype("f4")
    parts = TRUTH.parts(generator, days, height, PIXEL_M)
    series = TRUTH.simulate(np.random.default_rng(0), days, height, PIXEL_M)
    series = series + (days / 365.25)[:, None, None] * np.linspace(-0.01, 0.01, rows)[:, None]
    series[generator.random(series.shape) < gaps] = np.nan
    return Observation(series.astype(np.float32), dates(count), PIXEL_M, height), parts


class Recorded:
    """A series of which it is known what was read at a time."""

    def __init__(self, series: np.ndarray) -> None:
        self.series, self.shape, self.largest = series, series.shape, 0

    def __getitem__(self, key: tuple[slice, slice, slice]) -> np.ndarray:
        part = self.series[key]
        self.largest = max(self.largest, part.size)
        return part


def strip() -> Observation:
    """Three tiles of 512 rows, the last one cut."""
    return scene(1100, 140, 12)[0]


def bytes_of(found: NoiseEstimate) -> bytes:
    assert found.turbulence is not None
    assert found.stratified is not None
    arrays = (found.turbulence.epoch_std, found.stratified.slope, found.band_std, found.epoch_rms, found.power)
    return b"".join(array.tobytes() for array in arrays)


def test_a_large_scene_is_never_read_at_once_and_tells_the_same() -> None:
    seen = strip()
    assert seen.shape[0] * seen.shape[1] > MOST_PIXELS
    recorded = Recorded(np.asarray(seen.displacement))
    found = measure(Observation(recorded, seen.time, PIXEL_M, seen.height))
    assert 0 < recorded.largest <= 512 * 140 * 12
    assert bytes_of(found) == bytes_of(measure(seen))


def test_neither_tiles_nor_threads_change_a_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    before, expected = torch.get_num_threads(), bytes_of(measure(strip()))
    monkeypatch.setattr(coarse, "TILE", 130)
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            assert bytes_of(measure(strip())) == expected
    finally:
        torch.set_num_threads(before)


def test_parameters_of_a_large_scene_are_recovered_within_their_errors() -> None:
    seen, parts = scene(460, 420, 24)
    sample = sample_of(seen)
    assert sample.factor == 2 and len(sample.windows) == MOST_WINDOWS
    found = measure(seen)
    fit, slopes = found.turbulence, found.stratified
    assert fit is not None
    assert slopes is not None
    for truth, value, error in (
        (TRUTH.spectrum.exponents[0], fit.spectrum.exponents[0], fit.exponent_error),
        (np.log(40e3), np.log(fit.spectrum.outer_scale_m), fit.outer_scale_log_error),
        (TRUTH.white_std_m, fit.white_std, fit.white_std_error),
        (TRUTH.ramp_std_m, fit.ramp_std, fit.ramp_std_error),
        (TRUTH.turbulence_std_m, *found.median_std),
        (TRUTH.strength_log_std, *found.strength_log_std),
        (TRUTH.stratified_std, slopes.std, slopes.std_error),
    ):
        assert abs(value - truth) < 3.5 * error < 2 * abs(truth)
    assert parts.turbulence is not None
    drawn = np.log(np.diff(parts.turbulence, axis=2).std(axis=(1, 2)))
    assert np.corrcoef(np.log(fit.epoch_std), drawn)[0, 1] > 0.97


def test_bands_and_rms_of_a_sample_are_those_of_all_of_it() -> None:
    seen, _ = scene(460, 420, 24, 0.0)
    flat = Observation(seen.displacement, seen.time, PIXEL_M)
    found = measure(flat)
    scale_m, squares = band_power(flat.values, (PIXEL_M, PIXEL_M))
    np.testing.assert_allclose(found.band_m, scale_m)
    expected = np.sqrt(np.median(squares, axis=0))
    np.testing.assert_allclose(np.median(found.band_std, axis=0)[:6], expected[:6], rtol=0.1)
    white = Observation(np.random.default_rng(2).normal(size=(8, 1100, 140)).astype("f4"), dates(8), PIXEL_M)
    np.testing.assert_allclose(measure(white).epoch_rms.mean(), np.sqrt(1 - 2 / 8), rtol=0.01)


def test_spectrum_of_parts_joins_that_of_all() -> None:
    fields = turbulence(np.random.default_rng(3), (400, 400), PIXEL_M, 12)
    pixel_m = (PIXEL_M, PIXEL_M)
    _, expected = binned([power(fields, pixel_m)], (400, 400), pixel_m, 12)
    found = measure(Observation(np.repeat(fields, 2, axis=0)[:24], dates(24), PIXEL_M), spectrum_bins=12)
    ratio = found.power / expected
    np.testing.assert_allclose(ratio / np.median(ratio), 1, rtol=0.25)


def test_windows_lie_where_there_is_data() -> None:
    broad = np.ones((3, 300, 300), np.float32)
    broad[:, :, :150] = np.nan
    windows = spread_windows(broad, 4, (1200, 1200))
    assert len(set(map(str, windows))) == len(windows) == MOST_WINDOWS
    assert all(columns.start >= 600 - WINDOW // 2 and columns.stop <= 1200 for _, columns in windows)
    rows = [y.start for y, _ in windows]
    assert min(rows) < 300 and max(rows) > 900
    assert len(spread_windows(np.ones((3, 10, 4000), np.float32), 2, (20, 8000))) == MOST_WINDOWS


PEAK = """
import sys
from pathlib import Path
from slipscan.noise.stage import write_noise
from slipscan.settings import NoiseSettings
write_noise(Path(sys.argv[1]), Path(sys.argv[2]), NoiseSettings())
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_scene(tmp_path: Path) -> None:
    """Of a process, from the store on disk: twice the pixels take next to no more."""
    peaks, sizes = [], []
    for side in (1040, 1560):
        axis = np.arange(side) * PIXEL_M
        series = np.random.default_rng(0).normal(scale=5e-3, size=(40, side, side)).astype("f4")
        dataset = xr.Dataset({"displacement": (("time", "y", "x"), series)}, coords={"time": dates(40)})
        dataset = dataset.assign_coords(reference_time=dates(40)[0])
        grid = Grid(500_000 + axis, 4_500_000 - axis, utm_crs(32.6, 40.8))
        stack = tmp_path / f"{side}.zarr"
        write_zarr(annotate(write_grid(dataset, grid), "stack"), stack)
        done = subprocess.run(
            [sys.executable, "-c", PEAK, stack, tmp_path / f"noise-{side}.zarr"],
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append(1024 * int(done.stdout))
        sizes.append(series.nbytes)
    assert peaks[1] - peaks[0] < 0.4 * (sizes[1] - sizes[0])
    assert peaks[1] < 1.2e9
