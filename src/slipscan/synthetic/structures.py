"""Noise of growing structure, from white to all that training draws.

Each structure has what the one before it has, and one thing more; strengths are those of `distribution.draw_noise`.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from slipscan.noise.simulate import NoiseModel, TurbulenceSpectrum
from slipscan.settings import NoiseStructure
from slipscan.synthetic.distribution import draw_noise, draw_spectrum

Float = NDArray[np.float64]

WHITE_M: Final = (3e-3, 15e-3)
NEXT_TO_NOTHING_M: Final = 1e-6
"""Turbulence of the white structure: its strength per epoch is a number that other code divides by."""
GAUSSIAN_LENGTH_M: Final = (2e3, 15e3)
SPECTRUM_STREAM: Final = 5
STEADY: Final = {"strength_log_std": 0.0}
NOT_STRATIFIED: Final = {"stratified_std": 0.0, "stratified_annual": 0.0}
QUIET_SURFACE: Final = {
    "ramp_std_m": 0.0, "ramp_solar": 0.0, "stratified_quadratic": 0.0, "stratified_spatial": 0.0,
    "reference_std_m": 0.0, "unwrapping_rate": 0.0,
}  # fmt: skip


@dataclass(frozen=True)
class GaussianSpectrum(TurbulenceSpectrum):
    """Noise of covariance exp(-r^2 / (2 length_m^2)): smooth below that length, and none above it."""

    length_m: float = 5e3

    def density(self, wavenumber: ArrayLike) -> Float:
        """Two-dimensional power spectral density of unit variance, m2 per (cycle/m)2; wavenumber in cycles per m."""
        k = np.asarray(wavenumber, dtype=float)
        return np.asarray(2 * math.pi * self.length_m**2 * np.exp(-2 * (math.pi * k * self.length_m) ** 2))


def draw_structured(structure: NoiseStructure, seed: int, block: int, generator: np.random.Generator) -> NoiseModel:
    """The noise of one scene.

    Parameters
    ----------
    structure
        white, a Gaussian covariance, a power law; with stratified delay of a season; heteroscedastic (epochs differ)
        and anisotropic; full: ramps as of the ionosphere, unwrapping blocks, the reference's own noise
    seed, block
        of the pool of scenes, all of which have one spectrum
    generator
        of the scene's strengths
    """
    own = np.random.default_rng([seed, SPECTRUM_STREAM, block])
    spectrum = draw_spectrum(own)
    model = draw_noise(generator, spectrum)
    if structure == "full":
        return model
    off: dict[str, Any] = dict(QUIET_SURFACE)
    if structure != "heteroscedastic":
        off |= STEADY
        spectrum = dataclasses.replace(spectrum, anisotropy=1.0)
    if structure in ("white", "gaussian", "power_law"):
        off |= NOT_STRATIFIED
    if structure == "gaussian":
        length = math.exp(own.uniform(*np.log(GAUSSIAN_LENGTH_M)))
        spectrum = GaussianSpectrum(length_m=length)
    if structure == "white":
        white = math.exp(generator.uniform(*np.log(WHITE_M)))
        off |= {"turbulence_std_m": NEXT_TO_NOTHING_M, "white_std_m": white}
    return dataclasses.replace(model, spectrum=spectrum, **off)
