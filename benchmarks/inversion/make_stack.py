"""Write a synthetic stack of interferograms as slipscan, MintPy, dolphin and insar-rs each read it.

    python benchmarks/inversion/make_stack.py DIR [--variant full] [--pixels 512] [--seed 5]

DIR then holds slipscan.zarr (product 'interferograms' on the target grid), mintpy/inputs/ifgramStack.h5 and
geometryGeo.h5, dolphin/*.unw.tif and *.cor.tif, insar_rs/phase.npy and pairs.json, truth.npy (time, y, x; m) and
stack.json. Runs in slipscan's environment; no peer is needed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import h5py
import numpy as np
import rasterio
import scene
import xarray as xr
from affine import Affine
from numpy.typing import NDArray

from slipscan.geometry import Grid, los_from_incidence_heading, metric_grid, to_lonlat, write_grid
from slipscan.store import write_zarr
from slipscan.vocabulary import annotate

PIXEL_M = 200.0
WEST_SOUTH = (32.0, 40.2)
"""Degrees; far enough from the edges of UTM zone 36 for 1,024 pixels."""
TIFF = {"driver": "GTiff", "tiled": True, "blockxsize": 128, "blockysize": 128, "compress": "lzw", "bigtiff": "yes"}
"""As dolphin writes (dolphin.io.DEFAULT_TIFF_OPTIONS)."""


def main() -> None:
    """Write the stack that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--variant", choices=list(scene.VARIANTS), default="full")
    parser.add_argument("--pixels", type=int, default=512)
    parser.add_argument("--seed", type=int, default=5)
    make(**vars(parser.parse_args()))


def make(directory: Path, variant: str, pixels: int, seed: int) -> None:
    """Write all files of one variant below a directory."""
    directory.mkdir(parents=True, exist_ok=True)
    series = scene.truth(pixels, seed)
    phase = np.empty((len(scene.pairs()), pixels, pixels), np.float32)
    coherence = np.empty_like(phase)
    for number, made in enumerate(scene.interferograms(series, variant, seed)):
        phase[number], coherence[number] = made.phase, made.coherence
    grid = square(pixels)
    np.save(directory / "truth.npy", series)
    write_slipscan(directory / "slipscan.zarr", grid, phase, coherence)
    write_mintpy(directory / "mintpy" / "inputs", grid, phase, coherence)
    write_dolphin(directory / "dolphin", grid, phase, coherence)
    write_insar_rs(directory / "insar_rs", phase)
    about = {
        "variant": variant,
        "pixels": pixels,
        "seed": seed,
        "pairs": len(phase),
        "epochs": scene.EPOCHS,
        "wavelength_m": scene.WAVELENGTH_M,
        "reference": scene.reference_pixel(pixels),
        "missing_share": float(np.isnan(phase).mean()),
        "distinct_sets": distinct_sets(np.isfinite(phase)),
    }
    (directory / "stack.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(about))


def square(pixels: int) -> Grid:
    """Return a UTM grid of `pixels` x `pixels` cells on slipscan's lattice."""
    grid = metric_grid(*(np.array([at]) for at in WEST_SOUTH), PIXEL_M)
    steps = PIXEL_M * np.arange(pixels)
    return Grid(grid.x[0] + steps, grid.y[0] + steps[::-1], grid.crs)


def distinct_sets(valid: NDArray[np.bool_]) -> int:
    """Count the different sets of valid interferograms, of (pair, y, x)."""
    packed = np.packbits(valid.reshape(len(valid), -1), axis=0).T
    return len(np.unique(np.ascontiguousarray(packed).view(f"V{packed.shape[1]}")))


def write_slipscan(path: Path, grid: Grid, phase: NDArray[np.float32], coherence: NDArray[np.float32]) -> None:
    """Write product 'interferograms': metres toward the satellite."""
    days = scene.dates().astype("datetime64[ns]")
    first, last = np.array(scene.pairs()).T
    row, column = scene.reference_pixel(len(grid.y))
    lon, lat = to_lonlat(grid.x[column], grid.y[row], grid.crs)
    east, north, up = los_from_incidence_heading(np.array(38.0), np.array(-12.0))
    flat = {"los_east": east, "los_north": north, "los_up": up, "height": 900.0}
    dataset = xr.Dataset(
        {
            "interferogram": (("pair", "y", "x"), phase * np.float32(-scene.WAVELENGTH_M / (4 * np.pi))),
            "coherence": (("pair", "y", "x"), coherence),
            **{name: (("y", "x"), np.full(grid.shape, value, np.float32)) for name, value in flat.items()},
        },
        coords={"reference_date": ("pair", days[first]), "secondary_date": ("pair", days[last])},
        attrs={
            "region": "BENCH",
            "track": "087A",
            "orbit_direction": "ascending",
            "radar_wavelength_m": scene.WAVELENGTH_M,
            "reference_lon": float(lon),
            "reference_lat": float(lat),
        },
    )
    write_zarr(annotate(write_grid(dataset, grid), "interferograms"), path)


def write_mintpy(inputs: Path, grid: Grid, phase: NDArray[np.float32], coherence: NDArray[np.float32]) -> None:
    """Write ifgramStack.h5 and geometryGeo.h5 as MintPy does (float32, automatic chunks, no compression)."""
    inputs.mkdir(parents=True, exist_ok=True)
    row, column = scene.reference_pixel(len(grid.y))
    attributes = {
        "PROCESSOR": "hyp3",
        "WAVELENGTH": scene.WAVELENGTH_M,
        "LENGTH": phase.shape[1],
        "WIDTH": phase.shape[2],
        "ALOOKS": 1,
        "RLOOKS": 1,
        "NCORRLOOKS": scene.LOOKS,
        "REF_Y": row,
        "REF_X": column,
        "X_FIRST": grid.x[0] - PIXEL_M / 2,
        "Y_FIRST": grid.y[0] + PIXEL_M / 2,
        "X_STEP": PIXEL_M,
        "Y_STEP": -PIXEL_M,
        "X_UNIT": "meters",
        "Y_UNIT": "meters",
        "EPSG": grid.crs.to_epsg(),
        "ORBIT_DIRECTION": "ASCENDING",
        "UNIT": "radian",
    }
    with h5py.File(inputs / "ifgramStack.h5", "w") as file:
        file.create_dataset("unwrapPhase", data=phase, chunks=True, maxshape=(None, *phase.shape[1:]))
        file.create_dataset("coherence", data=coherence, chunks=True, maxshape=(None, *phase.shape[1:]))
        file["date"] = np.array([name.split("_") for name in pair_names()], "S8")
        file["bperp"] = np.zeros(len(phase), np.float32)
        file["dropIfgram"] = np.ones(len(phase), bool)
        file.attrs.update({name: str(value) for name, value in attributes.items()} | {"FILE_TYPE": "ifgramStack"})
    with h5py.File(inputs / "geometryGeo.h5", "w") as file:
        for name, value in {"height": 900.0, "incidenceAngle": 38.0, "azimuthAngle": 102.0}.items():
            file[name] = np.full(grid.shape, value, np.float32)
        file.attrs.update({name: str(value) for name, value in attributes.items()} | {"FILE_TYPE": "geometry"})


def write_dolphin(directory: Path, grid: Grid, phase: NDArray[np.float32], coherence: NDArray[np.float32]) -> None:
    """Write one GeoTIFF of phase and one of coherence for an interferogram."""
    directory.mkdir(parents=True, exist_ok=True)
    profile = TIFF | {
        "height": len(grid.y),
        "width": len(grid.x),
        "count": 1,
        "dtype": "float32",
        "nodata": np.nan,
        "crs": grid.crs.to_wkt(),
        "transform": Affine(*grid.transform),
    }
    for suffix, layers in (("unw", phase), ("cor", coherence)):
        for name, layer in zip(pair_names(), layers, strict=True):
            with rasterio.open(directory / f"{name}.{suffix}.tif", "w", **profile) as file:
                file.write(layer, 1)


def write_insar_rs(directory: Path, phase: NDArray[np.float32]) -> None:
    """Write the array that insar-rs takes, and the network."""
    directory.mkdir(parents=True, exist_ok=True)
    np.save(directory / "phase.npy", phase)
    first, last = np.array(scene.pairs()).T.tolist()
    days = (scene.REPEAT_D * np.arange(scene.EPOCHS)).tolist()
    network = {"reference": first, "secondary": last, "days": days, "wavelength_m": scene.WAVELENGTH_M}
    (directory / "pairs.json").write_text(json.dumps(network), encoding="utf-8")


def pair_names() -> list[str]:
    """Return 'YYYYMMDD_YYYYMMDD' of every pair."""
    days = [str(day).replace("-", "") for day in scene.dates()]
    return [f"{days[i]}_{days[j]}" for i, j in scene.pairs()]


if __name__ == "__main__":
    main()
