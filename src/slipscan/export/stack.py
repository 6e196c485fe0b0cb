"""`slipscan export`: a displacement stack as MintPy, LiCSBAS, NetCDF or GeoTIFF."""

from __future__ import annotations

import importlib
import logging
from pathlib import Path
from typing import Literal, get_args

import xarray as xr

from slipscan.atomic import written_beside
from slipscan.errors import SlipscanError
from slipscan.isolated import call_isolated
from slipscan.outputs import NEW, check_outputs
from slipscan.products import PRODUCTS, variable_table
from slipscan.stack import open_denoised, open_stack, with_denoised
from slipscan.store import open_dataset

log = logging.getLogger(__name__)

Kind = Literal["mintpy", "licsbas", "netcdf", "geotiff"]
VARIABLES = ("displacement", "denoised", "transient")
STD = {"displacement": "inversion_std", "denoised": "denoised_std"}
"""The standard deviation that goes along with a variable."""


def export(
    stack_path: Path,
    kind: str,
    out: Path,
    variable: str = "displacement",
    denoised: Path | None = None,
    *,
    isolated: bool = False,
) -> None:
    """Write a stack in another tool's format, whole or not at all.

    Parameters
    ----------
    stack_path
        Zarr store or NetCDF file of product 'stack'
    kind
        'mintpy': directory of timeseries.h5, geometryGeo.h5, temporalCoherence.h5; 'licsbas': directory of cum.h5,
        info/, results/ on longitude and latitude; 'netcdf': one file, CF-1.11; 'geotiff': directory of GeoTIFFs
    out
        what is written; must not exist
    variable
        'displacement' of the stack; 'denoised' or 'transient' of the denoised product beside it
    denoised
        Zarr store of the denoise stage, for the latter two
    isolated
        write in a process of its own, which HDF5 may crash on a full disk

    Raises
    ------
    SlipscanError
        an unknown kind or variable, a stack that lacks it, an `out` that exists, a stack that breaks its contract,
        no space left
    """
    if kind not in get_args(Kind):
        raise SlipscanError(f"there is no export {kind!r}: choose one of {', '.join(get_args(Kind))}")
    check_outputs([(out, NEW)], [stack_path, *([denoised] if denoised else [])])
    dataset = opened(Path(stack_path), variable, denoised)
    with written_beside(out, NEW, dataset.nbytes) as beside:
        if isolated:
            call_isolated(_write, Path(stack_path), kind, beside, variable, denoised)
        else:
            _write(Path(stack_path), kind, beside, variable, denoised)
    log.info("%s of %s written to %s (%s)", variable, stack_path, out, kind)


def _write(stack_path: Path, kind: str, beside: Path, variable: str, denoised: Path | None) -> None:
    """Write with the module of the format; each brings its own library."""
    module = importlib.import_module(f"slipscan.export.{kind}")
    module.write(opened(stack_path, variable, denoised), variable, beside)


def opened(path: Path, variable: str, denoised: Path | None = None) -> xr.Dataset:
    """Open a stack lazily with `variable`, its standard deviation and what has no time; raises SlipscanError."""
    if variable not in VARIABLES:
        raise SlipscanError(f"there is no variable {variable!r} to export: choose one of {', '.join(VARIABLES)}")
    with open_dataset(path) as held:
        product = str(held.attrs.get("product", "stack"))
    if product not in PRODUCTS or "displacement" not in variable_table(product):
        raise SlipscanError(f"{path} is no displacement stack but product '{product}': give the stack")
    dataset = open_stack(path, in_memory=False, metric=False)
    if variable != "displacement":
        if denoised is None:
            raise SlipscanError(f"'{variable}' stands in the denoised product: give it with --denoised")
        dataset = with_denoised(dataset, open_denoised(denoised, dataset))
    keep = {variable, STD.get(variable, "")}
    # Nor do the candidates of the events, which have an axis of their own.
    out = [
        name for name, v in dataset.data_vars.items()
        if name not in keep and ("time" in v.dims or "candidate" in v.dims)
    ]  # fmt: skip
    return dataset.drop_vars(out)
