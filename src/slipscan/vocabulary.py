"""THE table of products: every variable's dimensions, type, units, meaning and sign.

A stage calls `annotate` before it writes and `check` after it reads, so that a file either follows this
table or is refused in one sentence. `docs/products.md` is generated from it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import xarray as xr

from slipscan.errors import SlipscanError

TOWARD = "positive toward the satellite"
RADAR_WAVELENGTH_M = 0.05546576
"""Sentinel-1's wavelength (c / 5.405 GHz)."""


@dataclass(frozen=True)
class Variable:
    """One variable of a product: CF attributes and the contract on its array.

    `flag_meanings` name the bits of a variable of flags, the lowest first.
    """

    name: str
    dims: tuple[str, ...]
    units: str
    long_name: str
    sign: str = ""
    dtype: str = "float32"
    required: bool = True
    flag_meanings: tuple[str, ...] = ()


_YX = ("y", "x")
_TYX = ("time", "y", "x")

_GEOMETRY = (
    Variable("los_east", _YX, "1", "east component of the unit vector ground to satellite", required=False),
    Variable("los_north", _YX, "1", "north component of the unit vector ground to satellite", required=False),
    Variable("los_up", _YX, "1", "up component of the unit vector ground to satellite", required=False),
    Variable("height", _YX, "m", "topographic height", required=False),
)

_STACK = (
    Variable("displacement", _TYX, "m", "cumulative line-of-sight displacement since reference_time", TOWARD),
    Variable(
        "inversion_std",
        _TYX,
        "m",
        "misclosure part of the standard deviation of displacement",
        required=False,
    ),
    Variable("temporal_coherence", _YX, "1", "temporal coherence of the network inversion", required=False),
    Variable("closure_rms", _YX, "m", "RMS of the closure of interferogram triplets", required=False),
    Variable(
        "unwrapping_error_share", _YX, "1", "share of the triplets that misclosed by whole cycles", required=False
    ),
    Variable(
        "phase_bias", _YX, "m/yr", "chains of short pairs minus long pairs of up to 40 days", TOWARD, required=False
    ),
    *_GEOMETRY,
)

_NOISE_NUMBERS = tuple(
    Variable(name, (), units, long_name, dtype="float64", required=False)
    for name, units, long_name in (
        ("exponent_error", "1", "standard error of exponent"),
        ("exponent_middle", "1", "exponent between wavelengths of 1.5 and 0.25 km"),
        ("outer_scale", "m", "wavelength above which turbulence saturates"),
        ("outer_scale_error", "m", "standard error of outer_scale"),
        ("anisotropy", "1", "correlation length of turbulence along its long axis over that across, >= 1"),
        ("anisotropy_error", "1", "standard error of anisotropy"),
        ("anisotropy_azimuth", "degree", "azimuth of the long axis of turbulence, clockwise from north, 0 to 180"),
        ("turbulence_std", "m", "standard deviation of the turbulence of an epoch of median strength"),
        ("turbulence_std_error", "m", "standard error of turbulence_std"),
        ("strength_log_std", "1", "standard deviation between epochs of the logarithm of the strength"),
        ("strength_log_std_error", "1", "standard error of strength_log_std"),
        ("white_std_error", "m", "standard error of white_std"),
        ("ramp_std", "m", "standard deviation of planes across the scene"),
        ("ramp_std_error", "m", "standard error of ramp_std"),
        ("stratified_std", "1", "standard deviation between epochs of the slope with height (m per m)"),
        ("stratified_std_error", "1", "standard error of stratified_std"),
        ("stratified_annual", "1", "amplitude of the annual part of the slope with height (m per m)"),
        ("stratified_annual_error", "1", "standard error of stratified_annual"),
    )
)

PRODUCTS: dict[str, tuple[Variable, ...]] = {
    "interferograms": (
        Variable(
            "interferogram",
            ("pair", "y", "x"),
            "m",
            "line-of-sight displacement from reference_date to secondary_date",
            TOWARD,
        ),
        Variable("coherence", ("pair", "y", "x"), "1", "interferometric coherence", required=False),
        Variable(
            "component",
            ("pair", "y", "x"),
            "1",
            "connected component of the unwrapping, from 1; 0 = none",
            dtype="int16",
            required=False,
        ),
        *_GEOMETRY,
    ),
    "granule": (
        Variable(
            "interferogram",
            _YX,
            "m",
            "line-of-sight displacement from reference_date to secondary_date, no correction applied",
            TOWARD,
        ),
        Variable("coherence", _YX, "1", "interferometric coherence", required=False),
        Variable(
            "component",
            _YX,
            "1",
            "connected component of the unwrapping, from 1; 0 = none",
            dtype="int16",
            required=False,
        ),
        Variable("tide", _YX, "m", "part of interferogram that is solid Earth tide", TOWARD, required=False),
        Variable("ionosphere", _YX, "m", "part of interferogram that is ionospheric delay", TOWARD, required=False),
        Variable("troposphere", _YX, "m", "part of interferogram that is tropospheric delay", TOWARD, required=False),
        *_GEOMETRY,
    ),
    "stack": _STACK,
    "noise": (
        Variable("epoch_rms", ("time",), "m", "RMS over space of the residual of an epoch"),
        Variable(
            "stratified_slope",
            ("time",),
            "1",
            "slope of the residual of an epoch with height (m per m)",
            required=False,
        ),
        Variable("power_spectrum", ("wavenumber",), "m2", "isotropic power of the residual per wavenumber bin"),
        Variable("white_std", (), "m", "standard deviation of the white floor", dtype="float64"),
        Variable("exponent", (), "1", "exponent of the 2-D power law below the white floor", dtype="float64"),
        Variable(
            "band_std",
            ("time", "band"),
            "m",
            "standard deviation of an epoch's delay between Gaussians of width band/2 and band, height's part removed",
            required=False,
        ),
        Variable(
            "turbulence_epoch_std", ("time",), "m", "standard deviation of the turbulence of an epoch", required=False
        ),
        Variable(
            "stratified_slope_error", ("time",), "1", "standard error of stratified_slope (m per m)", required=False
        ),
        Variable(
            "bounded",
            (),
            "1",
            "estimates that a bound set and not the data: the stack tells little about them",
            dtype="int16",
            required=False,
            flag_meanings=(
                "exponent",
                "exponent_middle",
                "outer_scale",
                "anisotropy",
                "turbulence_std",
                "strength_log_std",
                "turbulence_epoch_std",
            ),
        ),
        *_NOISE_NUMBERS,
    ),
    "denoised": (
        Variable("transient", _TYX, "m", "displacement by events about its temporal mean", TOWARD),
        Variable("denoised_std", _TYX, "m", "standard deviation of offset + rate + season + transient"),
        Variable("offset", ("part", "y", "x"), "m", "offset of each connected part of the network", TOWARD),
        Variable("rate", _YX, "m/yr", "secular rate of displacement", TOWARD),
        *(
            Variable(
                f"{wave}_{part}", _YX, "m", f"{part}ine of the {wave} wave of displacement", TOWARD, required=False
            )
            for wave in ("annual", "semiannual")
            for part in ("cos", "sin")
        ),
        Variable("evidence", _YX, "1", "energy that data and events have in common near by, noise being 1"),
    ),
    "transients": (
        Variable("map", ("transient", "y", "x"), "m", "total displacement of the transient", TOWARD),
        Variable("map_std", ("transient", "y", "x"), "m", "standard deviation of map"),
        Variable("footprint", ("transient", "y", "x"), "1", "1 where the transient is detected", dtype="int8"),
        Variable("history", ("transient", "time"), "1", "fraction of the transient reached at an epoch"),
        Variable("ongoing", ("transient",), "1", "1 where t95 may lie past the last epoch", dtype="int8"),
        Variable("left_censored", ("transient",), "1", "1 where t05 may lie before the first epoch", dtype="int8"),
        Variable("statistic", ("transient",), "1", "cluster statistic of the transient", dtype="float64"),
        Variable(
            "p_value",
            ("transient",),
            "1",
            "probability of a false alarm this strong anywhere in the scan",
            dtype="float64",
        ),
        *_GEOMETRY,
    ),
}


def variable_table(product: str) -> dict[str, Variable]:
    """The variables of a product by name; raises SlipscanError for an unknown product."""
    if product not in PRODUCTS:
        raise SlipscanError(f"there is no product {product!r}: slipscan knows {', '.join(PRODUCTS)}")
    return {variable.name: variable for variable in PRODUCTS[product]}


def annotate(dataset: xr.Dataset, product: str) -> xr.Dataset:
    """Cast the variables of `dataset` to the product's types and set their CF attributes.

    Variables that the product does not name are left as they are; `check` refuses them later.
    """
    out = dataset.copy()
    for name, variable in variable_table(product).items():
        if name not in out:
            continue
        array = out[name].astype(variable.dtype)
        array.attrs = {"units": variable.units, "long_name": variable.long_name}
        if variable.sign:
            array.attrs["sign"] = variable.sign
        if variable.flag_meanings:
            array.attrs["flag_masks"] = [1 << bit for bit in range(len(variable.flag_meanings))]
            array.attrs["flag_meanings"] = " ".join(variable.flag_meanings)
        if {"y", "x"} <= set(variable.dims):
            array.attrs["grid_mapping"] = "spatial_ref"
        out[name] = array
    out.attrs.setdefault("Conventions", "CF-1.11")
    out.attrs["product"] = product
    out.attrs["sign_convention"] = f"displacements in metres, {TOWARD}"
    return out


def flags(product: str, name: str, raised: Collection[str]) -> int:
    """Bits of a variable of flags; raises KeyError for a meaning that it does not have."""
    bits = {meaning: 1 << bit for bit, meaning in enumerate(variable_table(product)[name].flag_meanings)}
    return sum(bits[meaning] for meaning in raised)


def raised_flags(array: xr.DataArray) -> list[str]:
    """Meanings of the bits that are set in a variable of flags (a single number)."""
    meanings = str(array.attrs.get("flag_meanings", "")).split()
    return [meaning for bit, meaning in enumerate(meanings) if int(array) >> bit & 1]


def check(dataset: xr.Dataset, product: str, where: str = "") -> None:
    """Refuse a dataset that breaks the contract of `product`.

    Parameters
    ----------
    dataset
        what a stage read or is about to write
    product
        a key of PRODUCTS
    where
        the file's path, for the sentence

    Raises
    ------
    SlipscanError
        a missing or unknown variable, wrong dimensions, units or type, an axis that is not sorted
    """
    at = f" in {where}" if where else ""
    table = variable_table(product)
    for name, variable in table.items():
        if name not in dataset:
            if variable.required:
                raise SlipscanError(f"the {product} variable '{name}'{at} is missing: {variable.long_name}")
            continue
        _check_variable(dataset[name], variable, product, at)
    unknown = sorted(set(map(str, dataset.data_vars)) - set(table))
    if unknown:
        raise SlipscanError(f"the {product} product{at} has the unknown variable '{unknown[0]}': rename or drop it")
    _check_axes(dataset, product, at)


def _check_variable(array: xr.DataArray, variable: Variable, product: str, at: str) -> None:
    """Dimensions, type and units of one variable."""
    if array.dims != variable.dims:
        raise SlipscanError(
            f"the {product} variable '{variable.name}'{at} has dimensions {array.dims}, not {variable.dims}"
        )
    if array.dtype != np.dtype(variable.dtype):
        raise SlipscanError(f"the {product} variable '{variable.name}'{at} is {array.dtype}, not {variable.dtype}")
    units = array.attrs.get("units")
    if units != variable.units:
        raise SlipscanError(f"the {product} variable '{variable.name}'{at} has units {units!r}, not {variable.units!r}")


def _check_axes(dataset: xr.Dataset, product: str, at: str) -> None:
    """Axes: time strictly ascending, y strictly descending, x strictly ascending."""
    for axis, direction in (("time", 1), ("y", -1), ("x", 1)):
        if axis not in dataset.dims or dataset.sizes[axis] < 2:
            continue
        if axis not in dataset.coords:
            raise SlipscanError(f"the {product} product{at} has no coordinate '{axis}'")
        values = dataset[axis].values
        steps = np.diff(values.astype("int64") if axis == "time" else values) * direction
        if not (steps > 0).all():
            order = "ascending" if direction > 0 else "descending"
            problem = "duplicate values" if (steps == 0).any() else "values out of order"
            raise SlipscanError(f"the {product} coordinate '{axis}'{at} has {problem}: it must be strictly {order}")
