"""Reading of OPERA DISP-S1 granules and their static layers: the window of a region, whole frames are never held.

Facts (disp-s1, which makes the product): `displacement` is in metres, positive toward the satellite, from the reference
to the secondary date; `ionospheric_delay` and `solid_earth_tide` are the parts of it to subtract; x and y are pixel
centres. `short_wavelength_displacement` lacks the long wavelengths, slow slip with them, and is never read.

Coherence is `estimated_phase_quality`, which is of this very pair of dates; `temporal_coherence` (where a file lacks
the other) tells the quality of the phase linking and is the same for a whole ministack of about 15 dates.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError

from slipscan.archive.extent import Bounds, projected
from slipscan.archive.reading import hdf5
from slipscan.archive.reading.layers import LOS, checked_line_of_sight, read_height
from slipscan.archive.reading.rasters import ALIGNMENT, Raster, read_header, read_on, same_crs
from slipscan.archive.reading.window import Window, find_window
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid, write_grid
from slipscan.plausible import plausible
from slipscan.vocabulary import annotate

if TYPE_CHECKING:
    import h5py

Single = NDArray[np.float32]
COHERENCE = ("estimated_phase_quality", "temporal_coherence")
CORRECTIONS = {"ionosphere": "/corrections/ionospheric_delay", "tide": "/corrections/solid_earth_tide"}
BASELINE = "/corrections/perpendicular_baseline"
LABEL_NODATA = 65535


def read_window(
    path: Path,
    los: Path,
    dem: Path | None,
    bounds: Bounds,
    radar_wavelength_m: float,
    orbit_direction: str,
    dates: tuple[str, str],
) -> xr.Dataset | None:
    """Read the window of a displacement granule.

    Parameters
    ----------
    path
        the NetCDF file
    los, dem
        GeoTIFFs of the frame on the same lattice: unit vector ground to satellite (bands east, north, up); heights, m
    bounds
        west, south, east, north, degrees
    radar_wavelength_m, orbit_direction
        what the track says, to compare with
    dates
        reference and secondary date, ISO, to compare with

    Returns
    -------
    dataset
        product 'granule': interferogram (m toward, reference to secondary date; NaN where `recommended_mask` is not 1),
        coherence, component, ionosphere, tide, los_east, los_north, los_up, height (with a DEM). None without valid
        pixel.

    Raises
    ------
    SlipscanError
        truncated, a variable is missing, another wavelength, other dates, another lattice, an impossible line of sight
    """
    with hdf5.opened(path) as file:
        x, y = (hdf5.array(file, f"/{name}") for name in ("x", "y"))
        crs = _crs(file)
        window = find_window(x, y, projected(bounds, crs), crs)
        if window is None:
            return None
        hdf5.check_wavelength(file, "/identification/radar_wavelength", radar_wavelength_m)
        _check_dates(file, dates)
        displacement = window.read(hdf5.variable(file, "/displacement"))
        displacement[window.read(hdf5.variable(file, "/recommended_mask")) != 1] = np.nan
        plausible(displacement, "interval", f"{path} (displacement)")
        valid = np.isfinite(displacement)
        if not valid.any():
            return None
        quality = next((name for name in COHERENCE if name in file), COHERENCE[0])
        layers: dict[str, NDArray[np.generic]] = {
            "interferogram": displacement,
            "coherence": np.where(
                valid,
                plausible(window.read(hdf5.variable(file, f"/{quality}")), "coherence", f"{path} ({quality})"),
                np.float32(np.nan),
            ),
            "component": _component(window.read(hdf5.variable(file, "/connected_component_labels")), valid),
        }
        for name, place in CORRECTIONS.items():
            if place in file:
                layers[name] = plausible(window.read(hdf5.variable(file, place)), name, f"{path} ({place})")
        baseline = _baseline(file, window)
    layers |= _line_of_sight(los, window.grid, orbit_direction)
    if dem is not None:
        layers["height"] = read_height(_on_lattice(dem, window.grid), window.grid)
    dataset = xr.Dataset({name: (("y", "x"), values) for name, values in layers.items()})
    attributes = {} if baseline is None else {"perpendicular_baseline_m": baseline}
    return annotate(write_grid(dataset, window.grid), "granule").assign_attrs(attributes)


def _crs(file: h5py.File) -> CRS:
    """The CRS of the grid mapping; raises SlipscanError where it is missing or not projected."""
    mapping = hdf5.variable(file, "/spatial_ref")
    wkt = hdf5.attribute(mapping, "crs_wkt") or hdf5.attribute(mapping, "spatial_ref")
    try:
        crs = CRS.from_user_input(wkt)
    except CRSError as error:
        raise SlipscanError(f"{file.filename} has no CRS (crs_wkt of /spatial_ref): {hdf5.AGAIN}") from error
    if not crs.is_projected:
        raise SlipscanError(f"{file.filename} has the CRS {crs.to_string()}, not a UTM zone: it is another product")
    # One way of writing for all granules: the lattice they share compares it.
    code = crs.to_epsg()
    return crs if code is None else CRS.from_epsg(code)


def _check_dates(file: h5py.File, dates: tuple[str, str]) -> None:
    for role, expected in zip(("reference", "secondary"), dates, strict=True):
        found = hdf5.text(file, f"/identification/{role}_datetime")[:10]
        if found != expected:
            raise SlipscanError(
                f"{file.filename} has the {role} date {found}, by the manifest it is {expected}: it is another granule;"
                f" {hdf5.AGAIN}"
            )


def _component(labels: Single, valid: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Connected components from 1, 0 = none."""
    known = np.isfinite(labels) & (labels > 0) & (labels < LABEL_NODATA)
    return np.where(valid & known, labels, 0).astype(np.int16)


def _baseline(file: h5py.File, window: Window) -> float | None:
    """Perpendicular baseline, reference to secondary date, median of the window, m."""
    if BASELINE not in file:
        return None
    values = window.read(hdf5.variable(file, BASELINE))
    return float(np.nanmedian(values)) if np.isfinite(values).any() else None


def _line_of_sight(path: Path, grid: Grid, orbit_direction: str) -> dict[str, Single]:
    """Unit vector ground to satellite, (y, x) each; NaN outside the swath, where the file has zeros."""
    raster = _on_lattice(path, grid, single=False)
    if raster.count < 3:
        raise SlipscanError(f"{path} has {raster.count} bands, not east, north and up: {hdf5.AGAIN}")
    east, north, up = (plausible(part, "los", str(path)) for part in read_on(raster, grid, (1, 2, 3)))
    parts = checked_line_of_sight(east, north, up, orbit_direction, str(path))
    return dict(zip(LOS, parts, strict=True))


def _on_lattice(path: Path, grid: Grid, single: bool = True) -> Raster:
    """Read the header of a static layer.

    Raises
    ------
    SlipscanError
        unreadable, another CRS, posting or lattice, or an extent that does not hold the window
    """
    header, (dx, dy), (rows, columns) = read_header(path, single), grid.spacing, grid.shape
    column, row = (grid.x[0] - dx / 2 - header.left) / header.dx, (header.top - grid.y[0] - dy / 2) / header.dy
    same = same_crs(header.crs, grid.crs) and abs(header.dx - dx) < 1e-3 * dx and abs(header.dy - dy) < 1e-3 * dy
    if not same or max(abs(column - round(column)), abs(row - round(row))) > ALIGNMENT:
        raise SlipscanError(f"{path} is not on the lattice of its frame's displacements: {hdf5.AGAIN}")
    if not (0 <= round(column) <= header.width - columns and 0 <= round(row) <= header.height - rows):
        raise SlipscanError(f"{path} does not cover its frame: {hdf5.AGAIN}")
    return header
