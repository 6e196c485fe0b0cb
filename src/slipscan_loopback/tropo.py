"""OPERA_L4_TROPO-ZENITH files of a true scene's delay, and their granules.

Layout, names and attributes are those of the code that makes the real ones (opera-adt/opera_tropo: pack_product.py,
product_info.py): hydrostatic and wet zenith delay (m, one way) on (time, height, latitude, longitude), latitude from
north to south, every six hours. A real file is global, with 145 heights up to 81 km, and of about 2 GB; these hold a
window around the scene and few heights.
"""

from __future__ import annotations

import datetime
import hashlib
import math
from pathlib import Path

import numpy as np

from slipscan.atomic import written_beside
from slipscan.geometry import Array
from slipscan.outputs import OWN
from slipscan_loopback.licsar import SCALE_HEIGHT_M, ZENITH_DELAY_M
from slipscan_loopback.scene import TrueScene
from slipscan_loopback.umm import DataFile, Granule

SHORT_NAME = "OPERA_L4_TROPO-ZENITH_V1"
STEP = 0.07
"""Degrees."""
HEIGHTS = (-500.0, 0.0, 500.0, 1000.0, 1500.0, 2000.0, 5000.0, 9000.0, 20000.0)
MARGIN_DEG = 0.1
WET_SHARE = 0.1
DRIFT_M_PER_H = 0.003
"""The delay changes with time, by this in the east of the scene, up and down from one date to the next: a file taken
without the other one is wrong by centimetres."""
WORLD = ((-180.0, -90.0), (180.0, -90.0), (180.0, 90.0), (-180.0, 90.0), (-180.0, -90.0))


def model_times(scene: TrueScene, date: datetime.date) -> tuple[datetime.datetime, datetime.datetime]:
    """The times of the files before and after a date's acquisition."""
    time = scene.time(date)
    before = time.replace(hour=time.hour // 6 * 6, minute=0, second=0, microsecond=0)
    return before, before + datetime.timedelta(hours=6)


def file_name(time: datetime.datetime, produced: datetime.datetime | None = None, version: str = "1.0") -> str:
    """The product's file name: model time, time of production."""
    produced = produced or time + datetime.timedelta(days=3, seconds=435)
    return f"OPERA_L4_TROPO-ZENITH_{time:%Y%m%dT%H%M%S}Z_{produced:%Y%m%dT%H%M%S}Z_HRES_v{version}.nc"


def zenith_delay(scene: TrueScene, lon: Array, lat: Array, height: Array, hours: float, date: datetime.date) -> Array:
    """Zenith delay (m) so many hours after a date's acquisition: the scene's own, of dry air, and a drift with time."""
    dry = ZENITH_DELAY_M * np.exp(-np.asarray(height) / SCALE_HEIGHT_M)
    own = -scene.delay(lon, lat, date, height) * scene.los(lon, lat, height)[2]
    west, _, east, _ = scene.extent
    drift = DRIFT_M_PER_H * (-1) ** scene.dates.index(date)
    return np.asarray(dry + own + drift * hours * (lon - west) / (east - west))


def write(
    path: Path, scene: TrueScene, date: datetime.date, time: datetime.datetime, step_degrees: float = STEP
) -> None:
    """Write the file of a model time for the acquisition of a date."""
    import netCDF4

    west, south, east, north = scene.extent
    margin = MARGIN_DEG + 2 * step_degrees
    longitude, latitude = (
        np.arange(math.floor((low - margin) / step_degrees), math.ceil((high + margin) / step_degrees) + 1)
        * step_degrees
        for low, high in ((west, east), (south, north))
    )
    axes = {"height": np.array(HEIGHTS, "f4"), "latitude": latitude[::-1], "longitude": longitude}
    height, lat, lon = np.meshgrid(*axes.values(), indexing="ij")
    total = zenith_delay(scene, lon, lat, height, (time - scene.time(date)).total_seconds() / 3600, date)
    with written_beside(path, OWN) as beside, netCDF4.Dataset(beside, "w", format="NETCDF4") as file:
        file.setncatts(
            {
                "Conventions": "CF-1.8",
                "title": "OPERA_L4_TROPO-ZENITH",
                "institution": "slipscan loopback archive (synthetic)",
                "reference_time": f"{time:%Y-%m-%d %H:%M:%S}",
            }
        )
        file.createDimension("time", 1)
        clock = file.createVariable("time", "i8", ("time",))
        clock.setncatts({"units": "hours since 1900-01-01", "calendar": "gregorian", "standard_name": "time"})
        clock[:] = (time - datetime.datetime(1900, 1, 1, tzinfo=datetime.UTC)) // datetime.timedelta(hours=1)
        for (name, values), units in zip(axes.items(), ("meters", "degrees_north", "degrees_east"), strict=True):
            file.createDimension(name, len(values))
            axis = file.createVariable(name, values.dtype, (name,))
            axis.setncatts({"units": units, "standard_name": name})
            axis[:] = values
        file.createVariable("spatial_ref", "i8").setncatts({"grid_mapping_name": "latitude_longitude"})
        for name, share in (("wet_delay", WET_SHARE), ("hydrostatic_delay", 1 - WET_SHARE)):
            layer = file.createVariable(name, "f4", ("time", *axes), zlib=True, fill_value=np.float32(np.nan))
            layer.setncatts({"units": "meters", "grid_mapping": "spatial_ref", "standard_name": name})
            layer[0] = share * total


def granule(time: datetime.datetime, file: DataFile, version: str = "1.0") -> Granule:
    """Describe a file for the catalogue: the whole globe, the six hours from its model time."""
    name = file.name.removesuffix(".nc")
    return Granule(
        name,
        SHORT_NAME,
        time,
        time + datetime.timedelta(hours=6),
        WORLD,
        {"PRODUCT_TYPE": "TROPO-ZENITH", "PRODUCT_VERSION": version},
        files=(file, DataFile(f"{name}.png", 1000, hashlib.md5(name.encode()).hexdigest())),
    )


def publish(scene: TrueScene, directory: Path, step_degrees: float = STEP) -> tuple[list[Granule], dict[str, Path]]:
    """Write the two files around the acquisition of every date, and describe them.

    Returns
    -------
    granules, and path of every file by name (as `cmr.register` takes them)
    """
    granules, files = [], {}
    for date in scene.dates:
        for time in model_times(scene, date):
            path = directory / file_name(time)
            write(path, scene, date, time, step_degrees)
            files[path.name] = path
            granules.append(granule(time, DataFile.of(path)))
    return granules, files
