"""The sources that slipscan fits, and the displacement of the ground that they predict.

A source is described by its CENTRE in a local metric frame (transverse Mercator about a point, so that its
north is true north and lengths are true); the event table gives the centre in longitude and latitude.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from slipscan.geometry import from_lonlat
from slipscan.source.frames import local_crs as local_crs

if TYPE_CHECKING:
    from torch import Tensor

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Fault:
    """Uniform slip of a rectangle (Okada 1985).

    Attributes
    ----------
    east, north, depth
        of the centre, metres, depth positive down
    strike_deg, dip_deg
        Aki & Richards: the fault dips to the right of the strike
    length, width
        metres, along strike and down dip
    strike_slip, dip_slip
        metres; positive is left-lateral, and thrust
    """

    east: float
    north: float
    depth: float
    strike_deg: float
    dip_deg: float
    length: float
    width: float
    strike_slip: float
    dip_slip: float

    @property
    def slip(self) -> float:
        """Size of the slip vector, metres."""
        return math.hypot(self.strike_slip, self.dip_slip)

    @property
    def rake_deg(self) -> float:
        """Aki & Richards: 0 left-lateral, 90 thrust, 180 right-lateral, -90 normal; -180 < rake <= 180."""
        rake = math.degrees(math.atan2(self.dip_slip, self.strike_slip))
        return 180.0 if rake == -180.0 else rake

    @property
    def potency_m3(self) -> float:
        """Slip times area."""
        return self.slip * self.length * self.width


@dataclass(frozen=True)
class VolumeSource:
    """A point that changes its volume (Mogi 1958): centre in metres, volume change in m3, + inflation."""

    east: float
    north: float
    depth: float
    volume_change: float


@dataclass(frozen=True)
class Sheet:
    """A sill, dike or aquifer (`models.KINDS`): centre, lengths in metres, volume change in m3, + inflation."""

    model: str
    east: float
    north: float
    depth: float
    strike_deg: float
    dip_deg: float
    length: float
    width: float
    volume_change: float


Source = Fault | VolumeSource | Sheet


def top_edge(
    east: Float, north: Float, depth_top: Float, strike_deg: Float, dip_deg: Float, width: Float
) -> tuple[Float, Float, Float]:
    """Where the centre of the top edge lies above ground when (east, north) is the fault's centre.

    Returns
    -------
    east0, north0, depth
        of the top edge's centre in plan, and the depth of the fault's centre, metres
    """
    across = 0.5 * width * np.cos(np.deg2rad(dip_deg))
    to_the_right = np.deg2rad(strike_deg + 90.0)
    depth = depth_top + 0.5 * width * np.sin(np.deg2rad(dip_deg))
    return east - across * np.sin(to_the_right), north - across * np.cos(to_the_right), depth


def displacement(source: Source, east: Float, north: Float, poisson_ratio: float = 0.25) -> Float:
    """Displacement (point, 3) east, north, up, metres, of a source at points (point,) of its own frame."""
    import torch  # takes seconds to start: who reads and joins tables does without

    from slipscan.forward.mogi import mogi_surface
    from slipscan.forward.okada import okada_surface

    points = torch.from_numpy(np.ascontiguousarray(east)), torch.from_numpy(np.ascontiguousarray(north))
    if isinstance(source, VolumeSource):
        moved = mogi_surface(
            *points, east0=source.east, north0=source.north, depth=source.depth,
            volume_change=source.volume_change, poisson_ratio=poisson_ratio,
        )  # fmt: skip
        return np.asarray(moved[0].numpy())
    if isinstance(source, Sheet):
        return _sheet_displacement(source, *points, poisson_ratio)
    half_height = 0.5 * source.width * math.sin(math.radians(source.dip_deg))
    # Rounding of the table's kilometres must not lift the top edge above the ground.
    depth_top = max(0.0, source.depth - half_height)
    east0, north0, _ = top_edge(
        *(np.array(v) for v in (source.east, source.north, depth_top, source.strike_deg, source.dip_deg, source.width))
    )
    moved = okada_surface(
        *points, east0=float(east0), north0=float(north0), depth_top=depth_top, strike_deg=source.strike_deg,
        dip_deg=source.dip_deg, length=source.length, width=source.width, rake_deg=source.rake_deg,
        slip=source.slip, poisson_ratio=poisson_ratio,
    )  # fmt: skip
    return np.asarray(moved[0].numpy())


def _sheet_displacement(source: Sheet, east: Tensor, north: Tensor, poisson_ratio: float) -> Float:
    import torch

    from slipscan.source.models import KINDS

    half_height = 0.5 * source.width * math.sin(math.radians(source.dip_deg))
    numbers = {
        "east": source.east, "north": source.north, "depth": source.depth, "strike": source.strike_deg,
        "dip": source.dip_deg, "length": source.length, "width": source.width,
        "depth_top": max(0.0, source.depth - half_height),
    }  # fmt: skip
    shape = {name: torch.tensor([value], dtype=torch.float64) for name, value in numbers.items()}
    moved = KINDS[source.model].moved(east, north, shape, poisson_ratio)
    return source.volume_change * np.asarray(moved[0].numpy())


def source_of(event: Mapping[str, Any]) -> Source | None:
    """The source of a row of the event table, in the local frame about its own centre; None without one."""
    depth = 1e3 * float(event["depth_km"])
    if math.isfinite(float(event["slip_mm"])):
        slip, rake = 1e-3 * float(event["slip_mm"]), math.radians(float(event["rake_deg"]))
        return Fault(
            0.0, 0.0, depth, float(event["strike_deg"]), float(event["dip_deg"]),
            1e3 * float(event["length_km"]), 1e3 * float(event["width_km"]),
            slip * math.cos(rake), slip * math.sin(rake),
        )  # fmt: skip
    model = str(event.get("source_model", ""))
    if model in ("sill", "dike", "aquifer"):
        return Sheet(
            model, 0.0, 0.0, depth, float(event["strike_deg"]), float(event["dip_deg"]),
            1e3 * float(event["length_km"]), 1e3 * float(event["width_km"]), float(event["volume_change_m3"]),
        )  # fmt: skip
    if math.isfinite(float(event["volume_change_m3"])):
        return VolumeSource(0.0, 0.0, depth, float(event["volume_change_m3"]))
    return None


def predict(event: Mapping[str, Any], longitude: Float, latitude: Float, poisson_ratio: float = 0.25) -> Float | None:
    """Displacement (point, 3) east, north, up, metres, that an event's source predicts at points; None without one."""
    source = source_of(event)
    if source is None:
        return None
    frame = local_crs(float(event["longitude"]), float(event["latitude"]))
    east, north = from_lonlat(np.asarray(longitude, float), np.asarray(latitude, float), frame)
    return displacement(source, np.atleast_1d(east), np.atleast_1d(north), poisson_ratio)
