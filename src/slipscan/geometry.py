"""Grids, projections and the line of sight.

The line of sight is a unit vector from the ground to the satellite, (east, north, up): a displacement
(E, N, U) is seen as d = e E + n N + u U, positive toward the satellite.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from slipscan.errors import SlipscanError
from slipscan.gridmapping import crs_of

Array = NDArray[np.floating]

LOS_UP_RANGE = (0.5, 0.95)
"""Cosine of Sentinel-1's incidence angles (29-46 degrees) with a wide margin."""
IRREGULAR = 0.01
"""Share by which the steps of an axis may differ."""


@dataclass(frozen=True)
class Grid:
    """A regular grid of cell centres.

    Attributes
    ----------
    x, y
        cell centres, x ascending, y descending; metres (projected) or degrees (geographic)
    crs
        the coordinate reference system
    """

    x: Array
    y: Array
    crs: CRS

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, columns."""
        return len(self.y), len(self.x)

    @property
    def spacing(self) -> tuple[float, float]:
        """Cell size (dx, dy), both positive."""
        dx = abs(float(self.x[1] - self.x[0])) if len(self.x) > 1 else 1.0
        dy = abs(float(self.y[0] - self.y[1])) if len(self.y) > 1 else 1.0
        return dx, dy

    @property
    def transform(self) -> tuple[float, float, float, float, float, float]:
        """Affine coefficients (a, b, c, d, e, f) of the upper-left corner, as rasterio takes them."""
        dx, dy = self.spacing
        return dx, 0.0, float(self.x[0]) - dx / 2, 0.0, -dy, float(self.y[0]) + dy / 2

    def lonlat(self) -> tuple[Array, Array]:
        """Longitude and latitude of every cell centre, each (y, x), degrees."""
        xx, yy = np.meshgrid(self.x, self.y)
        return to_lonlat(xx, yy, self.crs)


def in_degrees(x: Array, crs: CRS) -> Array:
    """Bring an axis of longitudes from 180 to 360 to -180 to 180; any other is left as it is."""
    return x - 360 if crs.is_geographic and x.min() >= 180 else x


def utm_crs(lon: float, lat: float) -> CRS:
    """The UTM zone (WGS 84) of a point, by the plain 6-degree rule."""
    zone = math.floor((lon + 180) / 6) % 60 + 1
    return CRS.from_epsg((32600 if lat >= 0 else 32700) + zone)


def to_lonlat(x: Array, y: Array, crs: CRS) -> tuple[Array, Array]:
    """Transform projected coordinates to longitude and latitude (degrees)."""
    lon, lat = Transformer.from_crs(crs, 4326, always_xy=True).transform(x, y)
    return np.asarray(lon), np.asarray(lat)


def from_lonlat(lon: Array, lat: Array, crs: CRS) -> tuple[Array, Array]:
    """Transform longitude and latitude (degrees) to projected coordinates."""
    x, y = Transformer.from_crs(4326, crs, always_xy=True).transform(lon, lat)
    return np.asarray(x), np.asarray(y)


def metric_grid(lon: Array, lat: Array, pixel_m: float) -> Grid:
    """The UTM grid that covers a set of points (say a polygon's vertices).

    Cell edges lie on multiples of `pixel_m`, so that the tracks of a region share one lattice.
    """
    lon, lat = np.asarray(lon, float), np.asarray(lat, float)
    crs = utm_crs(float((lon.min() + lon.max()) / 2), float((lat.min() + lat.max()) / 2))
    x, y = from_lonlat(lon, lat, crs)
    left, right = math.floor(x.min() / pixel_m), math.ceil(x.max() / pixel_m)
    bottom, top = math.floor(y.min() / pixel_m), math.ceil(y.max() / pixel_m)
    return Grid(
        x=(np.arange(left, right) + 0.5) * pixel_m,
        y=(np.arange(top - 1, bottom - 1, -1) + 0.5) * pixel_m,
        crs=crs,
    )


def los_from_incidence_heading(incidence_deg: Array, heading_deg: Array) -> tuple[Array, Array, Array]:
    """Unit vector ground to satellite of a right-looking radar.

    Parameters
    ----------
    incidence_deg
        incidence angle from the vertical, degrees
    heading_deg
        flight direction clockwise from north, degrees (about -13 ascending, -167 descending)

    Returns
    -------
    east, north, up
        each of the inputs' shape; east < 0 ascending, > 0 descending
    """
    incidence, heading = np.deg2rad(incidence_deg), np.deg2rad(heading_deg)
    # The radar looks to the right of the heading; ground to satellite points to the left of it.
    return -np.sin(incidence) * np.cos(heading), np.sin(incidence) * np.sin(heading), np.cos(incidence)


def los_from_hyp3(lv_theta: Array, lv_phi: Array) -> tuple[Array, Array, Array]:
    """Unit vector ground to satellite from HyP3's look vector angles.

    lv_theta: elevation above the horizontal, rad; lv_phi: counter-clockwise from east, rad (HyP3
    documentation, GAMMA's look_vector).
    """
    return (
        np.cos(lv_theta) * np.cos(lv_phi),
        np.cos(lv_theta) * np.sin(lv_phi),
        np.sin(lv_theta),
    )


def check_los(east: Array, north: Array, up: Array, orbit_direction: str | None, where: str) -> None:
    """Refuse a line of sight that no right-looking Sentinel-1 has; without an orbit direction its side is not checked.

    Raises
    ------
    SlipscanError
        not a unit vector, up outside 0.5-0.95, or east of the wrong sign for the orbit direction: the
        convention of the region's entry is wrong
    """
    valid = np.isfinite(east) & np.isfinite(north) & np.isfinite(up)
    if not valid.any():
        raise SlipscanError(f"the line of sight in {where} has no valid pixel")
    e, n, u = (float(np.median(component[valid])) for component in (east, north, up))
    if abs(e * e + n * n + u * u - 1) > 0.02:
        raise SlipscanError(f"the line of sight in {where} is no unit vector ({e:.3f}, {n:.3f}, {u:.3f})")
    if not LOS_UP_RANGE[0] < u < LOS_UP_RANGE[1]:
        raise SlipscanError(f"the line of sight in {where} has up = {u:.3f}, outside {LOS_UP_RANGE}: wrong convention?")
    if orbit_direction in ("ascending", "descending") and (e < 0) != (orbit_direction == "ascending"):
        raise SlipscanError(
            f"the line of sight in {where} has east = {e:.3f}, impossible for a right-looking {orbit_direction}"
            " pass: wrong convention or orbit direction?"
        )


def write_grid(dataset: xr.Dataset, grid: Grid) -> xr.Dataset:
    """Set the x, y and spatial_ref coordinates of a dataset (CF grid mapping, read by rioxarray and GDAL)."""
    attrs = dict(grid.crs.to_cf())
    attrs["spatial_ref"] = attrs["crs_wkt"]
    a, b, c, d, e, f = grid.transform
    attrs["GeoTransform"] = f"{c!r} {a!r} {b!r} {f!r} {d!r} {e!r}"
    units = {"units": "degrees"} if grid.crs.is_geographic else {"units": "m"}
    names = (
        ("longitude", "latitude") if grid.crs.is_geographic else ("projection_x_coordinate", "projection_y_coordinate")
    )
    out = dataset.assign_coords(x=np.asarray(grid.x, float), y=np.asarray(grid.y, float), spatial_ref=0)
    out["x"].attrs = {"standard_name": names[0], **units}
    out["y"].attrs = {"standard_name": names[1], **units}
    out["spatial_ref"].attrs = attrs
    return out


def read_grid(dataset: xr.Dataset, where: str = "") -> Grid:
    """The grid of a dataset.

    Raises
    ------
    SlipscanError
        x, y or the CRS is missing or cannot be read; an axis is not regular
    """
    for axis in ("x", "y"):
        if axis not in dataset.coords:
            at = f" in {where}" if where else ""
            raise SlipscanError(f"the coordinate '{axis}'{at} is missing: cell centres in the CRS's units")
    return Grid(regular(dataset["x"], where), regular(dataset["y"], where), crs_of(dataset, where))


def regular(axis: xr.DataArray, where: str = "") -> Array:
    """Cell centres of a regular axis.

    Steps may differ by 1 %, or by what float32 rounds; then the centres are put at equal distances.

    Raises
    ------
    SlipscanError
        no numbers, fewer than two, duplicates, steps that differ
    """
    what = f"the coordinate '{axis.name}'" + (f" in {where}" if where else "")
    values = axis.values
    if values.dtype.kind not in "fiu" or values.ndim != 1 or not np.isfinite(values).all():
        raise SlipscanError(f"{what} is no axis of finite numbers: give the cell centres in the CRS's units")
    if values.size < 2:
        raise SlipscanError(f"{what} has {values.size} value: a grid needs two rows and two columns or more")
    values = values.astype(np.float64)
    steps = np.diff(values)
    mean = (values[-1] - values[0]) / (values.size - 1)
    off = np.abs(steps - np.median(steps))
    allowed = max(IRREGULAR * abs(float(np.median(steps))), 2 * float(np.spacing(np.float32(np.abs(values).max()))))
    if off.max() > allowed or not (np.sign(steps) == np.sign(mean)).all() or mean == 0:
        worst = int(np.argmax(off))
        raise SlipscanError(
            f"{what} is not regular: from {values[worst]:.10g} to {values[worst + 1]:.10g} it goes by"
            f" {steps[worst]:.6g}, elsewhere by {np.median(steps):.6g}: put the data on a regular grid (a row or column"
            " that is missing is filled with NaN)"
        )
    if off.max() > 1e-6 * abs(mean):
        return np.linspace(values[0], values[-1], values.size)
    return values
