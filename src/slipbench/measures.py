"""One estimate against the truth of its scene: the numbers that every table of slipbench is made of."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from slipbench.estimate import Estimate
from slipbench.scenes import Scene

FOOTPRINT: Final = 0.3
"""Share of a map's largest value from which a pixel belongs to its footprint."""
MIN_OVERLAP: Final = 0.2
MAX_T50_ERROR_D: Final = 24.0
"""A hit has IoU > 0.2 and |t50 error| <= 24 d (docs/science.md section 10.17)."""


def measure(scene: Scene, estimate: Estimate) -> dict[str, float]:
    """Compare the strongest event of an estimate with the truth, over the valid pixels.

    Returns
    -------
    measures
        'score'; 'rms_mm' of the estimated map; and, where the scene has an event: 'rmse_mm', 'nrmse' (RMSE over RMS
        of the truth: 1 = a map of zeros), 'nrmse_constant' (the error's mean taken out; never a plane), 'slope'
        <estimate, truth> / <truth, truth>, 'correlation', 'overlap' (IoU of the footprints), 't50_error_d', 'hit'
    """
    found, truth = estimate.map[scene.valid].astype(float), scene.map[scene.valid].astype(float)
    out = {"score": float(estimate.score), "rms_mm": 1e3 * _rms(found)}
    size = _rms(truth)
    if size == 0:
        return out
    error = found - truth
    spread = float(found.std() * truth.std())
    overlap = footprint_overlap(found, truth)
    t50_error = float(estimate.t50_d - scene.t50_d)
    return {
        **out,
        "rmse_mm": 1e3 * _rms(error),
        "nrmse": _rms(error) / size,
        "nrmse_constant": float(error.std()) / size,
        "slope": float(found @ truth) / float(truth @ truth),
        "correlation": float(np.mean((found - found.mean()) * (truth - truth.mean()))) / spread if spread > 0 else 0.0,
        "overlap": overlap,
        "t50_error_d": t50_error,
        "hit": float(overlap > MIN_OVERLAP and abs(t50_error) <= MAX_T50_ERROR_D),
    }


def footprint_overlap(found: NDArray[np.floating], truth: NDArray[np.floating]) -> float:
    """Intersection over union of two footprints; 0 for a map of zeros."""
    if not np.any(found):
        return 0.0
    one, other = (np.abs(field) >= FOOTPRINT * np.abs(field).max() for field in (found, truth))
    return float((one & other).sum() / (one | other).sum())


def _rms(values: NDArray[np.floating]) -> float:
    return math.sqrt(float(np.mean(values**2)))
