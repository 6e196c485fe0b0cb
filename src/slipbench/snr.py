"""Matched-filter signal-to-noise ratio of an event: what a detector that knows its template and history can have.

The noise is one covariance in space, C, times one in time, T, as families.py draws it. Unknown are offset, ramp and
height of every epoch (N), and offset, rate and season of every pixel (A). Projecting A out is a matter of time alone
and N one of space, so that for an event a m(y, x) h(time)

    SNR^2 = a^2 (m' C_perp^-1 m) (h' T_perp^-1 h)

is exact, C_perp^-1 = C^-1 - C^-1 N (N' C^-1 N)^-1 N' C^-1 and T_perp^-1 alike with A. The set `short` takes rate and
season as known (A is the offset) and all pixels as present; `long` takes A whole and leaves the scene's gaps out.
What family D has beside that (phase bias that wanders, unwrapping steps) is in neither SNR.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from slipbench.baselines.gls import StationaryNoise, projected_information
from slipbench.baselines.histories import filters_in
from slipbench.bound import TEMPORAL, epoch_nuisance, temporal_columns
from slipbench.plan import SkillPlan

if TYPE_CHECKING:
    from slipbench.scenes import Scene

Float = NDArray[np.float64]
_YEAR_D = 365.25


def sized(
    snr: float, template: NDArray[np.floating], course: Float, scene: Scene, plan: SkillPlan
) -> tuple[float, float]:
    """Size of an event, and its SNR.

    Parameters
    ----------
    snr
        wanted
    template, course
        (y, x) map and (time,) course of the event
    scene
        whose noise it stands in
    plan
        whether rate and season are known, and the largest event

    Returns
    -------
    factor, snr
        of the template; the SNR is the one that is wanted, or less where the largest event has less
    """
    peak = float(np.abs(template).max())
    unit = event_snr(template, course, scene, plan)
    factor = snr / unit
    if plan.largest_mm is not None and factor * peak > plan.largest_mm / 1e3:
        factor = plan.largest_mm / 1e3 / peak
        snr = factor * unit
    return factor, snr


def unit_snr(scene: Scene, plan: SkillPlan) -> float:
    """SNR of a scene's first event as it stands."""
    return event_snr(scene.template, scene.course, scene, plan)


def whole_snr(scene: Scene) -> float:
    """SNR of a scene's first event beside rate and season, the scene's gaps left out."""
    return _snr(scene.template, scene.course, scene, whole=True)


def event_snr(template: NDArray[np.floating], course: Float, scene: Scene, plan: SkillPlan) -> float:
    """SNR of an event (y, x), (time,) in a scene's noise."""
    return _snr(template, course, scene, whole=plan.background == "unknown")


def _snr(template: NDArray[np.floating], course: Float, scene: Scene, whole: bool) -> float:
    stationary = StationaryNoise(
        scene.height.shape, scene.geometry.frame.pixel_m, scene.noise.density, scene.noise.white_std_m
    )
    peak = float(np.abs(template).max())
    gaps = scene.valid if whole and not scene.valid.all() else None
    nuisance = epoch_nuisance(scene.height.astype(float))
    _, information = projected_information(stationary, template.astype(float) / peak, nuisance, gaps)
    in_time = _left(scene, course, _unknown(scene) if whole else ("offset",))
    return peak * math.sqrt(information) * in_time


def kept_snr(scene: Scene) -> float:
    """Share of the SNR that is left when rate and season are unknown too (season: in series of a year or more)."""
    return _left(scene, scene.course, _unknown(scene)) / _left(scene, scene.course, ("offset",))


def _unknown(scene: Scene) -> tuple[str, ...]:
    return TEMPORAL if np.ptp(scene.geometry.days) >= _YEAR_D else ("offset", "rate")


def _left(scene: Scene, course: Float, unknown: tuple[str, ...]) -> float:
    """Root of the information of a history beside what is unknown in a pixel."""
    days = scene.geometry.days
    columns = temporal_columns(days - days.mean(), unknown)
    return float(filters_in(course[:, None], columns, scene.noise.covariance)[0] @ course)
