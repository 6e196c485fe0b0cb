"""Ready series of MintPy, LiCSBAS and FLATSIM as these tools write them, of the scene in insar_scene."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray as xr
from affine import Affine

import insar_scene as scenes
from job_builders import job_of
from slipscan.archive.local.archive import Local
from slipscan.errors import SlipscanError
from slipscan.regions import Region
from slipscan.settings import ArchiveSettings

AS_OF = "2026-01-01"
DAYS = [date.replace("-", "") for date in scenes.DATES]
LON, LAT = scenes.lonlat()
TRUTH = scenes.truth(LON, LAT)


def archive(directory: Path, region: Region, as_of: str = AS_OF) -> xr.Dataset:
    """Search, fetch and read, as the stage does."""
    job = job_of(region, ArchiveSettings(data_root=str(directory)), directory)
    table = Local().search(job, as_of)
    assert all(file.is_file() for file in Local().files(table, job))
    return Local().read(table, job, np.zeros)[0]


def refused(directory: Path, region: Region, match: str) -> None:
    with pytest.raises(SlipscanError, match=match) as raised:
        archive(directory, region)
    assert "\n" not in str(raised.value)


def check_truth(dataset: xr.Dataset, tolerance: float = 1e-8) -> None:
    """The scene's displacement where the dataset's own coordinates say it is: half a pixel off is 0.4 mm and more."""
    lon, lat = np.meshgrid(dataset["x"], dataset["y"])
    expected = scenes.truth(lon, lat)[: dataset.sizes["time"]]
    np.testing.assert_allclose(dataset["displacement"].values, expected, atol=tolerance)
    shifted = scenes.truth(lon + scenes.STEP / 2, lat)[-1]
    assert np.abs(shifted - expected[-1]).max() > 4e-4
    assert str(dataset["reference_time"].values)[:10] == scenes.DATES[0]


def check_los(dataset: xr.Dataset) -> None:
    for name, expected in zip(("los_east", "los_north", "los_up"), scenes.los(), strict=True):
        np.testing.assert_allclose(dataset[name].values, expected.mean(), atol=1e-6)


GEOGRAPHIC = {
    "X_FIRST": str(scenes.WEST),
    "Y_FIRST": str(scenes.NORTH),
    "X_STEP": str(scenes.STEP),
    "Y_STEP": str(-scenes.STEP),
    "X_UNIT": "degrees",
    "Y_UNIT": "degrees",
    "WIDTH": str(scenes.COLUMNS),
    "LENGTH": str(scenes.ROWS),
}


def write_mintpy(
    directory: Path, name: str = "timeseries.h5", values: np.ndarray = TRUTH, beside: bool = True, **changes: Any
) -> Path:
    """A series as MintPy writes it; a change to None drops an attribute."""
    directory.mkdir(parents=True, exist_ok=True)
    attributes = {**GEOGRAPHIC, "FILE_TYPE": "timeseries", "UNIT": "m", "REF_DATE": DAYS[0], **changes}
    attributes = {key: value for key, value in attributes.items() if value is not None}
    with h5py.File(directory / name, "w") as file:
        file["timeseries"] = values.astype(np.float32)
        file["date"] = np.array(DAYS, "S8")
        file.attrs.update(attributes)
    if beside:
        # Ascending: the radar looks to the right of its heading, the vector to the satellite points to the left.
        azimuth = 90 - scenes.HEADING
        layers = {"incidenceAngle": scenes.INCIDENCE, "azimuthAngle": azimuth, "height": scenes.height()}
        with h5py.File(directory / "geometryGeo.h5", "w") as file:
            file.attrs.update(attributes)
            for key, layer in layers.items():
                file[key] = np.broadcast_to(np.float32(layer), LON.shape)
    return directory / name


def write_layer(path: Path, dataset: str, values: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        file[dataset] = values
        file.attrs.update(GEOGRAPHIC)


def write_licsbas(directory: Path, name: str = "cum.h5", with_los: bool = True, **changes: Any) -> Path:
    """A series as LiCSBAS writes it: mm, corner_lat and corner_lon the centre of the first pixel."""
    directory.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {
        "imdates": np.array([int(day) for day in DAYS], np.int32),
        "corner_lat": scenes.NORTH - scenes.STEP / 2,
        "corner_lon": scenes.WEST + scenes.STEP / 2,
        "post_lat": -scenes.STEP,
        "post_lon": scenes.STEP,
        "refarea": "2:3/4:5",
    }
    if with_los:
        content |= {f"{letter}.geo": part for letter, part in zip("ENU", scenes.los(), strict=True)}
        content["hgt"] = scenes.height()
    content |= changes
    with h5py.File(directory / name, "w") as file:
        for key, value in content.items():
            if value is not None:
                file[key] = value
        file.create_dataset("cum", data=(TRUTH * 1000).astype(np.float32), chunks=(3, 10, 20), compression="gzip")
    return directory / name


def write_cube(path: Path, layers: np.ndarray, names: list[str] | None, nodata: float | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    transform = Affine(scenes.STEP, 0, scenes.WEST, 0, -scenes.STEP, scenes.NORTH)
    count, rows, columns = layers.shape
    with rasterio.open(path, "w", "GTiff", columns, rows, count, "EPSG:4326", transform, "float32", nodata) as file:
        file.write(layers.astype(np.float32))
        for band, name in enumerate(names or [], 1):
            file.set_band_description(band, name)


def write_flatsim(directory: Path, los: str = "CosNEU", sign: float = 1.0, named: bool = True) -> None:
    """The scene as the cube DTs: rad, positive away, counted from the origin of a linear fit through each pixel."""
    phase = -4 * np.pi / scenes.WAVELENGTH * TRUTH
    years = (pd.to_datetime(list(scenes.DATES)) - pd.Timestamp(scenes.DATES[0])).days.to_numpy() / 365.25
    origin = np.polyfit(years, phase.reshape(len(DAYS), -1), 1)[1].reshape(LON.shape)
    cube = phase - origin
    cube[:, 20, 30] = 0
    names = list(scenes.DATES) if named else None
    write_cube(directory / "TS" / "CNES_DTs_geo_8rlks.tiff", cube, names)
    east, north, up = scenes.los()
    vector = [north, east, up] if los == "CosNEU" else [-east, -north, -up]
    write_cube(directory / "AUX" / f"CNES_{los}_geo_8rlks.tiff", sign * np.array(vector), None, nodata=0)
