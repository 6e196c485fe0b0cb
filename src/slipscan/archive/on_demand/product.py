"""The zip of a HyP3 interferogram: GeoTIFFs on a UTM lattice, read in place, the region's window only."""

from __future__ import annotations

import re
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from shapely import box

from slipscan.archive.conventions import CONVENTIONS
from slipscan.archive.extent import Bounds, lonlat_bounds
from slipscan.archive.rasters import Raster, common_grid, one_line, read_header, read_on
from slipscan.errors import SlipscanError
from slipscan.geometry import check_los, los_from_hyp3, write_grid
from slipscan.regions import Track
from slipscan.vocabulary import annotate

_RULE = CONVENTIONS["hyp3"]
_LAYERS = {
    "interferogram": _RULE.interferogram,
    "coherence": _RULE.coherence,
    "component": re.compile(r".*_conncomp\.tif$"),
    **_RULE.geometry,
}


def read_product(path: Path, row: pd.Series, track: Track, bounds: Bounds) -> xr.Dataset | None:
    """Read the part of a product within `bounds` (degrees), on its own UTM lattice.

    Parameters
    ----------
    path
        the zip as HyP3 delivers it
    row
        of the manifest: reference_date, secondary_date
    track
        wavelength and orbit direction

    Returns
    -------
    dataset
        product 'granule': interferogram (y, x) m toward the satellite, coherence, component, line of sight, height;
        None where the product has no valid pixel within `bounds`

    Raises
    ------
    SlipscanError
        a damaged or incomplete zip, other dates than the manifest's, a line of sight that the track cannot have
    """
    layers = {name: read_header(Path(f"/vsizip/{{{path.resolve()}}}/{m}")) for name, m in _members(path, row).items()}
    whole = common_grid(list(layers.values()))
    if not box(*lonlat_bounds(whole)).intersects(box(*bounds)):
        return None
    grid = common_grid(list(layers.values()), bounds)
    values = {name: read_on(layer, grid) for name, layer in layers.items()}
    phase = values["interferogram"]
    phase[~np.isfinite(phase) | (phase == 0)] = np.nan
    if np.isnan(phase).all():
        return None
    out = {
        "interferogram": phase * np.float32(_RULE.metres_per_radian(track.radar_wavelength_m)),
        "coherence": _coherence(values["coherence"], layers["coherence"]),
        "component": np.nan_to_num(values["component"], nan=0.0).astype(np.int16),
        "height": values["height"],
        **_line_of_sight(values["lv_theta"], values["lv_phi"], track, path),
    }
    attributes = {name: row[name] for name in ("reference_date", "secondary_date")} | _acquisition_time(path)
    dataset = xr.Dataset({name: (("y", "x"), array) for name, array in out.items()}, attrs=attributes)
    return annotate(write_grid(dataset, grid), "granule")


def _members(path: Path, row: pd.Series) -> dict[str, str]:
    """Names of the layers within a product's zip; their CRC-32 is checked, for HyP3 tells no checksum."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(name for name in archive.namelist() if name.endswith(".tif"))
            found = {
                layer: name for layer, pattern in _LAYERS.items() for name in names if pattern.match(Path(name).name)
            }
            missing = [layer for layer in _LAYERS if layer not in found]
            if missing:
                raise SlipscanError(f"{path} has no layer {missing[0]}: it is no HyP3 interferogram; fetch it again")
            for name in found.values():
                with archive.open(name) as member:
                    while member.read(1 << 20):
                        pass
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise SlipscanError(f"{path} is damaged ({one_line(error)}): fetch it again") from error
    dates = _RULE.interferogram.match(Path(found["interferogram"]).name)
    assert dates is not None
    expected = tuple(row[name].replace("-", "") for name in ("reference_date", "secondary_date"))
    if (dates["reference"], dates["secondary"]) != expected:
        raise SlipscanError(
            f"{path} runs from {dates['reference']} to {dates['secondary']}, not from {expected[0]} to {expected[1]} as"
            " in the manifest: HyP3 must have the older date first; fetch it again"
        )
    return found


def _acquisition_time(path: Path) -> dict[str, str]:
    """Time of day (UTC) in the name of the first reference granule that the product's .txt lists; {} without."""
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith(".txt"):
                text = archive.read(name).decode("utf-8", "replace")
                if match := re.search(r"^Reference Granule:.*?_\d{8}T(\d\d)(\d\d)(\d\d)_", text, re.MULTILINE):
                    return {"acquisition_time": ":".join(match.groups())}
    return {}


def _coherence(values: NDArray[np.float32], layer: Raster) -> NDArray[np.float32]:
    if np.nanmax(values, initial=0.0) > 1.01:
        raise SlipscanError(f"the coherence in {layer.path} reaches {np.nanmax(values):.3g}, not 1: no HyP3 product?")
    return values


def _line_of_sight(
    theta: NDArray[np.float32], phi: NDArray[np.float32], track: Track, path: Path
) -> dict[str, NDArray[np.float32]]:
    parts = los_from_hyp3(np.where(theta == 0, np.nan, theta), phi)
    check_los(*parts, track.orbit_direction, str(path))
    return {
        f"los_{name}": np.asarray(part, np.float32) for name, part in zip(("east", "north", "up"), parts, strict=True)
    }
