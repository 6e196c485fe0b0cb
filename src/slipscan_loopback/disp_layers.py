"""What a DISP-S1 file holds: rasters, axes and identification (written by `disp`)."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slipscan.geometry import Array, Grid, from_lonlat
from slipscan_loopback.scene import TrueScene

BORDER = 2
"""Pixels without data along every edge."""
TIME_FORMAT = "%Y-%m-%d %H:%M:%S.%f"


@dataclass(frozen=True)
class Layer:
    """A raster: its values (y, x), unit, and what stands where there is no data."""

    values: NDArray[Any]
    units: str
    fill: float


def rounded(values: Array, keep_bits: int) -> NDArray[np.float32]:
    """Float32 with a mantissa of `keep_bits` bits, as the products are stored."""
    bits = np.array(values, np.float32).view(np.uint32)
    drop = 23 - keep_bits
    bits = bits + np.uint32((1 << (drop - 1)) - 1) + ((bits >> np.uint32(drop)) & np.uint32(1))
    return (bits & np.uint32((0xFFFFFFFF << drop) & 0xFFFFFFFF)).view(np.float32)


def inside(shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Where a raster has data: not along its edges."""
    mask = np.zeros(shape, bool)
    mask[BORDER:-BORDER, BORDER:-BORDER] = True
    return mask


def reference_pixel(scene: TrueScene, grid: Grid) -> tuple[int, int]:
    """Row and column of the pixel at the scene's reference point."""
    lon, lat = scene.reference_point
    x, y = from_lonlat(np.array(lon), np.array(lat), grid.crs)
    return int(np.abs(grid.y - y).argmin()), int(np.abs(grid.x - x).argmin())


def gap_pixels(scene: TrueScene, lon: Array, lat: Array) -> NDArray[np.bool_]:
    """A square in the middle of the scene that a product may lack."""
    west, south, east, north = scene.extent
    x, y = (np.asarray(lon) - west) / (east - west), (np.asarray(lat) - south) / (north - south)
    return (np.abs(x - 0.5) < 0.05) & (np.abs(y - 0.55) < 0.05)


def rasters(
    scene: TrueScene, reference: datetime.date, secondary: datetime.date, grid: Grid, gap: bool
) -> dict[str, Layer]:
    """The rasters of the root group."""
    from scipy.ndimage import gaussian_filter

    lon, lat = grid.lonlat()
    component = scene.component(lon, lat)
    motion = scene.interferogram(lon, lat, reference, secondary)
    motion -= motion[reference_pixel(scene, grid)]
    valid = inside(grid.shape) & ~(gap & gap_pixels(scene, lon, lat))
    good = component > 0
    quality = np.where(good, 0.95, 0.2)
    # What is wider than the filter is lost here, as in the real layer: nobody who looks for slow slip should use it.
    short = motion - gaussian_filter(motion, 1000 / grid.spacing[0], mode="nearest")
    layers: dict[str, tuple[NDArray[Any], str, float]] = {
        "displacement": (rounded(motion, 12), "meters", np.nan),
        "short_wavelength_displacement": (rounded(np.where(good, short, np.nan), 12), "meters", np.nan),
        "recommended_mask": (good.astype(np.uint8), "unitless", 255),
        "connected_component_labels": (component.astype(np.uint16), "unitless", 65535),
        "temporal_coherence": (rounded(quality, 8), "unitless", np.nan),
        "estimated_phase_quality": (rounded(quality, 8), "unitless", np.nan),
        "persistent_scatterer_mask": (np.zeros(grid.shape, np.uint8), "unitless", 255),
        "shp_counts": (np.full(grid.shape, 50, np.int16), "unitless", 0),
        "water_mask": (np.ones(grid.shape, np.uint8), "unitless", 255),
        "phase_similarity": (rounded(quality, 8), "unitless", np.nan),
        "timeseries_inversion_residuals": (rounded(np.full(grid.shape, 0.1), 7), "radians", np.nan),
    }
    return {
        name: Layer(np.where(valid, values, np.array(fill, values.dtype)), units, fill)
        for name, (values, units, fill) in layers.items()
    }


def corrections(scene: TrueScene, reference: datetime.date, secondary: datetime.date, grid: Grid) -> dict[str, Layer]:
    """The rasters of the group of corrections, from the reference to the secondary date, m."""
    lon, lat = grid.lonlat()
    ionosphere = scene.ionosphere(lon, lat, secondary) - scene.ionosphere(lon, lat, reference)
    tide = scene.tide(lon, lat, secondary) - scene.tide(lon, lat, reference)
    tide -= tide[reference_pixel(scene, grid)]
    baseline = scene.perpendicular_baseline(secondary) - scene.perpendicular_baseline(reference)
    layers = {
        "ionospheric_delay": ionosphere,
        "solid_earth_tide": tide,
        "perpendicular_baseline": np.full(grid.shape, baseline),
    }
    return {name: Layer(rounded(values, 10), "meters", np.nan) for name, values in layers.items()}


def identification(
    scene: TrueScene, reference: datetime.date, secondary: datetime.date, grid: Grid, frame: int, version: str
) -> dict[str, str | int | float]:
    """The scalars of the group of identification."""
    times = {"reference": scene.time(reference), "secondary": scene.time(secondary)}
    return {
        "frame_id": frame,
        "product_version": version,
        **{f"{name}_datetime": f"{time:{TIME_FORMAT}}" for name, time in times.items()},
        **{f"{name}_zero_doppler_start_time": f"{time:{TIME_FORMAT}}" for name, time in times.items()},
        "radar_band": "C",
        "radar_wavelength": scene.wavelength_m,
        "radar_center_frequency": 299792458 / scene.wavelength_m,
        "acquisition_mode": "IW",
        "look_direction": "Right",
        "orbit_pass_direction": scene.orbit_direction.capitalize(),
        "track_number": scene.relative_orbit,
        "product_sample_spacing": int(grid.spacing[0]),
        "product_data_polarization": "VV",
        "bounding_polygon": "POLYGON ((" + ", ".join(f"{lon} {lat}" for lon, lat in scene.polygon) + "))",
    }


def write_axes(group: Any, grid: Grid, time: datetime.datetime) -> None:
    """Write x, y, time and the grid mapping of a group."""
    for name, values in (("y", grid.y), ("x", grid.x)):
        axis = group.create_dataset(name, data=np.asarray(values, float))
        axis.make_scale(name)
        axis.attrs.update(standard_name=f"projection_{name}_coordinate", units="m")
    write_time(group, "time", time)
    group["time"].make_scale("time")
    mapping = group.create_dataset("spatial_ref", data=0)
    a, b, c, d, e, f = grid.transform
    mapping.attrs.update({**grid.crs.to_cf(), "GeoTransform": f"{c} {a} {b} {f} {d} {e}"})


def write_time(group: Any, name: str, time: datetime.datetime) -> None:
    """Write a time of one element: zero seconds since itself, as the products have it."""
    variable = group.create_dataset(name, data=np.zeros(1))
    variable.attrs.update(standard_name="time", calendar="standard", units=f"seconds since {time:{TIME_FORMAT}}")
    if name != "time":
        variable.dims[0].attach_scale(group["time"])


def write_raster(group: Any, name: str, layer: Layer) -> None:
    """Write a raster with the axes y, x of its group, in chunks of at most 256 x 256."""
    chunks = tuple(min(256, size) for size in layer.values.shape)
    variable = group.create_dataset(
        name,
        data=layer.values,
        chunks=chunks,
        compression="gzip",
        compression_opts=4,
        shuffle=True,
        fillvalue=layer.values.dtype.type(layer.fill),
    )
    variable.attrs["_FillValue"] = np.array([layer.fill], layer.values.dtype)
    variable.attrs.update(units=layer.units, grid_mapping="spatial_ref", long_name=name.replace("_", " "))
    for dimension, axis in enumerate(("y", "x")):
        variable.dims[dimension].attach_scale(group[axis])
