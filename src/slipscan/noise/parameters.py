"""A region's noise as numbers: what was estimated, within what the simulator allows, and the simulator of it."""

from __future__ import annotations

import logging
import math

import xarray as xr

from slipscan import vocabulary
from slipscan.errors import SlipscanError
from slipscan.noise.estimate import NoiseEstimate
from slipscan.noise.simulate import NoiseModel
from slipscan.noise.simulate_turbulence import EXPONENTS, TurbulenceSpectrum

log = logging.getLogger(__name__)

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
    return _model(parameters(found))


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
    return _model(values)


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
