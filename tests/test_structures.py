"""Noise of growing structure: each has what the one before has; a Gaussian covariance is one."""

import math

import numpy as np
import pytest

from slipscan.denoise.methods.slipnet.examples import example_of
from slipscan.denoise.training.scenes import draw_labelled
from slipscan.noise.simulate import NoiseModel, random_fields
from slipscan.settings import NoiseStructure, TrainSettings
from slipscan.synthetic.structures import GaussianSpectrum, draw_structured


def drawn(structure: NoiseStructure, index: int = 0) -> NoiseModel:
    return draw_structured(structure, 3, 0, np.random.default_rng(index))


def test_each_structure_adds_to_the_one_before() -> None:
    white, gaussian, power_law = drawn("white"), drawn("gaussian"), drawn("power_law")
    stratified, heteroscedastic = drawn("stratified"), drawn("heteroscedastic")
    assert white.turbulence_std_m < 1e-5 < 3e-3 <= white.white_std_m
    assert isinstance(gaussian.spectrum, GaussianSpectrum) and not isinstance(power_law.spectrum, GaussianSpectrum)
    assert gaussian.turbulence_std_m == power_law.turbulence_std_m >= 3e-3
    assert power_law.stratified_std == 0 < stratified.stratified_std
    assert stratified.strength_log_std == 0 < heteroscedastic.strength_log_std
    assert stratified.spectrum.anisotropy == 1 < heteroscedastic.spectrum.anisotropy
    assert heteroscedastic.ramp_std_m == 0 < drawn("full").ramp_std_m
    assert any(drawn("full", index).unwrapping_rate > 0 for index in range(20))


def test_a_gaussian_covariance_falls_as_stated() -> None:
    pixel_m, length_m = 500.0, 3e3
    spectrum = GaussianSpectrum(length_m=length_m)
    torus = (256, 256)
    fields = random_fields(np.random.default_rng(1), spectrum.mode_std(torus, pixel_m), torus, 40)
    fields -= fields.mean((1, 2), keepdims=True)
    assert float(fields.var()) == pytest.approx(1, abs=0.05)
    lag = int(length_m / pixel_m)
    assert float((fields[:, :, lag:] * fields[:, :, :-lag]).mean()) == pytest.approx(math.exp(-0.5), abs=0.04)


@pytest.mark.parametrize("structure", ["white", "gaussian", "stratified"])
def test_examples_of_every_structure_are_whole(structure: NoiseStructure) -> None:
    settings = TrainSettings(pixels=48, noise=structure, batch=2, width=8)
    for index in range(4):
        example = example_of(draw_labelled(settings, index), np.random.default_rng(index))
        assert np.isfinite(example.gain) and example.image.features.isfinite().all()
