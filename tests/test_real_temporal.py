"""Noise in time of a real series (Erta Ale, epochs from 2018-06 on, more than 5 km from the caldera), and simulated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from slipscan.field import Observation
from slipscan.fit.model import days_since_2014, design_matrix
from slipscan.fit.ramps import middles, ramps
from slipscan.fit.scatter import MAD_TO_STD
from slipscan.fit.temporal import TemporalCovariance
from slipscan.noise.estimate import NoiseEstimate, measure
from slipscan.noise.estimate_residual import completed, left_over
from slipscan.noise.parameters import to_model
from slipscan.noise.sample import sample_of
from slipscan.noise.temporal_places import Places, band_places
from slipscan.noise.temporal_reml import fit_red
from temporal_builders import structure_function

SERIES = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "erta_ale" / "cum.h5"
CELL_M = (221.2, 216.2)
"""Two pixels of the series."""
BLOCK = 9
"""Cells of 2 km."""
MEANS = (1, 5, 10, 20, 35)

pytestmark = pytest.mark.skipif(not SERIES.is_file(), reason=f"the real series is not at {SERIES}")

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Quiet:
    """Displacement (time, y, x) m, NaN near the caldera; heights (y, x), m; dates; and what is measured."""

    series: Float
    height: Float
    time: NDArray[np.datetime64]
    noise: NoiseEstimate


@pytest.fixture(scope="module")
def quiet() -> Quiet:
    with h5py.File(SERIES) as file:
        series, days, height = file["cum"][:] * 1e-3, file["imdates"][:], file["hgt"][:].astype(float)
        north, west = file["corner_lat"][()], file["corner_lon"][()]
    time = pd.to_datetime([str(day) for day in days]).to_numpy().astype("datetime64[ns]")
    late = time >= np.datetime64("2018-06-01")
    y, x = np.mgrid[: height.shape[0], : height.shape[1]] * 1e-3
    far = np.hypot((north - y - 13.60) * 111.2, (west + x - 40.67) * 108.1) > 5.0
    series, time = np.where(far, series[late], np.nan), time[late]
    rows, columns = (n // 2 for n in height.shape)
    series = series[:, : 2 * rows, : 2 * columns].reshape(-1, rows, 2, columns, 2).mean(axis=(2, 4))
    height = height[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2).mean(axis=(1, 3))
    noise = measure(Observation(series.astype(np.float32), time, CELL_M[0], height.astype(np.float32)), CELL_M)
    return Quiet(series, height, time, noise)


def blocks(series: Float, quiet: Quiet) -> Float:
    """Residual (time, block) of blocks of 2 km: planes and height of every epoch, rate and season out."""
    known = np.isfinite(quiet.series).all(axis=0) & np.isfinite(quiet.height)
    y, x = np.nonzero(known)
    columns = np.stack(
        [np.ones(len(y)), y - y.mean(), x - x.mean(), (quiet.height - quiet.height[known].mean())[known]]
    )
    flat = series[:, known]
    rest = np.full(series.shape, np.nan)
    rest[:, known] = flat - flat @ np.linalg.pinv(columns) @ columns
    rows, cols = (n // BLOCK for n in known.shape)
    parts = rest[:, : rows * BLOCK, : cols * BLOCK].reshape(-1, rows, BLOCK, cols, BLOCK).transpose(0, 1, 3, 2, 4)
    parts = parts.reshape(len(series), rows * cols, BLOCK**2)
    parts = parts[:, np.isfinite(parts[0]).mean(axis=1) > 0.5]
    means = np.nanmean(parts, axis=2)
    design = design_matrix(quiet.time)[0]
    return np.asarray(means - design @ (np.linalg.pinv(design) @ means))


def test_the_series_is_red_in_every_band(quiet: Quiet) -> None:
    found = quiet.noise.temporal
    assert found is not None and not found.assumed.any()
    assert (found.red > 2.5 * found.red_error).all()
    assert ((found.red > 0.03) & (found.red < 1.0)).all()
    assert ((found.averaging_d > 90) & (found.averaging_d < 700)).all()


def test_what_is_white_in_a_typical_place_is_less_than_all(quiet: Quiet) -> None:
    found = quiet.noise.temporal
    assert found is not None
    ratio = np.nanmedian(found.white_std, axis=0) / np.nanmedian(quiet.noise.band_std, axis=0)
    assert ((ratio > 0.5) & (ratio < 1.05)).all()


def test_the_structure_function_is_that_of_the_source(quiet: Quiet) -> None:
    found = 1e3 * structure_function(blocks(quiet.series, quiet), MEANS)
    np.testing.assert_allclose(found, [6.4, 2.0, 1.43, 1.45, 1.33], rtol=0.1)


def test_the_simulator_that_was_measured_has_it_too(quiet: Quiet) -> None:
    real = structure_function(blocks(quiet.series, quiet), MEANS)
    model, flat = to_model(quiet.noise), np.zeros(quiet.height.shape)
    days = (quiet.time - quiet.time[0]) / np.timedelta64(1, "D")
    drawn = [model.simulate(np.random.default_rng(seed), days, flat, CELL_M).astype(float) for seed in range(3)]
    found = np.mean([structure_function(blocks(one, quiet), MEANS) for one in drawn], axis=0)
    np.testing.assert_allclose(found / found[0], real / real[0], rtol=0.2)


def kernels(days: Float) -> dict[str, Float]:
    """Covariances in time that were tried for the red part, (time, time)."""
    years = days / 365.25
    apart, since = np.abs(years[:, None] - years), np.abs(years - years.mean())

    def power(index: float) -> Float:
        return np.asarray((since[:, None] ** index + since**index - apart**index) / 2)

    stationary = {f"memory of {memory} yr": np.exp(-apart / memory) for memory in (0.5, 1.0, 2.0)}
    return {"random walk": power(1.0), "power 0.5": power(0.5), "power 1.5": power(1.5), **stationary}


def log_likelihood(series: Float, white: Float, kernel: Float, design: Float) -> float:
    """Largest restricted log-likelihood of series (time, place) over the strength of a red part, over white alone."""
    root = np.sqrt(white)
    basis = np.linalg.qr(design / root[:, None], mode="complete")[0][:, design.shape[1] :]
    values, vectors = np.linalg.eigh(basis.T @ (kernel * white.mean() / np.outer(root, root)) @ basis)
    square = np.square(vectors.T @ basis.T @ (series / root[:, None]))
    of_white = np.log(square.sum(axis=0)).sum()
    best = 0.0
    for red in np.geomspace(1e-3, 10.0, 80):
        gain = 1 + red * np.maximum(values, 0)[:, None]
        # Every place has a scale of its own.
        scales = np.log((square / gain).sum(axis=0)).sum() - of_white
        best = max(best, -0.5 * (len(values) * scales + series.shape[1] * np.log(gain).sum()))
    return best


@pytest.fixture(scope="module")
def bands(quiet: Quiet) -> list[Places]:
    """Places of all bands, in epochs without gaps."""
    design = design_matrix(quiet.time)[0]
    sample = sample_of(Observation(quiet.series.astype(np.float32), quiet.time, CELL_M[0]))
    residual = completed(left_over(sample.broad, design)[0], design, np.ones(len(quiet.time), bool))
    found = band_places(residual, 4, finest=True)
    whole = [np.isfinite(places.series).all(axis=0) for places in found]
    return [Places(places.series[:, some], places.sector[some]) for places, some in zip(found, whole, strict=True)]


def test_a_random_walk_is_near_the_best_form_in_every_band(quiet: Quiet, bands: list[Places]) -> None:
    design, days = design_matrix(quiet.time)[0], days_since_2014(quiet.time)
    for places in bands:
        white = fit_red(places, days, design).white
        gains = {name: log_likelihood(places.series, white, kernel, design) for name, kernel in kernels(days).items()}
        best = max(gains.values())
        assert gains["random walk"] > 0.9 * best > 50
        assert all(gains[f"memory of {memory} yr"] < gains["random walk"] for memory in (0.5, 1.0, 2.0))


def amplitudes(series: Float, model: TemporalCovariance, design: Float, days: Float, duration: float) -> Float:
    """(ramp, place) of ramps beside the background, over their errors, by the generalized fit."""
    t = torch.from_numpy(days)
    whitener = model.whitener(t)
    basis = torch.linalg.qr(whitener @ torch.from_numpy(design))[0]

    def beside(columns: torch.Tensor) -> torch.Tensor:
        whitened = whitener @ columns
        return whitened - basis @ (basis.T @ whitened)

    tried, rest = beside(ramps(t, middles(t, 60)[6:-6], duration)), beside(torch.from_numpy(series))
    rest = rest / (MAD_TO_STD * rest.abs().median(0).values)  # every place has a scale of its own
    return np.asarray(((tried / tried.norm(dim=0)).T @ rest).numpy())


@pytest.mark.parametrize("duration", [0.0, 96.0, 384.0, 768.0])
def test_amplitudes_of_ramps_scatter_by_their_errors(quiet: Quiet, bands: list[Places], duration: float) -> None:
    """Where nothing is known to happen; weights of epochs alone call them significant."""
    design, days = design_matrix(quiet.time)[0], days_since_2014(quiet.time)
    for places in bands:
        found = fit_red(places, days, design)
        white = torch.from_numpy(found.white)
        weighed, whitened = (
            MAD_TO_STD * np.median(np.abs(amplitudes(places.series, model, design, days, duration)))
            for model in (TemporalCovariance(white), TemporalCovariance.relative(white, found.red))
        )
        assert weighed > 1.8
        assert 0.85 < whitened < 1.35
