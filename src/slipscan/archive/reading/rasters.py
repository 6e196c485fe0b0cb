"""GeoTIFFs of one track read onto their common extent."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError
from rasterio.windows import Window

from slipscan.archive.extent import Bounds, beside, projected
from slipscan.archive.names import listed
from slipscan.archive.reading.bands import only_band, opened, read_band
from slipscan.errors import SlipscanError
from slipscan.geometry import Array, Grid
from slipscan.longitudes import TURN, shifted
from slipscan.progress import progress

log = logging.getLogger(__name__)

ALIGNMENT = 0.1
"""Rasters may be off the common lattice by this share of a pixel, no more."""
SHORT = 0.95
"""A raster that covers less than this share of what most rasters of a track cover is named."""
"""So many of them."""


@dataclass(frozen=True)
class Raster:
    """The header of a north-up GeoTIFF: upper-left corner, posting, size, CRS, nodata, type and scale of band 1."""

    path: Path
    left: float
    top: float
    dx: float
    dy: float
    width: int
    height: int
    crs: CRS
    nodata: float | None
    dtype: str = "float32"
    scaled: bool = False
    units: str = ""
    count: int = 1

    @property
    def whole(self) -> bool:
        """Whether its numbers are whole ones."""
        return np.issubdtype(np.dtype(self.dtype), np.integer)

    @property
    def turn(self) -> float:
        """Columns around the Earth; infinite where x is no longitude."""
        return TURN / self.dx if self.crs.is_geographic else math.inf

    def around(self, bounds: Bounds) -> Bounds:
        """Return the box in the raster's CRS, and on its side of 180 degrees, that holds a box in degrees."""
        if self.crs.is_geographic:
            bounds = beside(bounds, self.left + self.dx * self.width / 2)
        return projected(bounds, self.crs)


def read_header(path: Path, single: bool = True) -> Raster:
    """Read the header of a GeoTIFF.

    Parameters
    ----------
    single
        whether it must have one band of numbers

    Raises
    ------
    SlipscanError
        unreadable, several bands (with `single`), no or no known CRS, not georeferenced, rotated or not north-up
    """
    with opened(path) as source:
        if single:
            only_band(source, path)
        _check_georeference(source, path)
        return Raster(
            path=path,
            left=source.transform.c,
            top=source.transform.f,
            dx=source.transform.a,
            dy=-source.transform.e,
            width=source.width,
            height=source.height,
            crs=_crs(source, path),
            nodata=source.nodata,
            dtype=source.dtypes[0],
            scaled=(source.scales[0], source.offsets[0]) != (1.0, 0.0),
            units=(source.units[0] or "").strip().lower(),
            count=source.count,
        )


def _check_georeference(source: Any, path: Path) -> None:
    """Refuse a raster without CRS or place, or that is not north-up."""
    transform = source.transform
    if source.crs is None and (source.gcps[0] or source.rpcs is not None):
        raise SlipscanError(
            f"{path} is in radar coordinates (ground control points or RPCs, no CRS): slipscan needs geocoded GeoTIFFs"
        )
    if source.crs is None:
        raise SlipscanError(
            f"{path} has no CRS: slipscan needs geocoded GeoTIFFs; where only the tag was lost, set it with"
            " `gdal_edit.py -a_srs EPSG:CODE`"
        )
    if transform.is_identity:
        raise SlipscanError(
            f"{path} has a CRS but no transform (corner and pixel size), so its place is unknown: take the file that"
            " the tool geocoded, or set them with `gdal_edit.py -a_ullr`"
        )
    if transform.b or transform.d or transform.a <= 0 or transform.e >= 0:
        raise SlipscanError(f"{path} is rotated or not north-up: warp it to a north-up grid first (`gdalwarp IN OUT`)")


def _crs(source: Any, path: Path) -> CRS:
    """The horizontal CRS; raises SlipscanError where it cannot be read, or is of no place on Earth."""
    try:
        crs = CRS.from_user_input(source.crs.to_wkt())
    except (CRSError, ValueError) as error:  # rasterio's CRSError is a ValueError
        raise SlipscanError(f"{path} has a CRS that cannot be read: set it with `gdal_edit.py -a_srs`") from error
    horizontal = crs.sub_crs_list[0] if crs.is_compound else crs
    if len(horizontal.axis_info) > 2:
        horizontal = horizontal.to_2d()
    if not (horizontal.is_geographic or horizontal.is_projected):
        raise SlipscanError(
            f"{path} has the CRS '{crs.name}', which is of no place on Earth: set it with `gdal_edit.py -a_srs`"
        )
    return horizontal


def same_crs(one: CRS, other: CRS) -> bool:
    """Whether two CRS are one; files write it in several ways."""
    if one == other or one.equals(other, ignore_axis_order=True):
        return True
    return one.to_epsg() is not None and one.to_epsg() == other.to_epsg()


def common_grid(rasters: Sequence[Raster], bounds: Bounds | None = None) -> Grid:
    """Return the extent that all rasters share, cropped to `bounds` (longitude, latitude, degrees).

    HyP3's extents differ from pair to pair, on one lattice. A raster that covers clearly less than most do, and so
    cuts the common extent, is named in the log.

    Raises
    ------
    SlipscanError
        another posting, CRS or lattice; no common extent, or none within `bounds`
    """
    first = rasters[0]
    boxes = np.array([_box(raster, first) for raster in rasters])
    usual = np.round(np.median(boxes, axis=0)).astype(int)
    crop = usual
    if bounds is not None:
        west, south, east, north = first.around(bounds)
        crop = np.array([
            math.floor((west - first.left) / first.dx), math.floor((first.top - north) / first.dy),
            math.ceil((east - first.left) / first.dx), math.ceil((first.top - south) / first.dy),
        ])  # fmt: skip
    common = [*boxes[:, :2].max(axis=0), *boxes[:, 2:].min(axis=0)]
    if _pixels(common) and not _pixels(_overlap(usual, crop)):
        raise SlipscanError(f"the region's polygon covers less than two pixels of {first.path}: enlarge it")
    reach = _overlap(usual, crop)
    shares = np.array([_pixels(_overlap(box, reach)) for box in boxes]) / max(_pixels(reach), 1)
    inside = common if bounds is None else _overlap(common, crop)
    if not _pixels(inside):
        order = np.argsort(shares, kind="stable")
        odd, other = rasters[order[0]].path, rasters[order[-1]].path
        within = " within the region" if _pixels(common) else ""
        raise SlipscanError(f"{odd} has no common extent with {other}{within}: remove one of them")
    _name_short([(raster.path, share) for raster, share in zip(rasters, shares, strict=True) if share < SHORT], inside)
    left, top, right, bottom = inside
    x: Array = first.left + (np.arange(left, right) + 0.5) * first.dx
    if bounds is not None and first.crs.is_geographic:
        x = shifted(x, (bounds[0] + bounds[2]) / 2)
    return Grid(
        x=x,
        y=first.top - (np.arange(top, bottom) + 0.5) * first.dy,
        crs=first.crs,
    )


def extent(rasters: Sequence[Raster]) -> Grid:
    """Return the grid that holds all rasters of one lattice; raises what `common_grid` does of another one."""
    first = rasters[0]
    boxes = np.array([_box(raster, first) for raster in rasters])
    (left, top), (right, bottom) = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    x, y = np.arange(left, right) + 0.5, np.arange(top, bottom) + 0.5
    return Grid(first.left + x * first.dx, first.top - y * first.dy, first.crs)


Box = Sequence[int] | NDArray[np.int_]
"""Left, top, right, bottom, pixels."""


def _overlap(one: Box, other: Box) -> Box:
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    return [*map(int, low), *map(int, high)]


def _pixels(box: Box) -> int:
    """Pixels of a box; 0 where it has fewer than two rows or columns."""
    columns, rows = int(box[2] - box[0]), int(box[3] - box[1])
    return columns * rows if min(columns, rows) >= 2 else 0


def _name_short(short: Sequence[tuple[Path, float]], inside: Box) -> None:
    """Name the rasters that cut the common extent."""
    if not short:
        return
    names = listed([f"{path} ({100 * share:.0f} %)" for path, share in short])
    log.warning(
        "%d files cover clearly less than most do and cut the common extent to %d x %d pixels: %s; remove them,"
        " or fetch them whole",
        len(short), inside[3] - inside[1], inside[2] - inside[0], names,
    )  # fmt: skip


def _box(raster: Raster, first: Raster) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a raster on the lattice of the first, pixels; raises SlipscanError."""
    if not same_crs(raster.crs, first.crs):
        raise SlipscanError(
            f"{raster.path} has CRS {raster.crs.to_string()}, {first.path} has {first.crs.to_string()}:"
            " a track's files must share one CRS"
        )
    drift_x = abs(raster.dx - first.dx) * max(raster.width, first.width)
    drift_y = abs(raster.dy - first.dy) * max(raster.height, first.height)
    if drift_x > ALIGNMENT * first.dx or drift_y > ALIGNMENT * first.dy:
        raise SlipscanError(
            f"{raster.path} has a posting of {raster.dx:g} x {raster.dy:g}, {first.path} of {first.dx:g} x"
            f" {first.dy:g}: a track's files must share one posting"
        )
    column, row = (raster.left - first.left) / first.dx, (first.top - raster.top) / first.dy
    column = math.remainder(column, first.turn)
    if abs(column - round(column)) > ALIGNMENT or abs(row - round(row)) > ALIGNMENT:
        raise SlipscanError(f"{raster.path} lies between the pixels of {first.path}: resample it to the same lattice")
    left, top = round(column), round(row)
    return left, top, left + raster.width, top + raster.height


def read_on(raster: Raster, grid: Grid, bands: Sequence[int] = (1,)) -> NDArray[np.float32]:
    """Read a raster on a grid that `common_grid` made; NaN where the file declares no data.

    Returns
    -------
    values
        (y, x) float32 of one band, (band, y, x) of several, in the file's unit

    Raises
    ------
    SlipscanError
        the file is truncated or otherwise unreadable
    """
    column = round((float(grid.x[0]) - raster.left) / raster.dx % raster.turn - 0.5)
    row = round((raster.top - float(grid.y[0])) / raster.dy - 0.5)
    window = Window(column, row, grid.shape[1], grid.shape[0])
    out = np.empty((len(bands), *grid.shape), np.float32)
    with opened(raster.path) as source:
        for index, band in enumerate(progress(bands, f"read {raster.path.name}") if len(bands) > 3 else bands):
            out[index] = read_band(source, band, window)
    return out if len(bands) > 1 else out[0]
