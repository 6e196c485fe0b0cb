"""Noise of real data is what the literature says it is: Kilauea (one scene, six dates) and Mexico City (13 dates)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from slipscan.field import Observation
from slipscan.noise.estimate import NoiseEstimate, measure
from slipscan.noise.estimate_bands import band_power
from slipscan.noise.parameters import to_model

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"
RASTERS = DATA / "kilauea" / "displacement"
INTERFEROGRAMS = DATA / "mexico_city" / "interferograms"
WAVELENGTH_M = 0.05550416

needs_kilauea = pytest.mark.skipif(not RASTERS.is_dir(), reason=f"the real rasters are not at {RASTERS}")
needs_mexico = pytest.mark.skipif(not INTERFEROGRAMS.is_dir(), reason=f"the interferograms are not at {INTERFEROGRAMS}")


def measured(series: np.ndarray, dates: list[str], pixel_m: tuple[float, float]) -> NoiseEstimate:
    time = np.array([f"{d[:4]}-{d[4:6]}-{d[6:]}" for d in dates], "datetime64[ns]")
    return measure(Observation(series, time, pixel_m[0]), pixel_m)


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as source:
        return source.read(1).astype(float)


@pytest.fixture(scope="module")
def kilauea() -> NoiseEstimate:
    """Blocks of 90 m; the first date is the zero that all others count from."""
    paths = sorted(RASTERS.glob("displacement_*.tif"))
    fields = np.stack([read(path) for path in paths])
    series = np.concatenate([np.zeros_like(fields[:1]), fields])
    series[0][np.isnan(fields).all(axis=0)] = np.nan
    rows, columns = (n // 3 * 3 for n in series.shape[1:])
    blocks = series[:, :rows, :columns].reshape(len(series), rows // 3, 3, columns // 3, 3).mean(axis=(2, 4))
    return measured(blocks, ["20160711", *(path.stem[-8:] for path in paths)], (90.0, 90.0))


@pytest.fixture(scope="module")
def mexico() -> NoiseEstimate:
    """The network inverted by plain least squares where all of it is valid; GAMMA: phase is positive away."""
    paths = sorted(INTERFEROGRAMS.glob("*_unw.tif"))
    pairs = [path.name.split("_")[1].split("-") for path in paths]
    dates = sorted({date for pair in pairs for date in pair})
    phase = np.stack([read(path) for path in paths])
    phase[phase == 0] = np.nan
    toward = -WAVELENGTH_M / (4 * np.pi) * (phase - np.nanmedian(phase, axis=(1, 2))[:, None, None])
    network = np.array([[(date == newer) * 1.0 - (date == older) for date in dates] for older, newer in pairs])
    series = np.tensordot(np.linalg.pinv(network), toward, axes=1)
    north_m = np.radians(0.00139) * 6.371e6
    return measured(series, dates, (north_m, north_m * np.cos(np.radians(19.41))))


def check(found: NoiseEstimate) -> None:
    """docs/science.md section 3: 2-D exponents of 5/3 to 11/3, tropical delay of up to 40 mm, floors of up to 3 mm."""
    fit = found.turbulence
    assert fit is not None
    assert 5 / 3 < fit.spectrum.exponents[0] < 11 / 3
    assert fit.exponent_error < 0.4
    assert 3e-3 < found.median_std[0] < 40e-3
    assert 0.02e-3 < fit.white_std < 3e-3
    assert 0.1 < found.strength_log_std[0] < 1.2
    typical = np.nanmedian(found.band_std, axis=0)
    assert (typical > 0.1e-3).all()
    assert (typical < 15e-3).all()
    assert (np.diff(typical[1:]) > 0).all()  # red: more, the larger the scale (the first band holds the floor)


@needs_kilauea
def test_noise_of_kilauea_is_plausible(kilauea: NoiseEstimate) -> None:
    check(kilauea)


@needs_mexico
def test_noise_of_mexico_city_is_plausible(mexico: NoiseEstimate) -> None:
    check(mexico)


@needs_kilauea
def test_the_simulated_kilauea_has_the_structure_of_the_real_one(kilauea: NoiseEstimate) -> None:
    """What the simulator draws with the estimate has the real bands, on the same grid."""
    shape, height = (20, 133, 133), np.zeros((133, 133))
    model = to_model(kilauea)
    drawn = model.simulate(np.random.default_rng(0), 12.0 * np.arange(shape[0]), height, 90.0).astype(float)
    _, power = band_power(drawn, (90.0, 90.0))
    simulated = np.sqrt(power.mean(axis=0))
    real = np.sqrt(np.nanmean(kilauea.band_std**2, axis=0))
    np.testing.assert_allclose(simulated[:-1], real[:-1], rtol=0.35)
