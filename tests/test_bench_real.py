"""Family R: the law of a real series' noise is recovered, and events are planted in a file of LiCSBAS."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from slipbench import noise_law
from slipbench.baselines.prepare import prepare
from slipbench.baselines.whitening import noise_density
from slipbench.families import random_walk
from slipbench.real import CELLS, KINDS, KNOTS_D, VENT, _slow_part, plant, read_noise
from slipbench.real_run import measure_real
from slipbench.snr import whole_snr
from slipbench.spectra import mode_std
from slipscan.errors import SlipscanError
from slipscan.field import Observation
from slipscan.noise.simulate import TurbulenceSpectrum, random_fields

SIDE, PIXEL_M = 64, 500.0


def simulated(walk: float, stretch: float, seed: int) -> Observation:
    """Five years of stretched turbulence, a share of which walks."""
    generator = np.random.default_rng(seed)
    spectrum = TurbulenceSpectrum(exponents=(3.2,) * 3, outer_scale_m=20e3, anisotropy=stretch, azimuth_deg=45.0)
    days = 12.0 * np.arange(140)
    shape = (SIDE, SIDE)
    std = mode_std(lambda kx, ky: spectrum.density(spectrum.stretched(ky, kx)), shape, PIXEL_M)
    fields = random_fields(generator, std, shape, len(days)) * np.float32(5e-3)
    strength = np.exp(0.3 * generator.standard_normal(len(days)))
    root = np.linalg.cholesky(np.diag(strength**2) + random_walk(days, walk)).astype(np.float32)
    delay = np.tensordot(root, fields, 1)
    time = np.datetime64("2018-06-01", "ns") + (days * 86400e9).astype("timedelta64[ns]")
    return Observation(delay - delay[0], time, PIXEL_M, np.zeros(shape, np.float32))


@pytest.mark.parametrize(("walk", "low", "high"), [(0.0, 0.0, 0.05), (0.3, 0.15, 0.5)])
def test_the_walk_and_the_stretch_of_a_series_are_recovered(walk: float, low: float, high: float) -> None:
    prepared = prepare(simulated(walk, 3.0, 1))
    law = noise_law.noise_law(prepared, np.ones((SIDE, SIDE), bool))
    grown = law.covariance[-1, -2] / np.median(np.diag(law.covariance) - law.covariance[-1, -2])
    assert low <= grown / (np.ptp(prepared.days) / 365.25) <= high * 1.5
    along, across = (law.density(np.array(x), np.array(y)) for x, y in ((2e-4, 2e-4), (2e-4, -2e-4)))
    assert min(along, across) < max(along, across) / 9


def test_an_ellipse_that_is_a_circle_changes_nothing() -> None:
    fields = np.random.default_rng(0).normal(size=(4, 32, 32))
    k = np.linspace(1e-5, 1e-3, 5)
    np.testing.assert_array_equal(noise_density(fields, 500.0)(k, k), noise_density(fields, 500.0, (1.0, 40.0))(k, k))


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as LiCSBAS makes it: 20 x 20 km round the vent, the first year of no use."""
    generator = np.random.default_rng(3)
    side, count = 90, 60
    spectrum = TurbulenceSpectrum(outer_scale_m=20e3)
    std = mode_std(lambda kx, ky: spectrum.density(np.hypot(kx, ky)), (side, side), 221.0)
    millimetres = 4 * random_fields(generator, std, (side, side), count) + generator.normal(size=(count, 1, 1))
    days = np.datetime64("2017-12-01") + 24 * np.arange(count)
    path = tmp_path_factory.mktemp("series") / "cum.h5"
    with h5py.File(path, "w") as file:
        file["cum"] = millimetres.astype(np.float32)
        file["imdates"] = np.array([int(str(day).replace("-", "")) for day in days], np.int32)
        file["hgt"] = generator.normal(500, 50, (side, side)).astype(np.float32)
        for name, value in (("E.geo", -0.61), ("N.geo", -0.14), ("U.geo", 0.78)):
            file[name] = np.full((side, side), value, np.float32)
        file["corner_lat"], file["corner_lon"] = VENT[1] + 0.09, VENT[0] - 0.09
        file["post_lat"], file["post_lon"] = -0.002, 0.002
    return path


@pytest.mark.parametrize("line", [None, *KNOTS_D])
def test_events_are_planted_in_the_quiet_part_of_a_real_series(series: Path, line: str | None) -> None:
    quiet = read_noise(series, line)
    assert quiet.height.shape == (90 // CELLS,) * 2 and str(quiet.observation(False).time[0]) >= "2018-06-01"
    middle = quiet.valid.shape[0] // 2
    assert not quiet.valid[middle, middle] and quiet.valid[0].all()
    for kind in KINDS:
        scene, again = plant(quiet, kind, 0), plant(quiet, kind, 0)
        assert np.abs(scene.template).max() == pytest.approx(np.abs(again.template).max())
        assert 7.9e-3 < np.abs(scene.template).max() < 15.1e-3 and whole_snr(scene) > 0
        noise = scene.observation(False).values - scene.events
        same = quiet.observation(False).values
        np.testing.assert_allclose(noise[:, quiet.valid], same[:, quiet.valid], atol=1e-6)


def test_what_moves_slowly_is_taken_out_and_nothing_else() -> None:
    days = 24.0 * np.arange(100)
    time = np.datetime64("2018-06-01", "ns") + (days * 86400e9).astype("timedelta64[ns]")
    slow = 60 * np.exp(-days / 300)
    other = 2e-2 * days + 5 * np.sin(2 * np.pi * days / 365.25) + np.random.default_rng(0).normal(size=100)
    left = (slow + other - _slow_part(time, (slow + other)[:, None], 270.0, (60.0,))[:, 0]) - other
    rate = np.polynomial.Polynomial.fit(days, slow, 1)(days)
    # What is left of it is its rate; of white noise, a line of so few knots follows little.
    assert np.std(left - rate) < 0.6 < 0.07 * np.std(slow - rate)


def test_family_r_has_a_table(series: Path, tmp_path: Path) -> None:
    page = tmp_path / "real.md"
    text = measure_real(series, "zero,oracle", 1, page)
    assert (
        page.read_text() == text and text.count("| zero |") == 3 * (len(KINDS) + 1) and "standard deviation of" in text
    )
    assert str(series) not in text


def test_no_series_is_said_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SlipscanError, match="there is no series"):
        measure_real(tmp_path / "cum.h5", "zero", 1, None)
