"""A region's noise as numbers: what was estimated, within what the simulator allows, and the simulator of it."""

from __future__ import annotations

import dataclasses
import logging
import math
from typing import Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from slipscan import vocabulary
from slipscan.errors import SlipscanError
from slipscan.noise.estimate import NoiseEstimate
from slipscan.noise.simulate import NoiseModel
from slipscan.noise.simulate_red import RedPart
from slipscan.noise.simulate_turbulence import EXPONENTS, TurbulenceSpectrum

log = logging.getLogger(__name__)

Float = NDArray[np.float64]

PEAK: Final = 3.27
"""Wavelength at which a difference of Gaussians of widths s/2 and s passes most, over s."""
LARGEST_LOG_STD = 1.5
"""Beyond it single epochs of a simulation are hundreds of times as strong as the others."""
UNKNOWN = "turbulence_unknown"
"""Attribute of a noise product: what the stack lacked."""
_NEEDED = ("turbulence_std", "exponent", "outer_scale", "white_std")
_TOO_LITTLE = "the noise of this stack is unknown, it has too few epochs or pixels: "


def parameters(found: NoiseEstimate) -> dict[str, float]:
    """The single numbers of the noise product by name; NaN where the stack told nothing."""
    out = {"exponent": math.nan, "white_std": math.nan}
    if (fit := found.turbulence) is not None:
        out = {
            "exponent": fit.spectrum.exponents[0],
            "exponent_error": fit.exponent_error,
            "exponent_middle": fit.spectrum.exponents[1],
            "outer_scale": fit.spectrum.outer_scale_m,
            "outer_scale_error": fit.spectrum.outer_scale_m * fit.outer_scale_log_error,
            "anisotropy": fit.spectrum.anisotropy,
            "anisotropy_error": fit.spectrum.anisotropy * fit.anisotropy_log_error,
            "anisotropy_azimuth": fit.spectrum.azimuth_deg,
            "turbulence_std": found.median_std[0],
            "turbulence_std_error": found.median_std[1],
            "strength_log_std": min(found.strength_log_std[0], LARGEST_LOG_STD),
            "strength_log_std_error": found.strength_log_std[1],
            "white_std": fit.white_std,
            "white_std_error": fit.white_std_error,
            "ramp_std": fit.ramp_std,
            "ramp_std_error": fit.ramp_std_error,
        }
    if (slopes := found.stratified) is not None:
        out |= {
            "stratified_std": slopes.std,
            "stratified_std_error": slopes.std_error,
            "stratified_annual": slopes.annual,
            "stratified_annual_error": slopes.annual_error,
        }
    return out


def at_border(found: NoiseEstimate) -> frozenset[str]:
    """Estimates that a bound set and not the data, by their names in the product."""
    assumed = found.temporal is not None and bool(found.temporal.assumed.any())
    out = frozenset({"red_variance"} if assumed else ())
    if found.turbulence is None:
        return out
    strong = found.strength_log_std[0] >= LARGEST_LOG_STD
    return out | found.turbulence.at_border | ({"strength_log_std"} if strong else set())


def to_model(found: NoiseEstimate) -> NoiseModel:
    """The simulator of the noise that was measured; raises SlipscanError where there was too little data for it."""
    if found.turbulence is None:
        raise SlipscanError(_TOO_LITTLE + found.lacking)
    values = parameters(found)
    temporal = found.temporal
    red = () if temporal is None else red_part(found.band_m, temporal.white_std, temporal.red, _model(values))
    return dataclasses.replace(_model(values), red=red)


def model_of(dataset: xr.Dataset) -> NoiseModel:
    """The simulator of a region's noise, from its noise product.

    Parameters
    ----------
    dataset
        the 'noise' product (see docs/products.md)

    Raises
    ------
    SlipscanError
        the product lacks what the simulator needs, or the stack had too little data
    """
    if lacking := dataset.attrs.get(UNKNOWN):
        raise SlipscanError(_TOO_LITTLE + str(lacking))
    values = {str(name): float(dataset[name]) for name in dataset.data_vars if dataset[name].ndim == 0}
    for name in _NEEDED:
        if not math.isfinite(values.get(name, math.nan)):
            raise SlipscanError(f"the noise product has no '{name}': estimate the noise of a longer stack anew")
    if "bounded" in dataset and (bounded := vocabulary.raised_flags(dataset["bounded"])):
        log.warning("the simulator of this noise holds what a bound set and not the data: %s", ", ".join(bounded))
    model = _model(values)
    if "red_variance" not in dataset:
        return model
    bands = (1e3 * dataset["band"].values, dataset["band_white_std"].values, dataset["red_variance"].values)
    return dataclasses.replace(model, red=red_part(*bands, model))


def red_part(band_m: Float, white_std: Float, red: Float, model: NoiseModel) -> RedPart:
    """Red part of a simulator that has the random walks of the bands, at the wavelengths at which these peak.

    Parameters
    ----------
    band_m
        (band,) widths s of the larger Gaussian
    white_std
        (time, band) of the product, m
    red
        (band,) of the product, 1/yr
    model
        the simulator without it
    """
    out: list[tuple[float, float]] = []
    for band, (width, std, gain) in enumerate(zip(band_m, white_std.T, red, strict=True)):
        known = std[np.isfinite(std)]
        if len(known) and math.isfinite(gain):
            turbulence = model.turbulence_std_m**2 * band_share(model.spectrum, width, finest=band == 0)
            # What is white is more than turbulence where the floor lies; less where the scene's edges cut a broad band,
            # and there they cut the red part as well.
            over = max(1.0, float(np.median(known)) ** 2 / turbulence)
            out.append((PEAK * float(width), float(gain) * over))
    return tuple(out)


def band_share(spectrum: TurbulenceSpectrum, width_m: float, finest: bool) -> float:
    """Share of the variance of turbulence in a band, the difference of Gaussians of widths s/2 and s.

    The finest band of a scene, whose s is its pixel, is what a Gaussian of that width leaves.
    """
    k = np.geomspace(1e-3, 0.5 if finest else 3.0, 400) / width_m
    broad = np.exp(-2 * np.pi**2 * width_m**2 * k**2)
    passed = 1 - broad if finest else broad**0.25 - broad
    return float(np.trapezoid(spectrum.density(k) * passed**2 * 2 * np.pi * k, k))


def _model(values: dict[str, float]) -> NoiseModel:
    """The simulator of a product's numbers; what is unknown and not needed is off."""

    def known(name: str, otherwise: float = 0.0) -> float:
        value = values.get(name, math.nan)
        return value if math.isfinite(value) else otherwise

    spectrum = TurbulenceSpectrum(
        exponents=(values["exponent"], known("exponent_middle", values["exponent"] + 1), EXPONENTS[2]),
        outer_scale_m=values["outer_scale"],
        anisotropy=known("anisotropy", 1.0),
        azimuth_deg=known("anisotropy_azimuth"),
    )
    return NoiseModel(
        turbulence_std_m=values["turbulence_std"],
        strength_log_std=known("strength_log_std"),
        stratified_std=known("stratified_std"),
        stratified_annual=known("stratified_annual"),
        ramp_std_m=known("ramp_std"),
        white_std_m=values["white_std"],
        spectrum=spectrum,
    )
