"""Read the displacement series that each tool wrote, (time, y, x) m toward the satellite; NaN = no data."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import rasterio
from numpy.typing import NDArray

from slipscan.store import open_zarr

Series = NDArray[np.float32]


def slipscan(out: Path, epochs: int) -> Series:
    """Read slipscan's stack."""
    return np.array(open_zarr(out / "stack.zarr")["displacement"].values[:epochs])


def mintpy(out: Path, epochs: int) -> Series:
    """Read MintPy's timeseries.h5; pixels that were not inverted hold zeros there."""
    with h5py.File(out / "timeseries.h5") as file, h5py.File(out / "numInvIfgram.h5") as count:
        values = file["timeseries"][:epochs]
        values[:, count["mask"][:] == 0] = np.nan
    return np.asarray(values, np.float32)


def dolphin(out: Path, epochs: int) -> Series:
    """Read dolphin's GeoTIFFs, one for an epoch but the first; blanked pixels are NaN."""
    layers = []
    for path in sorted(out.glob("2???????_2???????.tif")):
        with rasterio.open(path) as file:
            layers.append(file.read(1))
    values = np.stack([np.zeros_like(layers[0]), *layers])
    if len(values) != epochs:
        raise ValueError(f"{out} holds {len(layers)} epochs")
    values[:, np.isnan(values).any(axis=0)] = np.nan
    return values


def insar_rs(out: Path, epochs: int) -> Series:
    """Read the array that insar-rs returned."""
    return np.array(np.load(out / "series.npy")[:epochs])


READERS = {"slipscan": slipscan, "before": slipscan, "MintPy": mintpy, "dolphin": dolphin, "insar-rs": insar_rs}
