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
NEAR_DEPTH, NEAR_SIDE = 1.6, 2.0
"""Factors of the depth and of the side, as a spacing is of the place."""
KINDS = ("slip", "volume", "opening")
SHAPE = ("east", "north", "depth", "strike_deg", "dip_deg", "side")
FREE = ((True,) * 6, (True, True, True, False, False, False), (True, True, True, True, False, True))
"""Numbers of SHAPE that a source of each kind has."""
_FACTORS = np.array([name in ("depth", "side") for name in SHAPE])


@dataclass(frozen=True)
class SourceBank:
    """Displacements of unit sources at stations.

    Attributes
    ----------
    kind
        (source,) number in KINDS
    shape
        (source, 6) by SHAPE: metres from the middle of the network, degrees; middle and side of a square patch
    columns
        (source, 2, 3, station) east, north, up of two amplitudes that are free: slip along strike and down dip;
        the second is zero for volumes and cracks
    stations
        (station, 2) east and north, metres
    spacing
        of the lattice, metres
    """

    kind: NDArray[np.int64]
    shape: Float
    columns: Float
    stations: Float
    spacing: float

    def near(self, kind: int, shape: Float, finer: float) -> SourceBank:
        """Sources like one of `kind` and `shape`, a lattice spacing over `finer` away in each number that it has."""
        way = np.arange(-1.0, 2.0) / finer
        changes = (
            self.spacing * way, self.spacing * way, NEAR_DEPTH**way, STRIKES[1] * way, (DIPS[1] - DIPS[0]) * way,
            NEAR_SIDE**way,
        )  # fmt: skip
        free = (c if there else c[1:2] for c, there in zip(changes, FREE[kind], strict=True))
        grid = np.stack(np.meshgrid(*free, indexing="ij"), axis=-1).reshape(-1, len(SHAPE))
        tried = np.where(_FACTORS, shape * grid, shape + grid)
        tried[:, 4] = np.clip(tried[:, 4], min(1.0, shape[4]), 90.0)
        return _bank(self.stations, np.full(len(tried), kind), tried, self.spacing)


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
    kind = np.repeat([0, 2, 1], [len(grid) for grid in grids])
    return _bank(np.stack([east, north], axis=1), kind, np.concatenate(grids), spacing)


def _bank(stations: Float, kind: NDArray[np.int64], shape: Float, spacing: float) -> SourceBank:
    """Sources of these kinds and shapes."""
    points = torch.as_tensor(stations[:, 0].copy()), torch.as_tensor(stations[:, 1].copy())
    columns = np.zeros((len(kind), 2, len(stations), 3))
    slip, volume, crack = (kind == number for number in range(len(KINDS)))
    for amplitude, rake in enumerate((0.0, 90.0)):
        columns[slip, amplitude] = _okada(points, shape[slip], rake, 0.0)
    columns[crack, 0] = _okada(points, shape[crack], 0.0, 1.0)
    e, n, depth = (torch.as_tensor(shape[volume, i].copy()) for i in range(3))
    change = torch.as_tensor(1e6)
    columns[volume, 0] = mogi_surface(*points, east0=e, north0=n, depth=depth, volume_change=change).numpy()
    return SourceBank(kind, shape, columns.transpose(0, 1, 3, 2), stations, spacing)


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
    """Rows by SHAPE; cracks stand upright."""
    dips = (90.0,) if opening else DIPS
    rows = product(places, DEPTHS, STRIKES, dips)
    return np.array([(*p, depth * spacing, strike, dip, PATCH * spacing) for p, depth, strike, dip in rows])


def _volumes(places: Float, spacing: float) -> Float:
    return np.array([(*place, depth * spacing, 0.0, 0.0, 0.0) for place, depth in product(places, DEPTHS)])


def _okada(points: tuple[torch.Tensor, torch.Tensor], shape: Float, rake: float, opening: float) -> Float:
    """Displacements (source, station, 3) of a metre of slip, or of opening, on square patches."""
    if not len(shape):
        return np.zeros((0, len(points[0]), 3))
    strike, dip = np.deg2rad(shape[:, 3]), np.deg2rad(shape[:, 4])
    side = shape[:, 5]
    # From the middle of a patch up dip to the middle of its top edge, but not into the air.
    rise = np.minimum(side / 2 * np.sin(dip), shape[:, 2] - 1.0)
    back = rise / np.tan(np.maximum(dip, 1e-3))
    east, north = shape[:, 0] - back * np.cos(strike), shape[:, 1] + back * np.sin(strike)
    tensors = (
        torch.as_tensor(np.ascontiguousarray(v))
        for v in (east, north, shape[:, 2] - rise, shape[:, 3], shape[:, 4], side)
    )
    e, n, top, strike_deg, dip_deg, length = tensors
    return np.asarray(
        okada_surface(
            *points, east0=e, north0=n, depth_top=top, strike_deg=strike_deg, dip_deg=dip_deg, length=length,
            width=length, rake_deg=rake, slip=1.0 - opening, opening=opening,
        ).numpy()
    )  # fmt: skip
