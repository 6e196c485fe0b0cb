"""A stack as one NetCDF-4 file that follows CF-1.11."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from slipscan.export.blocks import BLOCK, delivered

EPOCH = "seconds since 2014-01-01"


def write(dataset: xr.Dataset, variable: str, out: Path) -> None:
    """Write a file that xarray and GDAL read: metres, positive toward the satellite, NaN = no data; block by block."""
    cells = {"y": BLOCK, "x": BLOCK}
    lazy = dataset.chunk({dim: size for dim, size in cells.items() if dim in dataset.dims})
    encoding: dict[str, dict[str, object]] = {}
    for name, array in lazy.variables.items():
        array.encoding = {}
        if np.issubdtype(array.dtype, np.datetime64):
            encoding[str(name)] = {"units": EPOCH, "dtype": "int64", "calendar": "proleptic_gregorian"}
        elif array.ndim >= 2 and name in lazy.data_vars:
            chunks = tuple(
                min({"time": 16, **cells}.get(str(d), s), s) for d, s in zip(array.dims, array.shape, strict=True)
            )
            encoding[str(name)] = {"zlib": True, "complevel": 1, "shuffle": True, "chunksizes": chunks}
            encoding[str(name)]["_FillValue"] = np.float32(np.nan) if array.dtype == np.float32 else None
        elif name in ("x", "y"):
            encoding[str(name)] = {"_FillValue": None}
    for axis in ("x", "y", "time"):
        lazy[axis].attrs["axis"] = axis.upper()[0]
    lazy["time"].attrs |= {"standard_name": "time", "long_name": "time of the acquisition (UTC)"}
    lazy.attrs["Conventions"] = "CF-1.11"
    if names := delivered(dataset, "displacement"):
        lazy.attrs["corrections_as_delivered"] = " ".join(names)
    else:
        lazy.attrs.pop("corrections_as_delivered", None)
    lazy.to_netcdf(out, engine="netcdf4", format="NETCDF4", encoding=encoding)
