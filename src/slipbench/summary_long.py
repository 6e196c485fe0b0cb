"""What the tables of the set `long` hold beside those of `short`: times, nulls, and families against A."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slipbench.intervals import median, ratio_with_interval, snr50, with_interval
from slipbench.scenes import LATE_D

Float = NDArray[np.float64]

COLUMNS: Final = (
    "hit", "overlap", "nrmse", "t50_error_d", "history", "nrmse_transient", "duration_d", "from_end_d", "peak_mm",
)  # fmt: skip
"""Of rows: those of events and nulls, of which a part of the set may hold none."""
REFERENCE: Final = "A"
"""Family that others are compared with: the one that training scenes resemble."""
T50_BANDS: Final = ((8.0, 15.0), (15.0, 30.0))
RIGHT_HISTORY: Final = 0.95
"""Correlation with the true history, both beside rate and season."""
HISTORY_FROM_SNR: Final = 8.0
MOVED_MM: Final = 0.1
"""A null whose largest range is smaller counts as empty."""
DURATION_BANDS_D: Final = ((0.0, 30.0), (30.0, 120.0), (120.0, 300.0), (300.0, 1000.0))


def groups(events: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Events by what the series shows of their duration, and those of the last half year."""
    out = {
        f"duration {low:g}-{high:g} d": events[events["duration_d"].between(low, high, inclusive="left")]
        for low, high in DURATION_BANDS_D
    }
    return {**out, "last half year": events[events["from_end_d"] <= LATE_D]}


def event_measures(events: pd.DataFrame, from_snr: float, band: tuple[float, float]) -> dict[str, Any]:
    """Figures of single events, each with its interval.

    Parameters
    ----------
    events
        rows as judged
    from_snr, band
        SNR from which NRMSE is told, and the band in which it is told again

    Returns
    -------
    measures
        'found' (share of all), 'nrmse_15_30', 'nrmse_transient' (median), 'history' (share that is right),
        't50_8_15', 't50_15_30' (median |error|, days, of those over the threshold whose footprint overlaps)
    """
    strong, inside = events[events["snr"] > from_snr], events[events["snr"].between(*band)]
    known = events[events["snr"] >= HISTORY_FROM_SNR]["history"].to_numpy(float)
    out = {
        **with_interval("found", _mean, events["found"].to_numpy(float)),
        **with_interval("nrmse_15_30", _median, inside["nrmse"].to_numpy(float)),
        **with_interval("nrmse_transient", _median, strong["nrmse_transient"].to_numpy(float)),
        **with_interval("history", _mean, (known >= RIGHT_HISTORY).astype(float)),
    }
    seen = events[events["seen"]]
    for low, high in T50_BANDS:
        errors = seen["t50_error_d"][seen["snr"].between(low, high)].abs().dropna().to_numpy(float)
        out |= with_interval(f"t50_{low:g}_{high:g}", _median, errors)
    return out


def null_measures(nulls: pd.DataFrame) -> dict[str, Any]:
    """RMS of the maps, 95 % of the largest range of a pixel, and the share of the nulls that are not empty."""
    peak = nulls["peak_mm"].to_numpy(float)
    return {
        **with_interval(
            "null_rms_mm", lambda values: np.sqrt((values**2).mean(axis=1)), nulls["rms_mm"].to_numpy(float)
        ),
        **with_interval("null_peak_mm", lambda values: np.quantile(values, 0.95, axis=1), peak),
        **with_interval("null_moved", _mean, (peak > MOVED_MM).astype(float)),
    }


def family_ratios(events: pd.DataFrame, others: pd.DataFrame, from_snr: float) -> dict[str, float]:
    """SNR50 and median NRMSE of the events of a family over those of family A's ('snr50_to_a', 'nrmse_to_a')."""
    finding = [(np.log(part["snr"].to_numpy(float)), part["found"].to_numpy(float)) for part in (events, others)]
    errors = [(part["nrmse"][part["snr"] > from_snr].to_numpy(float),) for part in (events, others)]
    return {
        **ratio_with_interval("snr50_to_a", snr50, *finding),
        **ratio_with_interval("nrmse_to_a", _median, *errors),
    }


def scenario_measures(part: pd.DataFrame) -> dict[str, Any]:
    """Share of the events that are found, and of the scenes all of whose events are; of single ones as judged."""
    each = [name for name in ("found_1", "found_2") if name in part and part[name].notna().any()]
    found = part[each].to_numpy(float) if each else part[["found"]].to_numpy(float)
    error = part[[name.replace("found", "nrmse") for name in each]] if each else part[["nrmse"]]
    if not len(part):
        return {}
    return {
        **with_interval("detection", _mean, found.mean(axis=1)),
        **with_interval("all_found", _mean, found.all(axis=1).astype(float)),
        # Told of few scenes, too, without an interval.
        "detection": float(found.mean()),
        "all_found": float(found.all(axis=1).mean()),
        "nrmse_each": median(error.to_numpy(float).ravel()),
        "nrmse_transient": median(part["nrmse_transient"].to_numpy(float)),
        "history": math.nan if each else float((part["history"] >= RIGHT_HISTORY).mean()),
    }


def _mean(values: Float) -> Float:
    return np.asarray(values.mean(axis=1))


def _median(values: Float) -> Float:
    return np.asarray(np.median(values, axis=1))
