"""The zip of a HyP3 interferogram: GeoTIFFs on a UTM lattice, read in place, the region's window only."""

from __future__ import annotations

import re
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from slipscan.archive.extent import Bounds, lonlat_bounds, touches
from slipscan.archive.reading.bands import one_line
from slipscan.archive.reading.conventions import CONVENTIONS
from slipscan.archive.reading.layers import LOS, read_coherences, read_height, read_line_of_sight, read_phases
from slipscan.archive.reading.rasters import common_grid, read_header, read_on
from slipscan.errors import SlipscanError
from slipscan.geometry import write_grid
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
    if not touches(lonlat_bounds(whole), bounds):
        return None
    grid = common_grid(list(layers.values()), bounds)
    displacement = read_phases([layers["interferogram"]], grid, _RULE.metres_per_radian(track.radar_wavelength_m))[0]
    if np.isnan(displacement).all():
        return None
    los = read_line_of_sight(layers, grid, track.orbit_direction, str(path))
    out = {
        "interferogram": displacement,
        "coherence": read_coherences([layers["coherence"]], grid, _RULE.coherence_scale, _RULE.name)[0],
        "component": np.nan_to_num(read_on(layers["component"], grid), nan=0.0).astype(np.int16),
        "height": read_height(layers["height"], grid),
        **dict(zip(LOS, los, strict=True)),
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
