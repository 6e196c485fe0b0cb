"""An event against GNSS: projection on the line of sight, samples of the InSAR map, and the verdict.

Stations are judged against what is PREDICTED there (docs/science.md section 10.9): a station where the event
would move the ground by less than its noise says nothing, and that is no mark against the event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slipscan.gnss.steps import Step
from slipscan.gnss.tenv3 import Station
from slipscan.gnss.trajectory import Interval, fit_transient
from slipscan.settings import GnssSettings

Float = NDArray[np.float64]

PREDICTION_ERROR = 0.3
"""Relative standard deviation of the size of a prediction: of slip fitted to denoised maps."""
SENSITIVE = 9.0
"""Expected chi square (3 sigma) of the predicted displacement below which the stations are insensitive."""


def project(displacement: Float, covariance: Float, los: Float) -> tuple[float, float]:
    """Line-of-sight displacement d = e E + n N + u U and its standard deviation, with the full covariance.

    Parameters
    ----------
    displacement, covariance
        (3,) and (3, 3): east, north, up; or (n,) and (n, n) of several stations
    los
        (3,) unit vector ground to satellite; or (n,), zero at all other stations
    """
    return float(los @ displacement), float(np.sqrt(los @ covariance @ los))


def sample(
    values: Float, std: Float, x: Float, y: Float, point: tuple[float, float], radius_m: float
) -> tuple[float, float]:
    """Median of a map (y, x) and of its standard deviation within `radius_m` of a point.

    The pixel that holds the point counts always; NaN where no valid pixel lies within. Neighbouring pixels
    share their errors, so the median is no better known than a pixel.
    """
    half_x, half_y = (abs(float(axis[1] - axis[0])) / 2 if len(axis) > 1 else radius_m for axis in (x, y))
    dx, dy = np.abs(x - point[0])[None, :], np.abs(y - point[1])[:, None]
    inside = (np.hypot(dx, dy) <= radius_m) | ((dx <= half_x) & (dy <= half_y))
    inside &= np.isfinite(values) & np.isfinite(std)
    if not inside.any():
        return float("nan"), float("nan")
    return float(np.median(values[inside])), float(np.median(std[inside]))


@dataclass(frozen=True)
class Judgement:
    """A verdict (one of events.GNSS_VERDICTS), the log likelihood ratio of event against no event, its strength."""

    verdict: str
    log_likelihood_ratio: float
    expected_strength: float


def judge(
    observed: Float,
    covariance: Float,
    predicted: Float,
    min_log_likelihood_ratio: float,
    predicted_std: Float | float = 0.0,
) -> Judgement:
    """Weigh the event against no event.

    Parameters
    ----------
    observed, covariance
        (n,) displacements that GNSS measured, and (n, n): all stations together
    predicted
        (n,) displacements that the event would make there
    min_log_likelihood_ratio
        needed for 'confirmed' (positive) or 'contradicted' (negative)
    predicted_std
        (n,) part of the prediction's error that differs from station to station; `PREDICTION_ERROR` of its
        size, common to all, is always there

    Returns
    -------
    judgement
        log likelihood ratio: (chi2 of no event - chi2 of the prediction) / 2, each with its own covariance
        and its determinant (Gaussian marginal likelihoods); expected strength: predicted' C^-1 predicted. No
        event means no displacement, or one of the opposite sense. Since the size of the prediction is
        uncertain, silence of GNSS counts for about -6 at most.
    """
    if len(observed) == 0:
        return Judgement("no_data", float("nan"), 0.0)
    noise = covariance + np.diag(np.broadcast_to(predicted_std, observed.shape) ** 2)
    with_event = noise + PREDICTION_ERROR**2 * np.outer(predicted, predicted)
    strength = float(predicted @ np.linalg.solve(noise, predicted))
    seen = float(predicted @ np.linalg.solve(noise, observed)) / strength if strength > 0 else 0.0
    opposite = min(0.0, seen) * predicted
    ratio = _log_likelihood(observed - predicted, with_event) - _log_likelihood(observed - opposite, noise)
    if strength < SENSITIVE:
        verdict = "insensitive"
    elif ratio > min_log_likelihood_ratio:
        verdict = "confirmed"
    elif ratio < -min_log_likelihood_ratio:
        verdict = "contradicted"
    else:
        verdict = "inconclusive"
    return Judgement(verdict, float(ratio), strength)


def _log_likelihood(residual: Float, covariance: Float) -> float:
    """Of a Gaussian, the constant left out."""
    chi2 = residual @ np.linalg.solve(covariance, residual)
    return float(-0.5 * (chi2 + np.linalg.slogdet(covariance)[1]))


def stacked_covariance(own: Sequence[Float], reference: Float | None) -> Float:
    """Covariance (3 station, 3 station) of displacements relative to a reference station.

    Every station has its own (3, 3) block; the reference station's noise is common to all.
    """
    count = len(own)
    total = np.zeros((3 * count, 3 * count))
    for i, block in enumerate(own):
        total[3 * i : 3 * i + 3, 3 * i : 3 * i + 3] = block
    if reference is not None:
        total += np.kron(np.ones((count, count)), reference)
    return total


def series_in_los(
    station: Station,
    los: Float,
    interval: Interval,
    settings: GnssSettings,
    steps: Sequence[Step] = (),
    others: Sequence[Interval] = (),
) -> pd.DataFrame | None:
    """A station's series around an event in the line of sight, its background removed: for figures.

    Parameters
    ----------
    los
        (3,) unit vector ground to satellite

    Returns
    -------
    table
        columns time, los_mm (the series less offset, rate, season, steps and other events), white_std_mm
        and transient_mm (the fitted event); None where `fit_transient` gives no estimate
    """
    estimate = fit_transient(station, interval, settings, steps, others)
    if estimate is None:
        return None
    binned = estimate.binned
    return pd.DataFrame(
        {
            "time": binned.time,
            "los_mm": 1e3 * (binned.enu - estimate.background) @ los,
            "white_std_mm": 1e3 * np.sqrt(binned.white_std**2 @ los**2),
            "transient_mm": 1e3 * (estimate.model - estimate.background) @ los,
        }
    )
