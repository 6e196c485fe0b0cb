"""Shapes of sources to residuals of maps: slip components, volume and offsets solved linearly inside.

Variable projection (Golub & Pereyra 1973): least squares over the shape alone, many shapes in one batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from slipscan.forward.mogi import mogi_surface
from slipscan.forward.okada import okada_surface
from slipscan.source.sources import Fault, Float, Source, VolumeSource, top_edge

ASPECT = (2.0, 1.0)
"""Prior of length over width: median, and standard deviation of its logarithm."""


@dataclass(frozen=True)
class Observations:
    """Points of the maps of one event.

    Attributes
    ----------
    east, north
        (point,) metres, local frame
    value, std
        (point,) line-of-sight displacement and its standard deviation, metres, + toward the satellite
    los
        (point, 3) unit vector ground to satellite
    track
        (point,) 0, 1, ...: each track has an offset of its own
    near
        (point,) whether a point lies in the footprint's neighbourhood
    """

    east: Float
    north: Float
    value: Float
    std: Float
    los: Float
    track: NDArray[np.int64]
    near: NDArray[np.bool_]

    def thinned(self, count: int) -> Observations:
        """About `count` of the points, evenly taken."""
        rows = np.arange(0, len(self.value), max(1, len(self.value) // count))
        return Observations(
            self.east[rows], self.north[rows], self.value[rows], self.std[rows], self.los[rows],
            self.track[rows], self.near[rows],
        )  # fmt: skip


class VariableProjection(ABC):
    """Variable projection: shapes (source, parameter) to residuals (source, point) and linear parameters."""

    def __init__(self, points: Observations, poisson_ratio: float) -> None:
        self.points = points
        self.poisson_ratio = poisson_ratio
        self.east, self.north = torch.from_numpy(points.east), torch.from_numpy(points.north)
        offsets = points.track[:, None] == np.unique(points.track)[None, :]
        self.offsets = offsets.astype(float) / points.std[:, None]
        self.data = points.value / points.std

    @abstractmethod
    def columns(self, shapes: Float) -> Float:
        """Line-of-sight responses (source, point, component), metres per unit of the linear parameters."""

    def project(self, shapes: Float) -> tuple[Float, Float]:
        """Weighted residuals (source, point), and linear parameters (source, component + offset)."""
        response = self.columns(shapes) / self.points.std[None, :, None]
        matrix = np.concatenate([response, np.broadcast_to(self.offsets, (len(shapes), *self.offsets.shape))], -1)
        # A component that no track sees has an empty column: the ridge keeps it at zero.
        scale = np.sqrt((matrix**2).sum(axis=1)) + 1e-300
        matrix = matrix / scale[:, None, :]
        normal = matrix.transpose(0, 2, 1) @ matrix + 1e-9 * np.eye(matrix.shape[-1])
        linear = np.linalg.solve(normal, np.einsum("spk,p->sk", matrix, self.data)[..., None])[..., 0]
        return self.data - np.einsum("spk,sk->sp", matrix, linear), linear / scale

    def los_of(self, moved: torch.Tensor) -> Float:
        """Project (source, point, 3) displacements on the line of sight."""
        return np.asarray(np.einsum("spc,pc->sp", moved.numpy(), self.points.los))


class FaultProblem(VariableProjection):
    """Shapes: east, north of the centre, depth of the top (km), strike, dip (deg), ln length, ln width (ln km)."""

    steps = np.array([0.02, 0.02, 0.02, 0.2, 0.2, 0.01, 0.01])
    scales = np.array([2.0, 2.0, 1.0, 20.0, 20.0, 0.5, 0.5])

    def columns(self, shapes: Float) -> Float:
        """Responses (source, point, 2) to a metre of left-lateral slip and of thrust."""
        e, n, top, strike, dip, length, width = shapes.T
        wide = 1e3 * np.exp(width)
        e0, n0, _ = top_edge(1e3 * e, 1e3 * n, 1e3 * top, strike, dip, wide)
        # Both slip components in one call: sources come twice, with rake 0 and 90.
        twice = [torch.from_numpy(np.tile(v, 2)) for v in (e0, n0, 1e3 * top, strike, dip, 1e3 * np.exp(length), wide)]
        rake = torch.from_numpy(np.repeat([0.0, 90.0], len(shapes)))
        e0_, n0_, top_, strike_, dip_, long_, wide_ = twice
        moved = okada_surface(
            self.east, self.north, east0=e0_, north0=n0_, depth_top=top_, strike_deg=strike_, dip_deg=dip_,
            length=long_, width=wide_, rake_deg=rake, slip=1.0, poisson_ratio=self.poisson_ratio,
        )  # fmt: skip
        los = self.los_of(moved)
        return np.stack([los[: len(shapes)], los[len(shapes) :]], axis=-1)

    def prior(self, shapes: Float) -> Float:
        """Departure of length over width from the prior, in standard deviations, (source, 1)."""
        departure: Float = (shapes[:, 5:6] - shapes[:, 6:7] - np.log(ASPECT[0])) / ASPECT[1]
        return departure

    def source(self, shape: Float, linear: Float) -> Source:
        """The source of one shape and its linear parameters."""
        e, n, top, strike, dip, length, width = (float(v) for v in shape)
        wide = 1e3 * float(np.exp(width))
        depth = 1e3 * top + 0.5 * wide * float(np.sin(np.deg2rad(dip)))
        return Fault(
            1e3 * e, 1e3 * n, depth, strike % 360.0, dip, 1e3 * float(np.exp(length)), wide,
            float(linear[0]), float(linear[1]),
        )  # fmt: skip


class VolumeProblem(VariableProjection):
    """Shapes: east, north, depth (km)."""

    steps = np.array([0.02, 0.02, 0.02])
    scales = np.array([2.0, 2.0, 1.0])

    def columns(self, shapes: Float) -> Float:
        """Responses (source, point, 1) to a million cubic metres."""
        e, n, depth = (torch.from_numpy(1e3 * v) for v in shapes.T)
        moved = mogi_surface(
            self.east, self.north, east0=e, north0=n, depth=depth, volume_change=1e6,
            poisson_ratio=self.poisson_ratio,
        )  # fmt: skip
        return self.los_of(moved)[..., None]

    def prior(self, shapes: Float) -> Float:
        """No prior, (source, 0)."""
        return np.empty((len(shapes), 0))

    def source(self, shape: Float, linear: Float) -> Source:
        """The source of one shape and its linear parameters."""
        e, n, depth = (1e3 * float(v) for v in shape)
        return VolumeSource(e, n, depth, 1e6 * float(linear[0]))
