"""A small scene whose displacement is known, written as the GeoTIFFs of three archives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine

from slipscan.geometry import los_from_incidence_heading
from slipscan.regions import Region

WAVELENGTH = 0.05546576
STEP = 0.002  # degrees
WEST, NORTH = 32.50, 40.90
ROWS, COLUMNS = 50, 60
REFERENCE = (32.513, 40.887)  # in the quiet north-west corner
POLYGON = ((32.505, 40.805), (32.615, 40.805), (32.615, 40.895), (32.505, 40.895), (32.505, 40.805))
PLACE = Affine(STEP, 0, WEST, 0, -STEP, NORTH)
DATES = ("2020-01-03", "2020-01-15", "2020-01-27", "2020-02-08", "2020-02-20", "2020-03-03", "2020-03-15")
INCIDENCE, HEADING = 38.0, -12.0


@dataclass
class Scene:
    """Displacement (time, y, x) m toward the satellite, and the pairs that are written."""

    displacement: np.ndarray
    pairs: list[tuple[int, int]]
    dates: tuple[str, ...] = DATES
    seed: int = 3


def lonlat() -> tuple[np.ndarray, np.ndarray]:
    return np.meshgrid(WEST + (np.arange(COLUMNS) + 0.5) * STEP, NORTH - (np.arange(ROWS) + 0.5) * STEP)


def truth(lon: np.ndarray, lat: np.ndarray, count: int = len(DATES)) -> np.ndarray:
    """60 mm of uplift in a bell of 4 km (zero at the reference), half of it in one step."""
    bell = np.exp(-(((lon - 32.57) / 0.03) ** 2 + ((lat - 40.84) / 0.025) ** 2))
    growth = np.linspace(0, 0.5, count) + 0.5 * (np.arange(count) >= count // 2)
    return 0.06 * growth[:, None, None] * bell


def scene(pairs: list[tuple[int, int]] | None = None) -> Scene:
    count = len(DATES)
    if pairs is None:
        pairs = [(i, j) for i in range(count) for j in range(i + 1, min(i + 4, count))]
    return Scene(truth(*lonlat()), pairs)


def region(convention: str, path: str = ".", **changes: object) -> Region:
    scalar = {"incidence_deg": INCIDENCE, "heading_deg": HEADING} if convention == "gamma" else {}
    return Region.model_validate(
        {
            "id": "TEST",
            "name": "Test",
            "archive": "local",
            "tracks": [
                {
                    "id": "087A",
                    "relative_orbit": 87,
                    "orbit_direction": "ascending",
                    "local": {"convention": convention, "path": path, **scalar},
                }
            ],
            "reference_point": REFERENCE,
            "tectonic_setting": "continental transform",
            "polygon": POLYGON,
            **changes,
        }
    )


def write_tif(path: Path, values: np.ndarray, nodata: float | None = None, row: int = 0, column: int = 0) -> None:
    """Write a GeoTIFF whose upper-left pixel is (row, column) of the scene."""
    path.parent.mkdir(parents=True, exist_ok=True)
    transform = Affine(STEP, 0, WEST + column * STEP, 0, -STEP, NORTH - row * STEP)
    with rasterio.open(
        path, "w", "GTiff", values.shape[1], values.shape[0], 1, "EPSG:4326", transform, values.dtype.name, nodata
    ) as file:
        file.write(values, 1)


def write_raster(
    path: Path,
    values: np.ndarray,
    nodata: float | None = None,
    scale: float = 1.0,
    offset: float = 0.0,
    units: str | None = None,
    transform: Affine = PLACE,
    crs: object = "EPSG:4326",
    **profile: object,
) -> Path:
    """Write a GeoTIFF of one or several bands that says what a tool may say of it."""
    bands = values if values.ndim == 3 else values[None]
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", driver="GTiff", count=len(bands), height=bands.shape[1], width=bands.shape[2], dtype=bands.dtype,
        crs=crs, transform=transform, nodata=nodata, **profile,
    ) as file:  # fmt: skip
        file.write(bands)
        file.scales, file.offsets = [scale] * len(bands), [offset] * len(bands)
        if units:
            file.units = [units] * len(bands)
    return path


def phases(made: Scene) -> dict[tuple[str, str], np.ndarray]:
    """Unwrapped phase of every pair, rad, positive away, with a constant of its own, 0 = no data."""
    generator = np.random.default_rng(made.seed)
    out = {}
    for i, j in made.pairs:
        motion = made.displacement[j] - made.displacement[i]
        phase = -4 * np.pi / WAVELENGTH * motion + generator.uniform(1, 20)
        phase[np.isnan(phase)] = 0
        out[made.dates[i].replace("-", ""), made.dates[j].replace("-", "")] = phase.astype(np.float32)
    return out


def los() -> tuple[np.ndarray, ...]:
    parts = los_from_incidence_heading(np.full((ROWS, COLUMNS), INCIDENCE), np.full((ROWS, COLUMNS), HEADING))
    return tuple(np.asarray(part, np.float32) for part in parts)


def height() -> np.ndarray:
    return (1000 + 500 * np.sin(np.arange(COLUMNS) / 9) * np.ones((ROWS, 1))).astype(np.float32)


def write_gamma(directory: Path, made: Scene, coherence: float = 0.7) -> None:
    for (older, newer), phase in phases(made).items():
        stem = directory / "interferograms" / f"crop_{older}-{newer}_VV_8rlks"
        write_tif(stem.with_name(f"{stem.name}_eqa_unw.tif"), phase, nodata=0)
        cc = np.full((ROWS, COLUMNS), coherence, np.float32)
        write_tif(stem.with_name(f"{stem.name}_flat_eqa_cc.tif"), cc, nodata=0)
    write_tif(directory / "crop_dem.tif", height())


def write_licsar(directory: Path, made: Scene, sign: float = 1.0) -> None:
    for (older, newer), phase in phases(made).items():
        stem = directory / "interferograms" / f"{older}_{newer}" / f"{older}_{newer}.geo"
        write_tif(stem.with_name(f"{stem.name}.unw.tif"), phase)
        write_tif(stem.with_name(f"{stem.name}.cc.tif"), np.full((ROWS, COLUMNS), 178, np.uint8))
    frame = directory / "metadata" / "087A_04900_131313.geo"
    for letter, values in zip("ENU", los(), strict=True):
        write_tif(frame.with_name(f"{frame.name}.{letter}.tif"), sign * values)
    write_tif(frame.with_name(f"{frame.name}.hgt.tif"), height())


def write_hyp3(directory: Path, made: Scene) -> None:
    """Every product has another extent on the same lattice."""
    east, north, up = los()
    layers = {
        "lv_theta": np.arcsin(up),
        "lv_phi": np.arctan2(north, east),
        "dem": height(),
        "corr": np.full((ROWS, COLUMNS), 0.7, np.float32),
    }
    for number, ((older, newer), phase) in enumerate(phases(made).items()):
        name = f"S1AA_{older}T154000_{newer}T154001_VVP012_INT80_G_ueF_{number:04X}"
        if number % 2:
            name = f"S1_087_000000s1n00-093117s2n01-093118s3n01_IW_{older}_{newer}_VV_INT80_{number:04X}"
        row, column = number % 3, number % 2
        for layer, values in {"unw_phase": phase, **layers}.items():
            write_tif(directory / name / f"{name}_{layer}.tif", values[row:, column:], nodata=0, row=row, column=column)


WRITERS = {"gamma": write_gamma, "hyp3": write_hyp3, "licsar": write_licsar}
