"""The scene of the loopback HyP3 and LiCSAR, and its rasters read by rasterio and pyproj alone."""

from pathlib import Path

import numpy as np
import rasterio
from pyproj import Transformer

from slipscan_loopback.scene import TrueScene, acquisitions

DATES = acquisitions(count=5, days=24)
SCENE = TrueScene(dates=DATES, delay_m=0.02, island=True)
WAVELENGTH = 0.05546576


def read(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, rasterio.DatasetReader]:
    """Values, longitude and latitude of cell centres, and the header, by rasterio and pyproj alone."""
    with rasterio.open(path) as file:
        values = file.read(1)
        left, top, (dx, dy) = file.bounds.left, file.bounds.top, file.res
        x, y = np.meshgrid(left + (np.arange(file.width) + 0.5) * dx, top - (np.arange(file.height) + 0.5) * dy)
        lon, lat = Transformer.from_crs(file.crs, 4326, always_xy=True).transform(x, y)
    return values, np.asarray(lon), np.asarray(lat), file


def peak(lon: np.ndarray, lat: np.ndarray) -> tuple[int, int]:
    """The cell nearest to the strongest steady motion."""
    west, south, east, north = SCENE.extent
    distance = np.hypot(lon - (west + 0.65 * (east - west)), lat - (south + 0.35 * (north - south)))
    row, column = np.unravel_index(np.argmin(distance), distance.shape)
    return int(row), int(column)
