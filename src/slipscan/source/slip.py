"""Slip distributed over a mapped fault: patches, with their smoothness and size chosen by evidence.

Slip has the prior covariance a^2 exp(-distance / l) (Radiguet et al. 2011): posterior and evidence are closed forms for
every a and l, and the mean over both, weighed by evidence, is the answer (Yabuki & Matsu'ura 1992 chose the best one).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from slipscan.earthquakes import moment_magnitude
from slipscan.forward.okada import okada_surface
from slipscan.source.data import Block
from slipscan.source.faults import MappedFault

Float = NDArray[np.float64]

CORRELATIONS_M: Final = (1e3, 2e3, 4e3, 8e3, 16e3, 32e3)
SIZES_M: Final = tuple(float(v) for v in np.geomspace(1e-3, 3.0, 12))
DEEPEST_M: Final = 25e3
ALONG, DOWN = 14, 8
"""Patches along strike and down dip."""
DRAWS: Final = 400


@dataclass(frozen=True)
class SlipModel:
    """Slip of patches in one direction.

    Attributes
    ----------
    east, north, depth
        (patch,) centres, metres, in the local frame
    length, width, strike_deg, dip_deg, rake_deg
        of every patch
    slip, slip_std
        (patch,) mean and standard deviation, metres
    correlation_m, size_m
        of the prior with most evidence
    log_evidence
        over no source, mean over the priors
    mw
        16, 50 and 84 % of the moment magnitude at 30 GPa
    """

    east: Float
    north: Float
    depth: Float
    length: float
    width: float
    strike_deg: float
    dip_deg: float
    rake_deg: float
    slip: Float
    slip_std: Float
    correlation_m: float
    size_m: float
    log_evidence: float
    mw: tuple[float, float, float]


@dataclass(frozen=True)
class _Plane:
    """Patches (patch,) of a plane, metres: centres, middles of the top edges, and distances along the plane."""

    strike: float
    dip: float
    length: float
    width: float
    east: Float
    north: Float
    depth: Float
    top_east: Float
    top_north: Float
    top: Float
    distance: Float


def _plane(fault: MappedFault, dip: float, half: float) -> _Plane:
    """The plane below a trace, `half` metres to either side of its nearest point."""
    strike, east0, north0 = fault.nearest
    sine, cosine = math.sin(math.radians(dip)), math.cos(math.radians(dip))
    length, width = 2 * half / ALONG, min(DEEPEST_M / max(sine, 0.17), 3 * half) / DOWN
    along, down = (np.arange(ALONG) + 0.5) * length - half, (np.arange(DOWN) + 0.5) * width
    u, v = (axis.ravel() for axis in np.meshgrid(along, down))
    e, n = math.sin(math.radians(strike)), math.cos(math.radians(strike))
    # Down dip is to the right of the strike.
    east, north = east0 + u * e + v * cosine * n, north0 + u * n - v * cosine * e
    up = 0.5 * width
    return _Plane(
        strike, dip, length, width, east, north, v * sine, east - up * cosine * n, north + up * cosine * e,
        np.maximum(0.0, (v - up) * sine), np.hypot(u[:, None] - u, v[:, None] - v),
    )  # fmt: skip


def distribute(
    blocks: Sequence[Block],
    fault: MappedFault,
    dip_deg: float,
    rake_deg: float,
    reach_m: float,
    seed: int,
    poisson_ratio: float = 0.25,
) -> SlipModel:
    """Distribute slip over the plane below a mapped fault's trace.

    Parameters
    ----------
    blocks
        data of the event
    fault
        its part near the origin of the frame: the plane is `reach_m` long to either side of the nearest point, and
        dips to the right of the trace's direction
    dip_deg, rake_deg
        of plane and slip
    reach_m
        half length of the plane; half of it again is added
    seed
        of the draws that the magnitude's quantiles are taken of
    """
    plane = _plane(fault, fault.dip_deg if fault.dip_deg is not None else dip_deg, 1.5 * reach_m)
    response, value = [], []
    for block in blocks:
        moved = okada_surface(
            torch.from_numpy(block.east), torch.from_numpy(block.north), east0=torch.from_numpy(plane.top_east),
            north0=torch.from_numpy(plane.top_north), depth_top=torch.from_numpy(plane.top), strike_deg=plane.strike,
            dip_deg=plane.dip, length=plane.length, width=plane.width, rake_deg=rake_deg, slip=1.0,
            poisson_ratio=poisson_ratio,
        ).numpy()  # fmt: skip
        response.append(block.whitened(np.einsum("spc,pc->ps", moved, block.direction)))
        value.append(block.whitened(block.value))
    mean, covariance, best, log_evidence = _posterior(np.concatenate(response), np.concatenate(value), plane.distance)
    drawn = np.random.default_rng(seed).multivariate_normal(mean, covariance, DRAWS, method="eigh")
    potency = np.maximum(drawn.sum(axis=1) * plane.length * plane.width, 1.0)
    quantiles = np.quantile([moment_magnitude(p) for p in potency], (0.16, 0.5, 0.84))
    return SlipModel(
        plane.east, plane.north, plane.depth, plane.length, plane.width, plane.strike, plane.dip, rake_deg,
        mean, np.sqrt(np.diag(covariance)), best[0], best[1], log_evidence,
        (float(quantiles[0]), float(quantiles[1]), float(quantiles[2])),
    )  # fmt: skip


def _posterior(response: Float, value: Float, distance: Float) -> tuple[Float, Float, tuple[float, float], float]:
    """Mean and covariance of slip over all priors, the prior with most evidence, and the mean log evidence."""
    normal, right = response.T @ response, response.T @ value
    each = []
    for correlation in CORRELATIONS_M:
        root = np.linalg.cholesky(np.exp(-distance / correlation) + 1e-6 * np.eye(len(distance)))
        size, vectors = np.linalg.eigh(root.T @ normal @ root)
        size = np.maximum(size, 0.0)
        turned, basis = vectors.T @ (root.T @ right), root @ vectors
        for a in SIZES_M:
            gain = 1.0 / (size + a**-2)
            log_evidence = 0.5 * float((turned**2 * gain).sum() - np.log1p(a**2 * size).sum())
            each.append((log_evidence, (correlation, a), basis @ (turned * gain), basis, gain))
    evidence = np.array([e[0] for e in each])
    weight = np.exp(evidence - np.logaddexp.reduce(evidence))
    mean = np.einsum("k,kp->p", weight, np.array([e[2] for e in each]))
    covariance = np.zeros_like(normal)
    for share, (_, _, own, basis, gain) in zip(weight, each, strict=True):
        if share > 1e-4:
            covariance += share * ((basis * gain) @ basis.T + np.outer(own - mean, own - mean))
    best = each[int(evidence.argmax())][1]
    return mean, covariance, best, float(np.logaddexp.reduce(evidence)) - math.log(len(each))
