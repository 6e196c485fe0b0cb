"""Skill of any denoiser on held-out scenes: the figures that stand on every card of weights."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import pandas as pd

from slipscan.denoise.training.scenes import LabelledScene, held_out
from slipscan.field import Denoiser
from slipscan.settings import TrainSettings

SNR_BINS: Final = ((5, 8), (8, 15), (15, 30), (30, 80), (80, 1000))
STRONG: Final = 0.2
"""Of a map's peak: pixels above it count apart."""


def skill(denoiser: Denoiser, settings: TrainSettings, scenes: int | None = None) -> dict[str, Any]:
    """Figures over some held-out scenes, per state of the background.

    Parameters
    ----------
    denoiser
        that is measured
    settings
        of the scenes; the first `validation_scenes` calibrated its sigma, those after them are measured on
    scenes
        how many of them; default: as many

    Returns
    -------
    skill
        RMS of the map where nothing happened, mm; NRMSE and slope of the map (first to last epoch) by signal-to-noise
        ratio, medians; share of truth within one standard deviation where something is found, in all pixels and in
        those above a fifth of the peak
    """
    first = settings.validation_scenes
    measured = range(first, first + (first if scenes is None else scenes))
    table = pd.DataFrame([_row(held_out(settings, index), denoiser) for index in measured])
    out: dict[str, Any] = {
        name: round(float(table[name].mean()), 3) for name in ("covered", "covered_strong") if table[name].notna().any()
    }
    for known, part in table.groupby("known"):
        background = "known" if known else "unknown"
        quiet = part["snr"] == 0
        out[f"{background}_null_rms_mm"] = round(float(part.loc[quiet, "rms_mm"].mean()), 3)
        for low, high in SNR_BINS:
            chosen = part[(part["snr"] >= low) & (part["snr"] < high)]
            out[f"{background}_snr_{low}_{high}"] = {
                "scenes": len(chosen),
                "nrmse": round(float(chosen["nrmse"].median()), 3),
                "slope": round(float(chosen["slope"].median()), 3),
            }
    return out


def _row(scene: LabelledScene, denoiser: Denoiser) -> dict[str, float]:
    (found,) = denoiser.fields([scene.observation])
    seen = np.isfinite(scene.observation.values).any(axis=0)
    total = (found.transient[-1] - found.transient[0])[seen]
    truth = scene.events[-1][seen]
    power = float((truth**2).mean())
    # The std of a change over the series: that of its two ends is one and the same map times its course.
    std = (found.std[0] + found.std[-1])[seen]
    # Where nothing is found, nothing is said of what was missed.
    told = std > 0
    inside = np.abs(total - truth) < std
    strong = told & (np.abs(truth) > STRONG * np.abs(truth).max(initial=0.0))
    return {
        "known": float(scene.observation.background_known),
        "snr": scene.snr,
        "rms_mm": 1e3 * float(np.sqrt((total**2).mean())),
        "nrmse": math.sqrt(float(((total - truth) ** 2).mean()) / power) if power > 0 else math.nan,
        "slope": float((total * truth).sum() / (truth**2).sum()) if power > 0 else math.nan,
        "covered": float(inside[told].mean()) if told.any() else math.nan,
        "covered_strong": float(inside[strong].mean()) if power > 0 and strong.any() else math.nan,
    }
