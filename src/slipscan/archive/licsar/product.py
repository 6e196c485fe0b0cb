"""The files of a LiCSAR interferogram read as a granule.

{pair}.geo.unw.tif is in rad, positive away, 0 = no data, {pair}.geo.cc.tif 0-255. {date}.sltd.geo.tif, the GACOS delay
of a date, is slant-range phase in radians with the sign of unw, 0 = no data, so that the troposphere's part of an
interferogram is that of the newer minus that of the older date (LiCSBAS03op_GACOS.py: unw - (s - m)).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from slipscan.archive.extent import Bounds
from slipscan.archive.manifest import ORDER
from slipscan.archive.reading.conventions import CONVENTIONS
from slipscan.archive.reading.cubes import bilinear
from slipscan.archive.reading.layers import LOS, read_coherences, read_height, read_line_of_sight, read_phases
from slipscan.archive.reading.rasters import Raster, common_grid, read_header, read_on
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid, write_grid
from slipscan.plausible import plausible
from slipscan.regions import Track
from slipscan.vocabulary import annotate

RULE = CONVENTIONS["licsar"]
METADATA = "metadata.txt"


def read_granule(row: pd.Series, files: Sequence[Path], track: Track, bounds: Bounds) -> xr.Dataset | None:
    """Read the part of an interferogram within `bounds` (degrees) as product 'granule'; None where it has no data.

    Returns
    -------
    granule
        on the frame's lattice of 0.001 degrees, metres toward the satellite: interferogram, coherence (0-1), line of
        sight, height, and troposphere where the delays of both dates are among the files

    Raises
    ------
    SlipscanError
        a file is unreadable, on another lattice, of another scale; a line of sight that the track cannot have
    """
    own = {path.name.removeprefix(f"{row['frame']}_"): path for path in files}
    unwrapped = [read_header(path) for name, path in own.items() if RULE.interferogram.match(name)]
    coherence = [read_header(path) for name, path in own.items() if RULE.coherence.match(name)]
    if not unwrapped:
        raise SlipscanError(f"the interferogram of {row['granule']} is not among its files: fetch it again")
    if not _touches(unwrapped[0], bounds):
        return None
    geometry = {
        what: read_header(path)
        for what, pattern in RULE.geometry.items()
        for name, path in own.items()
        if pattern.match(name)
    }
    grid = common_grid([*unwrapped, *coherence, *geometry.values()], bounds)
    metres_per_radian = RULE.metres_per_radian(track.radar_wavelength_m)
    displacement = read_phases(unwrapped[:1], grid, metres_per_radian)[0]
    if np.isnan(displacement).all():
        return None
    layers = {"interferogram": displacement, **_read_geometry(geometry, grid, track, str(row["granule"]))}
    if coherence:
        layers["coherence"] = read_coherences(coherence[:1], grid, RULE.coherence_scale, RULE.name)[0]
    older, newer = (own.get(f"{str(row[name]).replace('-', '')}.sltd.geo.tif") for name in ORDER[:2])
    if older is not None and newer is not None:
        layers["troposphere"] = (_read_delay(newer, grid) - _read_delay(older, grid)) * metres_per_radian
    dataset = xr.Dataset({name: (("y", "x"), np.asarray(values, np.float32)) for name, values in layers.items()})
    dataset.attrs = {name: str(row[name]) for name in ORDER[:2]} | _acquisition_time(own.get(METADATA))
    if "troposphere" in layers:
        dataset.attrs["troposphere"] = "gacos"
    return annotate(write_grid(dataset, grid), "granule")


def _acquisition_time(path: Path | None) -> dict[str, str]:
    """Time of day (UTC) of a frame by its metadata.txt; {} where there is none, or none in it."""
    text = path.read_text(encoding="utf-8", errors="replace") if path is not None else ""
    match = re.search(r"^\s*center_time\s*=\s*(\d\d:\d\d:\d\d)", text, re.MULTILINE)
    return {"acquisition_time": match[1]} if match else {}


def _touches(raster: Raster, bounds: Bounds) -> bool:
    """Whether at least two rows and columns of a raster lie in a box (degrees)."""
    west, south, east, north = raster.around(bounds)
    right, bottom = raster.left + raster.width * raster.dx, raster.top - raster.height * raster.dy
    across, down = min(east, right) - max(west, raster.left), min(north, raster.top) - max(south, bottom)
    return across >= 2 * raster.dx and down >= 2 * raster.dy


def _read_geometry(
    rasters: dict[str, Raster], grid: Grid, track: Track, granule: str
) -> dict[str, NDArray[np.float32]]:
    """Line of sight (NaN where the file has 0) and height, (y, x) each; checked."""
    out = {"height": read_height(rasters["height"], grid)} if "height" in rasters else {}
    if set(LOS) <= set(rasters):
        parts = read_line_of_sight(rasters, grid, track.orbit_direction, granule)
        out |= dict(zip(LOS, parts, strict=True))
    return out


def _read_delay(path: Path, grid: Grid) -> NDArray[np.float32]:
    """Slant-range delay of a date, (y, x) rad, NaN where 0; bilinear, since GACOS may lie on a lattice of its own."""
    header = read_header(path)
    whole = common_grid([header])
    values = read_on(header, whole)
    values[values == 0] = np.nan
    plausible(values, "slant_delay", str(path))
    return bilinear(values, whole, grid)
