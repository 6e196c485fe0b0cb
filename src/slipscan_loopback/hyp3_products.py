"""The zip of a HyP3 multi-burst interferogram (INSAR_ISCE_MULTI_BURST) of the true scene.

As delivered: unwrapped phase in radians, reference date OLDER, positive AWAY from the satellite; the look vector as
lv_theta (elevation above the horizontal) and lv_phi (counter-clockwise from east), radians, ground to satellite;
UTM cells of 80 m on multiples of 80 m, nodata 0, another extent for every pair (hyp3-isce2, packaging.py).
"""

from __future__ import annotations

import datetime
import re
import tempfile
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slipscan.atomic import written_beside
from slipscan.geometry import Array, Grid
from slipscan.outputs import OWN
from slipscan_loopback.geotiff import draws, padded, write_geotiff
from slipscan_loopback.scene import TrueScene
from slipscan_loopback.umm import orbit_number

BURST = re.compile(
    r"S1_(?P<number>\d{6})_IW(?P<swath>[123])_(?P<time>\d{8}T\d{6})_(?P<polarization>[VH]{2})_[\dA-F]{4}-BURST"
)
"""The name of a Sentinel-1 burst, as the API's schema has it."""

PIXEL_M = {"20x4": 80, "10x2": 40, "5x1": 20}
CREATION: dict[str, Any] = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "lzw"}


@dataclass(frozen=True)
class Order:
    """What a job of INSAR_ISCE_MULTI_BURST asks for: names of bursts, the older ones first."""

    reference: tuple[str, ...]
    secondary: tuple[str, ...]
    looks: str = "20x4"
    apply_water_mask: bool = False

    @property
    def dates(self) -> tuple[datetime.date, datetime.date]:
        """Older and newer date."""
        return burst_time(self.reference[0]).date(), burst_time(self.secondary[0]).date()


def burst_time(name: str) -> datetime.datetime:
    """The acquisition time in a burst's name, UTC."""
    match = BURST.fullmatch(name)
    assert match is not None, name
    return datetime.datetime.strptime(match["time"], "%Y%m%dT%H%M%S").replace(tzinfo=datetime.UTC)


def product_name(order: Order, relative_orbit: int, identifier: str) -> str:
    """The name of the zip and of all in it: for each swath its lowest burst number and the number of bursts."""
    matches = [BURST.fullmatch(name) for name in order.reference]
    swaths = []
    for swath in "123":
        numbers = [int(m["number"]) for m in matches if m is not None and m["swath"] == swath]
        swaths.append(f"{min(numbers, default=0):06d}s{swath}n{len(numbers):02d}")
    older, newer = (f"{date:%Y%m%d}" for date in order.dates)
    polarization = order.reference[0].split("_")[4]
    return (
        f"S1_{relative_orbit:03d}_{'-'.join(swaths)}_IW_{older}_{newer}_{polarization}"
        f"_INT{PIXEL_M[order.looks]}_{identifier}"
    )


def write_zip(order: Order, scene: TrueScene, directory: Path, posting_m: float, identifier: str) -> Path:
    """Write the product of an order.

    Parameters
    ----------
    posting_m
        cell size at 20x4 looks, 80 m in truth; at finer looks in proportion
    identifier
        four hexadecimal digits that end the product's name

    Returns
    -------
    path
        directory/NAME.zip with the files NAME/NAME_*.tif and NAME/NAME.txt; the same bytes in every run
    """
    name = product_name(order, scene.relative_orbit, identifier)
    grid = pair_grid(scene, order, posting_m * PIXEL_M[order.looks] / PIXEL_M["20x4"])
    path = directory / f"{name}.zip"
    with tempfile.TemporaryDirectory() as temporary, written_beside(path, OWN) as beside:
        for suffix, values in _layers(order, scene, grid).items():
            nodata = None if suffix == "water_mask" else 0
            write_geotiff(Path(temporary) / f"{name}_{suffix}.tif", values, grid, nodata, **CREATION)
        (Path(temporary) / f"{name}.txt").write_text(_parameters(order, scene), encoding="utf-8")
        with zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(Path(temporary).iterdir()):
                member = zipfile.ZipInfo(f"{name}/{file.name}")
                member.external_attr = 0o644 << 16
                archive.writestr(member, file.read_bytes(), zipfile.ZIP_DEFLATED)
    return path


def pair_grid(scene: TrueScene, order: Order, posting_m: float) -> Grid:
    """The cells of a pair's product: beyond the scene by 4 to 7 cells, which differ from pair to pair."""
    west, north, east, south = (4 + draw % 4 for draw in draws("extent", *order.dates, count=4))
    return padded(scene.metric_grid(posting_m), west, north, east, south)


def _layers(order: Order, scene: TrueScene, grid: Grid) -> dict[str, Array | NDArray[np.integer]]:
    """The rasters of a product by the end of their file's name; 0 = no data."""
    lon, lat = grid.lonlat()
    older, newer = order.dates
    toward = scene.interferogram(lon, lat, older, newer)
    phase = -4 * np.pi / scene.wavelength_m * toward + _constant(order)
    east, north, up = scene.los(lon, lat)
    component = scene.component(lon, lat)
    # The strait around the island is the scene's only water.
    land = ~scene.incoherent(lon, lat) | replace(scene, island=False).incoherent(lon, lat)
    if order.apply_water_mask:
        phase = np.where(land, phase, 0)
        component = np.where(land, component, 0).astype(component.dtype)
    layers: dict[str, Array | NDArray[np.integer]] = {
        "unw_phase": phase,
        "corr": scene.coherence(lon, lat, older, newer),
        "conncomp": component,
        "lv_theta": np.arcsin(up),
        "lv_phi": np.arctan2(north, east),
        "dem": scene.height(lon, lat),
    }
    covered = ~_corners(grid.shape)
    layers = {name: np.where(covered, values, 0).astype(np.float32) for name, values in layers.items()}
    return {**layers, "water_mask": land.astype(np.uint8)}


def _constant(order: Order) -> float:
    """The phase that unwrapping leaves undetermined, rad: -20 to 20, never near 0."""
    size, sign = draws("constant", *order.dates, count=2)
    return (5 + 15 * size / 255) * (-1 if sign % 2 else 1)


def _corners(shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The corners that a slanted swath leaves empty (3 cells, beyond the scene)."""
    rows, columns = np.indices(shape)
    rows = np.minimum(rows, shape[0] - 1 - rows)
    columns = np.minimum(columns, shape[1] - 1 - columns)
    return np.asarray(rows + columns < 3)


def _parameters(order: Order, scene: TrueScene) -> str:
    """The .txt of a product; the bursts stand in one line, separated by commas."""
    older, newer = order.dates
    west, south, east, north = scene.extent
    heading = float(scene.heading(np.array((west + east) / 2), np.array((south + north) / 2)))
    baseline = scene.perpendicular_baseline(newer) - scene.perpendicular_baseline(older)
    time = burst_time(order.reference[0])
    range_looks, azimuth_looks = order.looks.split("x")
    direction = scene.orbit_direction.upper()
    entries = {
        "Reference Granule": ", ".join(order.reference),
        "Secondary Granule": ", ".join(order.secondary),
        "Reference Pass Direction": direction,
        "Reference Orbit Number": orbit_number(scene, older),
        "Secondary Pass Direction": direction,
        "Secondary Orbit Number": orbit_number(scene, newer),
        "Baseline": f"{baseline:.4f}",
        "UTC time": f"{time.hour * 3600 + time.minute * 60 + time.second:.6f}",
        "Heading": f"{heading:.6f}",
        "Spacecraft height": 693000.0,
        "Earth radius at nadir": 6337286.638938101,
        "Slant range near": 800000.0,
        "Slant range center": 850000.0,
        "Slant range far": 900000.0,
        "Range looks": range_looks,
        "Azimuth looks": azimuth_looks,
        "INSAR phase filter": "yes",
        "Phase filter parameter": 0.5,
        "Range bandpass filter": "no",
        "Azimuth bandpass filter": "no",
        "DEM source": "GLO_30",
        "DEM resolution (m)": 30,
        "Unwrapping type": "snaphu_mcf",
        "Speckle filter": "yes",
        "Water mask": "yes" if order.apply_water_mask else "no",
    }
    return "".join(f"{key}: {value}\n" for key, value in entries.items())
