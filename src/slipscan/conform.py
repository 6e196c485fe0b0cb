"""A dataset as xarray, rioxarray and GDAL write it, brought to a product's contract.

Liberal at this edge, so that everything behind it may be strict: names and order of axes, grid mapping, units, types
and what a user keeps beside. Nothing is guessed: what has two meanings is refused in one sentence.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np
import xarray as xr
from pyproj import CRS

from slipscan import units
from slipscan.dates import check_epochs, checked_dates
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid, in_degrees, regular, write_grid
from slipscan.gridmapping import crs_of, mapping_name
from slipscan.metric import check_place
from slipscan.products import PRODUCTS, Variable, variable_table
from slipscan.store import CHUNK

log = logging.getLogger(__name__)

STANDARD_NAMES = {
    "x": ("projection_x_coordinate", "longitude"),
    "y": ("projection_y_coordinate", "latitude"),
    "time": ("time",),
}
ALIASES = {
    "x": ("x", "easting", "east", "longitude", "lon"),
    "y": ("y", "northing", "north", "latitude", "lat"),
    "time": ("time", "date", "dates", "epoch"),
}
"""What an axis is called, in lower case, where it has no standard_name."""
COORDINATES = ("time", "reference_time", "segment", "reference_date", "secondary_date")
"""Coordinates of a product beside x, y and spatial_ref."""


def conform(dataset: xr.Dataset, product: str, where: str) -> xr.Dataset:
    """Bring a dataset to the contract of a product.

    Parameters
    ----------
    dataset
        as opened: axes in any order and direction, by our names, standard_name or plain aliases, beside them axes of
        length 1; numbers of any real type; lengths in m, cm or mm; the CRS as `gridmapping.crs_of` reads it
    product
        a key of PRODUCTS: 'stack', 'denoised' or 'interferograms'
    where
        the file's path, for sentences

    Returns
    -------
    conforming
        variables of the product alone (the others are named in the log), in its units, types and dimensions, x and
        time ascending, y descending, with spatial_ref. What follows the contract stays lazy as it is; a series that
        needs a conversion becomes a lazy dask array

    Raises
    ------
    SlipscanError
        a variable that is missing, of unknown units, of no real numbers or on other axes; dates, axes or a CRS that are
        none
    """
    table = variable_table(product)
    main = next(iter(table))
    _check_product(dataset, product, main, where)
    crs, mapping = crs_of(dataset, where), mapping_name(dataset)
    dataset = _named_axes(dataset, main, table[main].dims, where)
    _report_others(dataset, table, mapping, where)
    fields = {
        name: _field(dataset[name], variable, product, where) for name, variable in table.items() if name in dataset
    }
    # What a field still carries of other coordinates goes.
    out = xr.Dataset(attrs=dataset.attrs)
    for axis in ("x", "y"):
        if axis not in dataset.coords:
            raise SlipscanError(f"the coordinate '{axis}' in {where} is missing: cell centres in the CRS's units")
        out = out.assign_coords({axis: dataset[axis].reset_coords(drop=True)})
    for name in COORDINATES:
        if name in dataset.variables:
            out = out.assign_coords({name: _coordinate(dataset[name], name, where)})
    if "time" in table[main].dims and "time" not in out.coords:
        raise SlipscanError(f"the coordinate 'time' in {where} is missing: the date of every epoch, as datetime64")
    for name, field in fields.items():
        out[name] = field.reset_coords(drop=True)
    return _on_grid(out, crs, where)


def _check_product(dataset: xr.Dataset, product: str, main: str, where: str) -> None:
    own = dataset.attrs.get("product")
    if own in PRODUCTS and own != product:
        raise SlipscanError(f"{where} is of product '{own}', not '{product}': give the file of the stage before")
    if main not in dataset:
        held = ", ".join(sorted(map(str, dataset.data_vars))) or "none"
        raise SlipscanError(
            f"the {product} variable '{main}' in {where} is missing (its variables: {held}): rename the one that holds"
            f" the {variable_table(product)[main].long_name}"
        )


def _named_axes(dataset: xr.Dataset, main: str, dims: tuple[str, ...], where: str) -> xr.Dataset:
    """Give the axes of the main variable their names in the contract, and drop others of length 1."""
    for axis in dims:
        along = next((dim for dim in dataset[main].dims if dim == axis), None) or next(
            (dim for dim in dataset[main].dims if dim not in dims and axis in _roles(dataset, str(dim))), None
        )
        if along is None:
            continue
        held = {str(name): c for name, c in dataset.variables.items() if c.dims == (along,)}
        named = [name for name, coordinate in held.items() if _role(coordinate, name) == axis]
        dates = [name for name in named if held[name].dtype.kind == "M"]
        # Dates rather than the numbers of the epochs.
        others = dates if axis == "time" and along not in dates else named if along not in dataset.coords else []
        if len(others) == 1:
            dataset = dataset.set_coords(others).swap_dims({along: others[0]})
            along = others[0]
        if along != axis:
            dataset = dataset.drop_vars(axis, errors="ignore").rename({along: axis})
    spare = [dim for dim in dataset[main].dims if dim not in dims and dataset.sizes[dim] == 1]
    dataset = dataset.squeeze(spare, drop=True)
    if set(dataset[main].dims) != set(dims):
        raise SlipscanError(f"the variable '{main}' in {where} has dimensions {dataset[main].dims}, not {dims}")
    for axis in dims:
        if dataset.sizes[axis] == 0:
            raise SlipscanError(f"the variable '{main}' in {where} is empty: its axis '{axis}' has length 0")
    return dataset


def _roles(dataset: xr.Dataset, dim: str) -> set[str]:
    """The axes that the coordinates along a dimension, or its own name, say it is."""
    found = {_role(c, str(name)) for name, c in dataset.variables.items() if c.dims == (dim,)}
    return {role for role in found | {_alias(dim)} if role}


def _role(coordinate: xr.Variable, name: str) -> str | None:
    """The axis that a coordinate is by its standard_name, type, name or CF axis."""
    standard = coordinate.attrs.get("standard_name")
    for axis, names in STANDARD_NAMES.items():
        if standard in names:
            return axis
    if coordinate.dtype.kind == "M" and name not in COORDINATES[1:]:
        return "time"
    return _alias(name) or {"X": "x", "Y": "y", "T": "time"}.get(str(coordinate.attrs.get("axis")))


def _alias(name: str) -> str | None:
    return next((axis for axis, names in ALIASES.items() if name.lower() in names), None)


def _report_others(dataset: xr.Dataset, table: Mapping[str, Variable], mapping: str | None, where: str) -> None:
    """Name in the log what is not used."""
    known = {*table, *COORDINATES, "x", "y", "spatial_ref", mapping}
    others = sorted({str(name) for name in dataset.variables if name not in known and name not in dataset.dims})
    if others:
        log.info("%s: what is not part of the product is not used: %s", where, ", ".join(others))


def _field(array: xr.DataArray, variable: Variable, product: str, where: str) -> xr.DataArray:
    """A variable in the contract's dimensions, units and type."""
    name = f"the {product} variable '{variable.name}' in {where}"
    if array.dtype.kind not in "fiu":
        raise SlipscanError(f"{name} is {array.dtype}, not {variable.dtype}: write real numbers")
    given = array.attrs.get("units")
    factor = units.factor(given, variable.units)
    if factor is None:
        known = "m, cm or mm" if variable.units == "m" else repr(variable.units)
        raise SlipscanError(f"{name} has units {given!r}, not {variable.units!r}: write {known} into its attributes")
    sign = str(array.attrs.get("sign", ""))
    if variable.sign and sign and ("toward" not in sign.lower() or "away" in sign.lower()):
        raise SlipscanError(f"{name} has the sign {sign!r}: make it {variable.sign}, and say so in the attribute")
    if spare := [dim for dim in array.dims if dim not in variable.dims and array.sizes[dim] == 1]:
        array = array.squeeze(spare, drop=True)
    if set(array.dims) != set(variable.dims):
        raise SlipscanError(f"{name} has dimensions {array.dims}, not {variable.dims}")
    attrs = {key: value for key, value in array.attrs.items() if key != "grid_mapping"} | {"units": variable.units}
    if {"y", "x"} <= set(variable.dims):
        attrs["grid_mapping"] = "spatial_ref"
    if array.dtype != variable.dtype or factor != 1 or array.dims != variable.dims:
        array = in_blocks(array).transpose(*variable.dims)
        if factor != 1:
            array = array.astype(np.float64) * factor
        if np.dtype(variable.dtype).kind == "i" and array.dtype.kind == "f":
            array = array.fillna(0)
        array = array.astype(variable.dtype)
    array.attrs = attrs
    array.encoding = {}
    return array


def in_blocks(array: xr.DataArray) -> xr.DataArray:
    """A series in blocks of its file, so that what is done to it waits until a part is read."""
    if array.ndim < 3:
        return array
    own = array.encoding.get("preferred_chunks", {})
    return array.chunk({dim: own.get(dim, CHUNK.get(str(dim), size)) for dim, size in array.sizes.items()})


def _coordinate(array: xr.DataArray, name: str, where: str) -> xr.DataArray:
    """A coordinate of the product, dates in nanoseconds."""
    array = array.reset_coords(drop=True)
    what = f"the coordinate '{name}' in {where}"
    if name == "segment":
        if array.dtype.kind not in "iu" or array.dims != ("time",):
            raise SlipscanError(f"{what} is {array.dtype} {array.dims}: it numbers the parts of the network by epoch")
        return array
    values = checked_dates(array, what)
    if name == "time":
        steps = np.diff(values).astype(np.int64)
        if not (steps > 0).all():
            problem = "duplicate values" if (steps == 0).any() else "values out of order"
            raise SlipscanError(f"{what} has {problem}: it must be strictly ascending (xarray's sortby and groupby)")
        check_epochs(values, what)
        array = array.drop_vars("time")
        return array.copy(data=values).assign_coords(time=values)["time"].assign_attrs(array.attrs)
    return array.copy(data=values)


def _on_grid(dataset: xr.Dataset, crs: CRS, where: str) -> xr.Dataset:
    """X ascending, y descending, both regular; the CRS as spatial_ref."""
    for axis, ascending in (("x", True), ("y", False)):
        values = in_degrees(regular(dataset[axis], where), crs) if axis == "x" else regular(dataset[axis], where)
        dataset = dataset.assign_coords({axis: (axis, values, dataset[axis].attrs)})
        if (values[0] < values[-1]) != ascending:
            dataset = dataset.isel({axis: slice(None, None, -1)})
    grid = Grid(dataset["x"].values, dataset["y"].values, crs)
    check_place(grid, {axis: dataset[axis].attrs.get("units") for axis in ("x", "y")}, where)
    return write_grid(dataset, grid)
