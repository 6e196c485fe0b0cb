"""Bands of rasters as numbers: scale and offset applied, no data as NaN, and what is no band of numbers refused."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from slipscan.errors import SlipscanError

RAW_FILLS = (-9999, 9999, -32768, -32767, 32767, 65535)
"""Fills of whole numbers that a scale hides: -32768 x 0.001 is a plausible phase."""
SPIKE = 20
"""Such a number is a fill where it comes at least so often, and as many times as often as its neighbours do."""


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a raster; that it lacks georeferencing is said by `rasters.read_header`, not by a warning.

    Raises
    ------
    SlipscanError
        missing, empty or unreadable, here or within the block: the file, and GDAL's reason
    """
    source = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            source = rasterio.open(path)
        with source:
            yield source
    except (RasterioError, OSError) as error:
        if source is None and path.is_file() and path.stat().st_size == 0:
            raise SlipscanError(f"{path} is empty (0 bytes): fetch it again") from error
        how = "cannot be read as a GeoTIFF" if source is None else "cannot be read to its end"
        raise SlipscanError(f"{path} {how} ({one_line(error)}): fetch it again") from error


def only_band(source: Any, path: Path) -> None:
    """Refuse a raster that is not one band of numbers (a band of transparency beside it is a mask).

    Raises
    ------
    SlipscanError
        several bands, complex numbers, a palette of colours
    """
    meanings = source.colorinterp
    data = [band for band, meaning in zip(source.indexes, meanings, strict=True) if meaning != ColorInterp.alpha]
    if meanings[0] in (ColorInterp.red, ColorInterp.palette):
        raise SlipscanError(f"{path} is a picture (colours, not values): give the file that it was drawn from")
    if len(data) != 1 or data[0] != 1:
        names = [name for name in source.descriptions if name]
        said = f" ({', '.join(names)})" if names else ""
        raise SlipscanError(
            f"{path} has {len(data)} bands{said}, one is needed: keep the right one with `gdal_translate -b N IN OUT`"
            " (ISCE's .unw has the amplitude in band 1 and the phase in band 2)"
        )
    if "complex" in source.dtypes[0]:
        raise SlipscanError(
            f"{path} holds complex numbers ({source.dtypes[0]}), as a wrapped interferogram does: give the unwrapped"
            " phase"
        )


def read_band(source: Any, band: int, window: Window | None = None) -> NDArray[np.float32]:
    """Read a band as values: its scale and offset applied, NaN where the file declares no data.

    Parameters
    ----------
    source
        of `opened`
    band
        from 1
    window
        None: all

    Returns
    -------
    values
        (y, x) float32; whole numbers that a scale would hide and that stand out as a fill are NaN too

    Raises
    ------
    SlipscanError
        a scale or offset that is 0 or no number
    """
    raw = source.read(band, window=window)
    scale, offset, nodata = source.scales[band - 1], source.offsets[band - 1], source.nodatavals[band - 1]
    if not np.isfinite([scale, offset]).all() or scale == 0:
        raise SlipscanError(
            f"{source.name} has the scale {scale:g} and the offset {offset:g}: correct them (gdal_edit.py -scale)"
        )
    scaled = (scale, offset) != (1.0, 0.0)
    with np.errstate(over="ignore"):  # 1.8e308, a fill of double precision, is infinite here
        empty = None if nodata is None or np.isnan(nodata) else raw == nodata
        values = np.asarray(raw * scale + offset if scaled else raw, np.float32)
    if empty is not None:
        values[empty] = np.nan
    if scaled and np.issubdtype(raw.dtype, np.integer):
        for fill in RAW_FILLS:
            _mask_spike(values, raw, fill)
    if MaskFlags.per_dataset in source.mask_flag_enums[band - 1]:
        values[source.read_masks(band, window=window) == 0] = np.nan
    for other, meaning in zip(source.indexes, source.colorinterp, strict=True):
        if meaning == ColorInterp.alpha and other != band:  # GDAL knows no mask of real numbers
            values[source.read(other, window=window) == 0] = np.nan
    return values


def _mask_spike(values: NDArray[np.float32], raw: NDArray[np.integer[Any]], fill: int) -> None:
    """Set a whole number to NaN where it stands out from its neighbours, in place."""
    here = raw == fill
    count = np.count_nonzero(here)
    if count >= SPIKE and count >= SPIKE * np.count_nonzero((raw >= fill - 2) & (raw <= fill + 2) & ~here):
        values[here] = np.nan


def one_line(error: Exception) -> str:
    """Return the first line of an error's message."""
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(". ")
