"""What sources could do to the stations of a network: fault patches, volumes and opening cracks on a lattice."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray

from slipscan.forward.mogi import mogi_surface
from slipscan.forward.okada import okada_surface
from slipscan.geometry import from_lonlat
from slipscan.source.sources import local_crs

Float = NDArray[np.float64]

SPACING_M = 5e3
"""Of the lattice at least; wider where the network is so wide that more than `PLACES` places would be tried."""
PLACES = 150
PATCH = 1.6
DEPTHS = (0.6, 1.6)
"""Side of a patch and depths of the middles, in spacings."""
STRIKES, DIPS = (0.0, 30.0, 60.0, 90.0, 120.0, 150.0), (10.0, 45.0, 80.0)
MARGIN = 1.5
"""The lattice ends so many spacings outside the stations."""
KINDS = ("slip", "volume", "opening")


@dataclass(frozen=True)
class SourceBank:
    """Displacements of unit sources at stations.

    Attributes
    ----------
    kind
        (source,) number in KINDS
    east, north, depth, strike_deg, dip_deg
        (source,) metres from the middle of the network, degrees; middle of a patch
    columns
        (source, 2, 3, station) east, north, up of two amplitudes that are free: slip along strike and down dip;
        the second is zero for volumes and cracks
    """

    kind: NDArray[np.int64]
    east: Float
    north: Float
    depth: Float
    strike_deg: Float
    dip_deg: Float
    columns: Float


def station_metres(longitude: Float, latitude: Float) -> tuple[Float, Float]:
    """East and north of stations from their middle, metres."""
    middle = float(np.mean(longitude)), float(np.mean(latitude))
    east, north = from_lonlat(longitude, latitude, local_crs(*middle))
    return np.asarray(east, float), np.asarray(north, float)


def source_bank(longitude: Float, latitude: Float) -> SourceBank:
    """Sources below and around stations (station,) at longitudes and latitudes in degrees."""
    east, north = station_metres(longitude, latitude)
    spacing = _spacing(east, north)
    places = _lattice(east, north, spacing)
    grids = [_faults(places, spacing, opening=False), _faults(places, spacing, opening=True), _volumes(places, spacing)]
    points = torch.as_tensor(east), torch.as_tensor(north)
    slips = [_okada(points, grids[0], spacing, rake, 0.0) for rake in (0.0, 90.0)]
    cracks = _okada(points, grids[1], spacing, 0.0, 1.0)
    e, n, depth = (torch.as_tensor(grids[2][:, i].copy()) for i in range(3))
    volumes = mogi_surface(*points, east0=e, north0=n, depth=depth, volume_change=torch.as_tensor(1e6)).numpy()
    columns = np.zeros((sum(map(len, grids)), 2, len(east), 3))
    columns[: len(grids[0]), 0], columns[: len(grids[0]), 1] = slips
    columns[len(grids[0]) :, 0] = np.concatenate([cracks, volumes])
    whole = np.concatenate(grids)
    kind = np.repeat([0, 2, 1], [len(grid) for grid in grids])
    east0, north0, middle, strike, dip = whole.T
    return SourceBank(kind, east0, north0, middle, strike, dip, columns.transpose(0, 1, 3, 2))


def _spacing(east: Float, north: Float) -> float:
    """Of the lattice, metres."""
    area = float((np.ptp(east) + 2 * MARGIN * SPACING_M) * (np.ptp(north) + 2 * MARGIN * SPACING_M))
    return max(SPACING_M, float(np.sqrt(area / PLACES)))


def _lattice(east: Float, north: Float, spacing: float) -> Float:
    """Places (place, 2) whose next station is not farther than the margin and a network's gaps allow."""
    axes = [np.arange(a.min() - MARGIN * spacing, a.max() + MARGIN * spacing + 1.0, spacing) for a in (east, north)]
    places = np.array(list(product(*axes)))
    away = np.hypot(places[:, :1] - east, places[:, 1:] - north).min(axis=1)
    return places[away <= 4.0 * spacing]


def _faults(places: Float, spacing: float, opening: bool) -> Float:
    """Rows of east, north, depth, strike, dip; cracks stand upright."""
    dips = (90.0,) if opening else DIPS
    rows = product(places, DEPTHS, STRIKES, dips)
    return np.array([(*place, depth * spacing, strike, dip) for place, depth, strike, dip in rows])


def _volumes(places: Float, spacing: float) -> Float:
    return np.array([(*place, depth * spacing, 0.0, 0.0) for place, depth in product(places, DEPTHS)])


def _okada(
    points: tuple[torch.Tensor, torch.Tensor], grid: Float, spacing: float, rake: float, opening: float
) -> Float:
    """Displacements (source, station, 3) of a metre of slip, or of opening, on square patches."""
    side = PATCH * spacing
    strike, dip = np.deg2rad(grid[:, 3]), np.deg2rad(grid[:, 4])
    # From the middle of a patch up dip to the middle of its top edge, but not into the air.
    rise = np.minimum(side / 2 * np.sin(dip), grid[:, 2] - 1.0)
    back = rise / np.tan(np.maximum(dip, 1e-3))
    east, north = grid[:, 0] - back * np.cos(strike), grid[:, 1] + back * np.sin(strike)
    tensors = (
        torch.as_tensor(np.ascontiguousarray(v)) for v in (east, north, grid[:, 2] - rise, grid[:, 3], grid[:, 4])
    )
    e, n, top, strike_deg, dip_deg = tensors
    return np.asarray(
        okada_surface(
            *points, east0=e, north0=n, depth_top=top, strike_deg=strike_deg, dip_deg=dip_deg, length=side, width=side,
            rake_deg=rake, slip=1.0 - opening, opening=opening,
        ).numpy()
    )  # fmt: skip
