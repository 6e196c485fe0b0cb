"""OPERA_L3_DISP-S1 files and their static layers of a true scene, and their granules.

Layout, names, fill values and the rounding of mantissas are those of the code that makes the real ones (opera-adt/
disp-s1: product.py, product_info.py, main_static_layers.py). Displacement and corrections are in m, positive toward the
satellite, from the reference to the secondary date, each zero at the product's own reference point; both corrections
are IN the displacement (they are to be subtracted). The reference date moves.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slipscan.atomic import written_beside
from slipscan.geometry import Grid
from slipscan.outputs import OWN
from slipscan_loopback import disp_layers
from slipscan_loopback.scene import TrueScene
from slipscan_loopback.umm import PRODUCED, DataFile, Granule

FRAME = 11116
POSTING_M = 30.0
STATIC_DATE = datetime.date(2014, 4, 3)
STATIC_LAYERS = ("dem", "layover_shadow_mask", "line_of_sight_enu")


def moving_references(scene: TrueScene, every: int = 5) -> tuple[datetime.date, ...]:
    """Reference dates of blocks of `every` epochs: the first date, then the last epoch of every block."""
    return scene.dates[:-1:every]


def pairs(
    scene: TrueScene, reference_dates: Sequence[datetime.date] | None = None
) -> list[tuple[datetime.date, datetime.date]]:
    """Reference and secondary date of every product: each epoch refers to the latest reference date before it."""
    references = scene.dates[:1] if reference_dates is None else reference_dates
    return [(max(ref for ref in references if ref < date), date) for date in scene.dates if date > min(references)]


def file_name(
    scene: TrueScene,
    reference: datetime.date,
    secondary: datetime.date,
    frame: int = FRAME,
    version: str = "1.0",
    produced: datetime.datetime = PRODUCED,
) -> str:
    """The product's file name; it holds the time of its generation."""
    times = "_".join(f"{time:%Y%m%dT%H%M%SZ}" for time in (scene.time(reference), scene.time(secondary)))
    return f"OPERA_L3_DISP-S1_IW_F{frame:05d}_VV_{times}_v{version}_{produced:%Y%m%dT%H%M%SZ}.nc"


def write(
    path: Path,
    scene: TrueScene,
    reference: datetime.date,
    secondary: datetime.date,
    posting_m: float = POSTING_M,
    frame: int = FRAME,
    version: str = "1.0",
    gap: bool = False,
) -> None:
    """Write one product.

    Parameters
    ----------
    path
        the NetCDF-4 file; see `file_name`
    reference, secondary
        dates, older and newer
    posting_m
        30 in real products
    gap
        whether the pixels of `gap_pixels` have no data
    """
    import h5py

    grid = scene.metric_grid(posting_m)
    with written_beside(path, OWN) as beside, h5py.File(beside, "w", track_order=True) as file:
        for name, text in (("Conventions", "CF-1.8"), ("title", "OPERA L3_DISP-S1 Product"), ("mission_name", "OPERA")):
            file.attrs[name] = np.bytes_(text)
        disp_layers.write_axes(file, grid, scene.time(secondary))
        disp_layers.write_time(file, "reference_time", scene.time(reference))
        for name, layer in disp_layers.rasters(scene, reference, secondary, grid, gap).items():
            disp_layers.write_raster(file, name, layer)
        corrections = file.create_group("corrections", track_order=True)
        disp_layers.write_axes(corrections, grid, scene.time(secondary))
        for name, layer in disp_layers.corrections(scene, reference, secondary, grid).items():
            disp_layers.write_raster(corrections, name, layer)
        _reference_point(corrections, scene, grid)
        group = file.create_group("identification", track_order=True)
        for name, value in disp_layers.identification(scene, reference, secondary, grid, frame, version).items():
            group.create_dataset(name, data=np.bytes_(value) if isinstance(value, str) else value)
        file.create_group("metadata").create_dataset("platform_id", data=np.bytes_("S1A"))


def _reference_point(group: Any, scene: TrueScene, grid: Grid) -> None:
    row, column = disp_layers.reference_pixel(scene, grid)
    lon, lat = grid.lonlat()
    attributes = {"rows": row, "cols": column, "latitudes": lat[row, column], "longitudes": lon[row, column]}
    point = group.create_dataset("reference_point", data=0)
    point.attrs.update({name: [value] for name, value in attributes.items()})


def write_static(
    directory: Path, scene: TrueScene, posting_m: float = POSTING_M, frame: int = FRAME, version: str = "1.0"
) -> list[Path]:
    """Write the static layers of a frame as GeoTIFFs; their paths in the order of STATIC_LAYERS.

    Height (m), layover and shadow (0 = neither), and the line of sight from the ground to the satellite: bands east,
    north, up, 0 = no data.
    """
    grid = scene.metric_grid(posting_m)
    lon, lat = grid.lonlat()
    inside = disp_layers.inside(grid.shape)
    layers: dict[str, tuple[NDArray[Any], float | None]] = {
        "dem": (scene.height(lon, lat).astype(np.float32)[None], None),
        "layover_shadow_mask": (np.where(inside, 0, 255).astype(np.uint8)[None], 255),
        "line_of_sight_enu": (np.where(inside, disp_layers.rounded(scene.los(lon, lat), 9), np.float32(0)), 0),
    }
    paths = []
    for name in STATIC_LAYERS:
        path = directory / f"{static_name(frame, version)}_{name}.tif"
        _geotiff(path, *layers[name], grid)
        paths.append(path)
    return paths


def _geotiff(path: Path, bands: NDArray[Any], nodata: float | None, grid: Grid) -> None:
    import rasterio
    from affine import Affine

    profile = {
        "driver": "GTiff",
        "count": len(bands),
        "height": bands.shape[1],
        "width": bands.shape[2],
        "dtype": bands.dtype.name,
        "nodata": nodata,
        "crs": grid.crs.to_wkt(),
        "transform": Affine(*grid.transform),
        "compress": "deflate",
    }
    with written_beside(path, OWN) as beside, rasterio.open(beside, "w", **profile) as file:
        file.write(bands)


def static_name(frame: int = FRAME, version: str = "1.0") -> str:
    """Name of the granule of static layers."""
    return f"OPERA_L3_DISP-S1-STATIC_F{frame:05d}_{STATIC_DATE:%Y%m%d}_S1A_v{version}"


def publish(
    scene: TrueScene,
    directory: Path,
    reference_dates: Sequence[datetime.date] | None = None,
    missing: Sequence[datetime.date] = (),
    crossover_gap: bool = False,
    posting_m: float = POSTING_M,
    frame: int = FRAME,
    version: str = "1.0",
    produced: datetime.datetime = PRODUCED,
) -> tuple[list[Granule], dict[str, Path]]:
    """Write the products of a frame and its static layers, and describe them.

    Parameters
    ----------
    reference_dates
        see `pairs` and `moving_references`; a date whose own product is missing cannot be chained
    missing
        secondary dates without a product
    crossover_gap
        whether products whose secondary date is a later reference date lack `gap_pixels`

    Returns
    -------
    granules, and path of every file by name (as `cmr.register` takes them)
    """
    made = pairs(scene, reference_dates)
    references = {reference for reference, _ in made}
    granules, files = [], {}
    for reference, secondary in made:
        if secondary in missing:
            continue
        path = directory / file_name(scene, reference, secondary, frame, version, produced)
        write(path, scene, reference, secondary, posting_m, frame, version, crossover_gap and secondary in references)
        files[path.name] = path
        granules.append(granule(scene, reference, secondary, DataFile.of(path), frame, version, produced))
    static = write_static(directory, scene, posting_m, frame, version)
    files.update({path.name: path for path in static})
    granules.append(static_granule(scene, [DataFile.of(path) for path in static], frame, version))
    return granules, files


def granule(
    scene: TrueScene,
    reference: datetime.date,
    secondary: datetime.date,
    file: DataFile,
    frame: int = FRAME,
    version: str = "1.0",
    produced: datetime.datetime = PRODUCED,
    malformed: bool = False,
) -> Granule:
    """Describe a product: from reference to secondary time, links to Zarr references that are not served here."""
    name = file.name.removesuffix(".nc")
    stack = f"OPERA_L3_DISP-S1_IW_F{frame:05d}_VV"
    return Granule(
        name,
        "OPERA_L3_DISP-S1_V1",
        scene.time(reference),
        scene.time(secondary),
        scene.polygon,
        {
            "ASCENDING_DESCENDING": scene.orbit_direction.upper(),
            "FRAME_NUMBER": str(frame),
            "PROCESSING_TYPE": "DISP-S1",
            "PRODUCT_VERSION": version,
            "POLARIZATION": "VV",
            "STACK_ID": f"IW_F{frame:05d}_VV",
            "PATH_NUMBER": str(scene.relative_orbit),
            "REFERENCE_ZERO_DOPPLER_START_TIME": f"{scene.time(reference):%Y-%m-%dT%H:%M:%SZ}",
            "SECONDARY_ZERO_DOPPLER_START_TIME": f"{scene.time(secondary):%Y-%m-%dT%H:%M:%SZ}",
        },
        files=(file,),
        unlisted=(f"{name}.zarr.json.gz", f"{stack}_short_wavelength_displacement.zarr.json.gz"),
        produced=produced,
        malformed=malformed,
    )


def static_granule(scene: TrueScene, files: Sequence[DataFile], frame: int = FRAME, version: str = "1.0") -> Granule:
    """Describe the static layers: a single date, long before the acquisitions."""
    return Granule(
        static_name(frame, version),
        "OPERA_L3_DISP-S1-STATIC_V1",
        datetime.datetime.combine(STATIC_DATE, datetime.time(), datetime.UTC),
        None,
        scene.polygon,
        {
            "ASCENDING_DESCENDING": scene.orbit_direction.upper(),
            "FRAME_NUMBER": str(frame),
            "PATH_NUMBER": str(scene.relative_orbit),
            "PRODUCT_TYPE": "DISP-S1-STATIC",
            "PRODUCT_TYPE_DESC": "Sentinel-1 Displacement Static Layer Product",
            "PRODUCT_VERSION": version,
            "VALIDITY_START_DATE": STATIC_DATE.isoformat(),
        },
        files=tuple(files),
    )
