"""The source of an event from InSAR and GNSS together, or from GNSS alone.

It comes after the verdict and never enters it: a source that has seen the stations would predict them well. GNSS comes
as a plain table of offsets; the relative weight of the two is that of their noise models (points of a map share their
noise, `inversion.CORRELATED_POINTS`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.optimize import least_squares

from slipscan.forward.okada import okada_surface
from slipscan.source.inversion import CORRELATED_POINTS, MAX_DEPTH_TOP_KM, MAX_LENGTH_KM, MAX_WIDTH_KM, MIN_DIP_DEG
from slipscan.source.projection import FaultProblem, Observations
from slipscan.source.sources import Fault, top_edge

Float = NDArray[np.float64]

SEARCH_POINTS = 300
PRIOR_STD = np.array([10.0, 10.0, 3.0, 30.0, 20.0, 0.7, 0.7])
"""Of a fault's shape (km, km, km, deg, deg, ln km, ln km) about InSAR's, where GNSS stands alone."""
EVALUATIONS = 40


@dataclass(frozen=True)
class Offsets:
    """What GNSS stations did during an event.

    Attributes
    ----------
    east, north
        (station,) metres, in the frame of the source
    displacement, covariance
        (station * 3,) east, north, up of each station, metres, and (station * 3, station * 3)
    """

    east: Float
    north: Float
    displacement: Float
    covariance: Float


class JointProblem(FaultProblem):
    """A fault's shape to the residuals of maps and of stations; slip and the maps' offsets are solved linearly."""

    def __init__(self, points: Observations, offsets: Offsets, poisson_ratio: float) -> None:
        super().__init__(points, poisson_ratio)
        self._factor = np.linalg.cholesky(offsets.covariance)
        self._station = torch.from_numpy(offsets.east), torch.from_numpy(offsets.north)
        # Residuals are divided by sqrt(CORRELATED_POINTS) later on, which concerns the maps alone.
        self._weight = np.sqrt(CORRELATED_POINTS)
        white = self._weight * solve_triangular(self._factor, offsets.displacement, lower=True)
        self.data = np.concatenate([self.data, white])
        self.offsets = np.concatenate([self.offsets, np.zeros((len(white), self.offsets.shape[1]))])

    def project(self, shapes: Float) -> tuple[Float, Float]:
        """Weighted residuals (source, point + station * 3), and linear parameters (source, component + offset)."""
        of_maps = self.columns(shapes) / self.points.std[None, :, None]
        response = np.concatenate([of_maps, self._of_stations(shapes)], axis=1)
        matrix = np.concatenate([response, np.broadcast_to(self.offsets, (len(shapes), *self.offsets.shape))], -1)
        scale = np.sqrt((matrix**2).sum(axis=1)) + 1e-300
        matrix = matrix / scale[:, None, :]
        normal = matrix.transpose(0, 2, 1) @ matrix + 1e-9 * np.eye(matrix.shape[-1])
        linear = np.linalg.solve(normal, np.einsum("spk,p->sk", matrix, self.data)[..., None])[..., 0]
        return self.data - np.einsum("spk,sk->sp", matrix, linear), linear / scale

    def _of_stations(self, shapes: Float) -> Float:
        """Whitened responses (source, station * 3, 2) to a metre of left-lateral slip and of thrust."""
        e, n, top, strike, dip, length, width = shapes.T
        wide = 1e3 * np.exp(width)
        e0, n0, _ = top_edge(1e3 * e, 1e3 * n, 1e3 * top, strike, dip, wide)
        parts = []
        for rake in (0.0, 90.0):
            moved = okada_surface(
                *self._station, east0=torch.from_numpy(e0), north0=torch.from_numpy(n0),
                depth_top=torch.from_numpy(1e3 * top), strike_deg=torch.from_numpy(strike),
                dip_deg=torch.from_numpy(dip), length=torch.from_numpy(1e3 * np.exp(length)),
                width=torch.from_numpy(wide), rake_deg=rake, slip=1.0, poisson_ratio=self.poisson_ratio,
            )  # fmt: skip
            flat = moved.numpy().reshape(len(shapes), -1)
            parts.append(self._weight * solve_triangular(self._factor, flat.T, lower=True).T)
        return np.stack(parts, axis=-1)


_NONE = np.empty(0)
NO_POINTS = Observations(
    _NONE, _NONE, _NONE, _NONE, np.empty((0, 3)), np.empty(0, np.int64), np.empty(0, dtype=bool)
)  # fmt: skip


def invert_joint(points: Observations, offsets: Offsets, start: Fault, poisson_ratio: float) -> Fault:
    """Find the fault that explains maps and stations best, from InSAR's.

    Parameters
    ----------
    points
        the maps of the event, in the frame of `offsets`; `NO_POINTS`: GNSS alone, whose few stations cannot tell
        a fault's shape, which is then held near the start's (`PRIOR_STD`)
    start
        InSAR's fault

    Returns
    -------
    fault
        of the lowest sum of squares that the search meets
    """
    problem = JointProblem(points.thinned(SEARCH_POINTS) if len(points.value) else points, offsets, poisson_ratio)
    first = _shape(start)
    lower = np.array([-np.inf, -np.inf, 0.0, -np.inf, MIN_DIP_DEG, -2.0, -2.0])
    upper = np.array([np.inf, np.inf, MAX_DEPTH_TOP_KM, np.inf, 90.0, np.log(MAX_LENGTH_KM), np.log(MAX_WIDTH_KM)])
    first = np.clip(first, lower + 1e-6, upper - 1e-6)
    alone = not len(points.value)

    def residuals(shapes: Float) -> Float:
        parts = [problem.project(shapes)[0] / np.sqrt(CORRELATED_POINTS), problem.prior(shapes)]
        return np.concatenate([*parts, (shapes - first) / PRIOR_STD] if alone else parts, axis=1)

    def jacobian(shape: Float) -> Float:
        steps = np.where(shape + problem.steps > upper, -problem.steps, problem.steps)
        values = residuals(np.vstack([shape[None], shape[None] + np.diag(steps)]))
        return (values[1:] - values[0]).T / steps

    found = least_squares(
        lambda shape: residuals(shape[None])[0], first, jacobian, bounds=(lower, upper), x_scale=problem.scales,
        max_nfev=EVALUATIONS, ftol=1e-5, xtol=1e-5, gtol=1e-8,
    )  # fmt: skip
    shape = np.asarray(found.x)
    source = problem.source(shape, problem.project(shape[None])[1][0])
    assert isinstance(source, Fault)
    return source


def _shape(fault: Fault) -> Float:
    """The parameters of `FaultProblem` of a fault."""
    top = fault.depth - 0.5 * fault.width * np.sin(np.deg2rad(fault.dip_deg))
    return np.array([
        fault.east / 1e3, fault.north / 1e3, max(top, 0.0) / 1e3, fault.strike_deg, fault.dip_deg,
        np.log(fault.length / 1e3), np.log(fault.width / 1e3),
    ])  # fmt: skip
