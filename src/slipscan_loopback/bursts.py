"""SLC-BURST granules in the catalogue: what the on-demand archive is ordered from. They have no files here."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Sequence

import numpy as np
from pyproj import Transformer

from slipscan.geometry import Array
from slipscan_loopback.scene import TrueScene
from slipscan_loopback.umm import DataFile, Granule, orbit_number, slc_name

SLANT_RANGE_M = 850e3
SPEED_M_S = 7600.0


def publish(
    scene: TrueScene,
    bursts: Sequence[str] = ("087_185682_IW2",),
    polarizations: Sequence[str] = ("VV",),
    missing: Sequence[tuple[str, datetime.date]] = (),
) -> list[Granule]:
    """The burst granules of every date of a scene.

    Parameters
    ----------
    scene
        its extent is cut into as many strips from south to north as there are bursts
    bursts
        full burst ids, e.g. 087_185682_IW2, from south to north
    polarizations
        a granule for each
    missing
        (burst, date) that the archive lacks
    """
    return [
        _burst(scene, burst, (index, len(bursts)), date, polarization)
        for index, burst in enumerate(bursts)
        for date in scene.dates
        for polarization in polarizations
        if (burst, date) not in missing
    ]


def _burst(scene: TrueScene, burst: str, strip: tuple[int, int], date: datetime.date, polarization: str) -> Granule:
    path, relative, swath = burst.split("_")
    begin = scene.time(date)
    slc = slc_name(scene, date)
    digest = hashlib.sha256(f"{burst}{date}".encode()).hexdigest().upper()
    name = f"S1_{relative}_{swath}_{begin:%Y%m%dT%H%M%S}_{polarization}_{digest[:4]}-BURST"
    west, south, east, north = scene.extent
    height = (north - south) / strip[1]
    south, north = south + strip[0] * height - 0.002, south + (strip[0] + 1) * height + 0.002
    centre = (west + east) / 2, (south + north) / 2
    orbit = orbit_number(scene, date)
    attributes = {
        "ASCENDING_DESCENDING": scene.orbit_direction.upper(),
        "ASC_NODE_TIME": f"{begin - datetime.timedelta(seconds=800):%Y-%m-%dT%H:%M:%S.%f}",
        "AZIMUTH_ANX_TIME": "800.0",
        "AZIMUTH_TIME": f"{begin:%Y-%m-%dT%H:%M:%S.%f}",
        "BEAM_MODE": "IW",
        "BURST_ID_ABSOLUTE": str(orbit // 175 * 375887 + int(relative)),
        "BURST_ID_FULL": burst,
        "BURST_ID_RELATIVE": str(int(relative)),
        "BURST_INDEX": str(strip[0]),
        "BYTE_LENGTH": "127261456",
        "CENTER_LAT": repr(centre[1]),
        "CENTER_LON": repr(centre[0]),
        "GROUP_ID": f"S1A_IWDV_0130_0136_{orbit:06d}_{int(path):03d}",
        "PATH_NUMBER": str(int(path)),
        "POLARIZATION": polarization,
        "PROCESSING_LEVEL": "L1",
        "PROCESSING_TYPE": "BURST",
        "SAMPLES_PER_BURST": "25470",
        "SUBSWATH_NAME": swath,
        **_state_vectors(scene, date, centre),
    }
    ring = ((west, south), (east, south), (east, north), (west, north), (west, south))
    return Granule(
        name,
        "SENTINEL-1_BURSTS",
        begin,
        begin + datetime.timedelta(seconds=3),
        ring,
        attributes,
        files=tuple(DataFile(f"{name}.{suffix}", 0, "") for suffix in ("tiff", "xml")),
        service=True,
        orbits=(orbit,),
        platform="SENTINEL-1A",
        input_granules=(f"{slc}-SLC",),
    )


def _state_vectors(scene: TrueScene, date: datetime.date, centre: tuple[float, float]) -> dict[str, str]:
    """Positions and velocities 5 s before and after, from which asf_search computes the scene's baselines."""
    to_earth_fixed = Transformer.from_crs(4979, 4978, always_xy=True).transform
    ground = np.array(to_earth_fixed(*centre, 0.0))
    axes = _local_axes(*centre)
    heading = np.deg2rad(scene.heading(np.asarray(centre[0]), np.asarray(centre[1])))
    velocity = SPEED_M_S * np.array([np.sin(heading), np.cos(heading), 0.0]) @ axes
    sight = scene.los(np.asarray(centre[0]), np.asarray(centre[1]), 0.0) @ axes
    across = np.cross(velocity, sight)
    position = ground + SLANT_RANGE_M * sight + scene.perpendicular_baseline(date) * across / np.linalg.norm(across)
    vectors = {}
    for name, seconds in (("PRE", -5.0), ("POST", 5.0)):
        stamp = f"{scene.time(date) + datetime.timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S.%f}"
        at = position + seconds * velocity
        vectors[f"SV_POSITION_{name}"] = ",".join([*(f"{value:.6f}" for value in at), stamp])
        vectors[f"SV_VELOCITY_{name}"] = ",".join([*(f"{value:.6f}" for value in velocity), stamp])
    return vectors


def _local_axes(lon: float, lat: float) -> Array:
    """Unit vectors east, north, up in the earth-fixed frame, rows of a (3, 3) matrix."""
    lon, lat = np.deg2rad(lon), np.deg2rad(lat)
    east = [-np.sin(lon), np.cos(lon), 0.0]
    north = [-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)]
    up = [np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)]
    return np.array([east, north, up])
