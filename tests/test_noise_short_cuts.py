"""What the noise stage does in a quick way gives what the plain way gives."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from slipscan.coarse import block_means, coarsened
from slipscan.field import Observation
from slipscan.fit.background import fit_series
from slipscan.noise import estimate_spectrum, sample
from slipscan.noise.estimate_bands import squares
from slipscan.noise.estimate_blur import blurred
from slipscan.noise.estimate_power import power
from slipscan.noise.estimate_residual import left_over
from slipscan.noise.estimate_structure import Level, levels, structure_function
from slipscan.noise.sample import sample_of
from slipscan.noise.simulate_turbulence import TurbulenceSpectrum, torus_shape

PIXEL_M = (200.0, 150.0)
SPECTRA = {
    "isotropic": TurbulenceSpectrum(),
    "stretched": TurbulenceSpectrum((2.5, 3.0, 2.0), outer_scale_m=40e3, anisotropy=2.0, azimuth_deg=30.0),
}


def dates(count: int) -> np.ndarray:
    return np.datetime64("2016-01-03", "ns") + np.arange(count) * np.timedelta64(12, "D")


def fields(*shape: int, gaps: float = 0.0) -> np.ndarray:
    generator = np.random.default_rng(0)
    out = generator.normal(size=shape)
    out[generator.random(shape) < gaps] = np.nan
    return out.astype(np.float32)


def turbulence_by_transform(level: Level, spectrum: TurbulenceSpectrum) -> np.ndarray:
    """From the covariance on the whole torus."""
    torus = torus_shape((min(level.shape[0], 192), min(level.shape[1], 192)))
    variance = spectrum.mode_std(torus, level.pixel_m).astype(float) ** 2
    if level.factor > 1:
        means = [np.sinc(np.fft.fftfreq(n)) / np.sinc(np.fft.fftfreq(n) / level.factor) for n in torus]
        variance *= (means[0][:, None] * means[1]) ** 2
    covariance = np.fft.fft2(variance).real
    return np.asarray(2 * (covariance[0, 0] - covariance[level.dy % torus[0], level.dx % torus[1]]))


@pytest.mark.parametrize("shape", [(512, 512), (40, 13), (61, 90)])
@pytest.mark.parametrize("name", list(SPECTRA))
def test_the_structure_function_of_a_spectrum_is_that_of_the_simulator(shape: tuple[int, int], name: str) -> None:
    for pixel_m in (PIXEL_M, (90.0, 90.0)):  # the shortest waves beyond both breaks, or beyond one
        for level in levels(shape, pixel_m):
            expected = turbulence_by_transform(level, SPECTRA[name])
            np.testing.assert_allclose(level.turbulence(SPECTRA[name]), expected, rtol=2e-6)


def test_derivatives_of_the_misfit_are_its_slopes() -> None:
    """In double precision and small steps: the fit comes to its end in a dozen of them, however bad it is."""
    grids = levels((300, 200), PIXEL_M)
    lags = np.ones(sum(len(level.dy) for level in grids), bool)
    mean = np.concatenate([level.turbulence(SPECTRA["stretched"]) + level.white() for level in grids])
    problem = estimate_spectrum._Problem(grids, lags, mean, 0.01 * mean)
    values = np.array((0.3, 2.7, 0.8, np.log(50e3), 0.1, 0.02, 0.2, -0.1))
    for column, step in zip(problem.jacobian(values).T, np.diag(np.full(8, 1e-5)), strict=True):
        slope = (problem.misfit(values + step) - problem.misfit(values - step)) / 2e-5
        np.testing.assert_allclose(column, slope, rtol=1e-5, atol=1e-6 * np.abs(slope).max())


@pytest.mark.parametrize("shape", [(3, 32, 33), (2, 5, 100), (1, 1, 64)])
def test_a_blur_by_products_is_a_blur(shape: tuple[int, int, int]) -> None:
    given = fields(*shape)
    for width, cut in ((1.0, 3), (2.0, 3), (1.5, 4)):
        expected = ndimage.gaussian_filter(given, (0, width, width), mode="constant", truncate=cut)
        np.testing.assert_allclose(blurred(given, width, cut), expected, atol=1e-6)


@pytest.mark.parametrize("columns", [20, 21])
def test_the_power_of_half_of_the_modes_is_that_of_all(columns: int) -> None:
    given = fields(1, 15, columns)
    found = power(given, PIXEL_M)
    assert found is not None
    taper = np.hanning(15)[:, None] * np.hanning(columns)
    modes = np.fft.fft2((given[0] - given[0].mean(dtype=float)) * taper)
    expected = np.abs(modes) ** 2 / np.square(taper).sum() * 0.2 * 0.15
    np.testing.assert_allclose(found.density, expected, rtol=1e-9)


def test_sums_of_squares_are_exact_beside_a_far_larger_field() -> None:
    given = fields(2, 200, 300)
    given[0] *= 1e4
    np.testing.assert_allclose(squares(given), np.square(given, dtype=float).sum(axis=(1, 2)), rtol=1e-6)


def test_a_complete_pixel_does_not_feel_the_gaps_of_its_neighbours() -> None:
    """The way for complete parts of a series and the way for those with gaps give it the same."""
    design = Observation(fields(20, 4, 5), dates(20), 200.0).design
    whole = 3 + fields(20, 4, 5)
    holed = whole.copy()
    holed[3:9, 1, 2] = np.nan
    (complete, fit), (gappy, fit_gappy) = left_over(whole, design), left_over(holed, design)
    others = np.ones((4, 5), bool)
    others[1, 2] = False
    np.testing.assert_allclose(gappy[:, others], complete[:, others], atol=1e-7)
    np.testing.assert_allclose(fit_gappy[:, others], fit[:, others], rtol=1e-9)
    np.testing.assert_allclose(fit.reshape(len(fit), -1), fit_series(design, whole.reshape(20, -1)), rtol=1e-9)
    assert np.isnan(gappy[3:9, 1, 2]).all() and np.isfinite(gappy[9:, 1, 2]).all()


def test_an_epoch_is_measured_alike_beside_one_with_gaps() -> None:
    complete = fields(6, 70, 80)
    holed = complete.copy()
    holed[2, 10:20, 30:40] = np.nan
    (level,) = levels((70, 80), PIXEL_M)
    others = np.arange(6) != 2
    for measure in (lambda seen: structure_function(seen, level), lambda seen: block_means(seen, 4)):
        np.testing.assert_allclose(measure(holed)[others], measure(complete)[others], rtol=1e-6)
    one = Observation(complete, dates(6), 200.0)
    other = Observation(np.concatenate([complete, fields(6, 70, 80, gaps=0.2)], axis=2), dates(6), 200.0)
    np.testing.assert_array_equal(coarsened(other, 4).displacement[:, :, :20], coarsened(one, 4).displacement)


class Counted:
    """A series of which it is known how much was read."""

    def __init__(self, series: np.ndarray) -> None:
        self.series, self.shape, self.read = series, series.shape, 0

    def __getitem__(self, key: tuple[slice, slice, slice]) -> np.ndarray:
        self.read += self.series[key].size
        return self.series[key]


def test_a_complete_scene_of_one_tile_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def windows_read(held: int, gaps: float = 0.0) -> tuple[int, int]:
        monkeypatch.setattr(sample, "HELD", held)
        counted = Counted(fields(5, 400, 410, gaps=gaps))
        taken = sample_of(Observation(counted, dates(5), 200.0))
        assert taken.windows
        for rows, columns in taken.windows:
            taken.seen.tile(rows, columns)
        return counted.read, counted.series.size

    read, size = windows_read(1 << 28)
    assert read == size
    for given in ((1 << 20, 0.0), (1 << 28, 0.1)):  # what is too large to be kept, or takes memory itself, is read anew
        read, size = windows_read(*given)
        assert size < read
