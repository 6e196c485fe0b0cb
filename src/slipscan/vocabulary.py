"""What a product is called and how it is written: a dataset is held to the table in `slipscan.products`.

A stage calls `annotate` before it writes and `check` after it reads, so that a file either follows the
table or is refused in one sentence.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import xarray as xr

from slipscan.errors import SlipscanError
from slipscan.products import PRODUCTS as PRODUCTS
from slipscan.products import TOWARD, Variable, variable_table

RADAR_WAVELENGTH_M = 0.05546576
"""Sentinel-1's wavelength (c / 5.405 GHz)."""
CYCLE_M = RADAR_WAVELENGTH_M / 2
"""Displacement of one cycle of phase, 27.73 mm."""


def annotate(dataset: xr.Dataset, product: str) -> xr.Dataset:
    """Cast the variables of `dataset` to the product's types and set their CF attributes.

    Variables that the product does not name are left as they are; `check` refuses them later.
    """
    out = dataset.copy()
    for name, variable in variable_table(product).items():
        if name not in out:
            continue
        array = out[name].astype(variable.dtype, copy=False)
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
