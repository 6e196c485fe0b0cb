"""Rigid motion of tectonic plates, seen along the line of sight (ITRF2014; Altamimi et al. 2017, table 1).

Sentinel-1's orbits are given in the ITRF, so that a region rides with its plate through a track: a ramp of some
millimetres a year across a frame.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

Float = NDArray[np.floating]

POLES_MAS_YR: Final = {
    "AN": (-0.248, -0.324, 0.675),
    "AR": (1.154, -0.136, 1.444),
    "AU": (1.510, 1.182, 1.215),
    "EU": (-0.085, -0.531, 0.770),
    "IN": (1.154, -0.005, 1.454),
    "NA": (0.024, -0.694, -0.063),
    "NB": (0.099, -0.614, 0.733),
    "NZ": (-0.333, -1.544, 1.623),
    "PA": (-0.409, 1.047, -2.169),
    "SA": (-0.270, -0.301, -0.140),
    "SO": (-0.121, -0.794, 0.884),
}
"""Rotation vectors (x, y, z) of the plates, milliarcseconds a year; two letters as in Bird (2003)."""
_RAD_PER_MAS = np.pi / 180 / 3.6e6


def velocity(plate: str, lon: Float, lat: Float) -> Float:
    """Return the motion of a plate at places of any shape (degrees), (3, ...) m/yr east, north, up."""
    omega = np.asarray(POLES_MAS_YR[plate]) * _RAD_PER_MAS
    place = np.stack(Transformer.from_crs(4326, 4978, always_xy=True).transform(lon, lat, np.zeros_like(lon)))
    moved = np.cross(omega, np.moveaxis(place, 0, -1))
    east_axis, north_axis = np.deg2rad(lon), np.deg2rad(lat)
    zero = np.zeros_like(east_axis)
    east = np.stack([-np.sin(east_axis), np.cos(east_axis), zero], -1)
    north = np.stack(
        [-np.sin(north_axis) * np.cos(east_axis), -np.sin(north_axis) * np.sin(east_axis), np.cos(north_axis)], -1
    )
    # A rotation moves along the sphere; against the ellipsoid's vertical it leaves at most 0.2 % in up.
    return np.stack([(moved * east).sum(-1), (moved * north).sum(-1), zero])
