"""The CRS of a dataset, as CF, rioxarray, GDAL and plain attributes write it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import xarray as xr
from pyproj import CRS
from pyproj.exceptions import CRSError

from slipscan.errors import SlipscanError

NAMES = ("spatial_ref", "crs")
"""How a grid mapping is called where no variable names it."""
KEYS = (
    "crs_wkt", "spatial_ref", "wkt", "epsg", "EPSG", "epsg_code", "proj4", "proj4text", "proj4_params", "proj4_string",
    "proj_string", "crs",
)  # fmt: skip
"""Attributes that hold a CRS as text or code, the surest first."""
MERIDIANS = {
    "longitude_of_central_meridian",
    "longitude_of_projection_origin",
    "straight_vertical_longitude_from_pole",
    "grid_north_pole_longitude",
}
REMEDY = "give an EPSG code or WKT (rioxarray's write_crs does)"


def crs_of(dataset: xr.Dataset, where: str = "") -> CRS:
    """The horizontal CRS of a dataset.

    Of the grid mapping that the variables name (in attributes or encoding), else of one that is called or looks like
    one, else of the dataset's attributes.

    Parameters
    ----------
    dataset
        the grid mapping is a coordinate or a data variable: crs_wkt, spatial_ref, an EPSG code, a PROJ string or CF
        parameters alone
    where
        the file's path, for the sentence

    Raises
    ------
    SlipscanError
        none, one that cannot be read, one without map coordinates (geocentric, vertical)
    """
    at = f" in {where}" if where else ""
    name = mapping_name(dataset)
    attrs: Mapping[Any, Any] = dataset[name].attrs if name is not None else {}
    held = {"value": dataset[name].values.item()} if name is not None and dataset[name].dtype.kind in "OSU" else {}
    for source in (attrs, held, dataset.attrs):
        for key in (*KEYS, "value"):
            if source.get(key) not in (None, ""):
                return _horizontal(_parsed(source[key], key, at), at)
    if "grid_mapping_name" in attrs:
        if attrs["grid_mapping_name"] != "latitude_longitude" and not MERIDIANS & set(attrs):
            # What is left out counts as 0, which would be a place off Africa.
            raise SlipscanError(f"the CF parameters of grid mapping '{name}'{at} lack a central meridian: {REMEDY}")
        try:
            return _horizontal(CRS.from_cf(dict(attrs)), at)
        except (CRSError, KeyError, TypeError, ValueError) as error:
            raise SlipscanError(f"the CF parameters of grid mapping '{name}'{at} make no CRS: {REMEDY}") from error
    raise SlipscanError(f"there is no CRS{at}: add a spatial_ref coordinate with crs_wkt (rioxarray's write_crs does)")


def mapping_name(dataset: xr.Dataset) -> str | None:
    """The name of the variable that holds the CRS, or None."""
    for variable in dataset.data_vars.values():
        text = variable.attrs.get("grid_mapping") or variable.encoding.get("grid_mapping") or ""
        # 'crs', or in CF's long form 'crs: x y'
        for word in str(text).replace(":", " ").split():
            if word in dataset.variables and dataset[word].ndim == 0:
                return word
    named = [name for name in NAMES if name in dataset.variables and dataset[name].ndim == 0]
    marks = {"grid_mapping_name", "crs_wkt", "spatial_ref"}
    return next(iter([*named, *(str(name) for name, v in dataset.variables.items() if marks & set(v.attrs))]), None)


def _parsed(value: Any, key: str, at: str) -> CRS:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value).strip()
    code = text.removesuffix(".0")
    try:
        with warnings.catch_warnings():
            # '+init=' and what a PROJ string loses: the CRS is read all the same.
            warnings.simplefilter("ignore")
            return CRS.from_user_input(int(code) if code.isdigit() else text)
    except CRSError as error:
        raise SlipscanError(f"the CRS{at} cannot be read ({text[:60]!r} in '{key}'): {REMEDY}") from error


def _horizontal(crs: CRS, at: str) -> CRS:
    crs = crs.sub_crs_list[0] if crs.is_compound else crs
    if not (crs.is_geographic or crs.is_projected):
        raise SlipscanError(
            f"the CRS{at} is a {crs.type_name} ({crs.name}), which has no map coordinates: reproject the data to UTM"
        )
    return crs
