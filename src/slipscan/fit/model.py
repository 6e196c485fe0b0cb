"""The model of a displacement series: offset + rate + annual + semi-annual (+ a step or ramp), jointly.

Shared by noise, denoise, detect and gnss, so that all of them remove the same thing. Events stand beside
rate and season in one fit; nothing is detrended first (a step in mid-series keeps only 0.33-0.5 of its
signal-to-noise ratio beside an unknown rate and season, and pretending otherwise makes false detections).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from slipscan.errors import SlipscanError

DAYS_PER_YEAR = 365.25
MIN_SPAN_FOR_SEASON_YR = 1.0
MIN_EPOCHS = 5
SHORTEST_RAMP_D = 1e-6

Float = NDArray[np.float64]


def days_since_2014(time: NDArray[np.datetime64]) -> Float:
    """Days since 2014-01-01, so that phases of the season count from 1 January."""
    return (time - np.datetime64("2014-01-01", "ns")) / np.timedelta64(1, "D")


def has_season(time: NDArray[np.datetime64]) -> bool:
    """Whether a series is long enough to tell season from rate."""
    return bool(np.ptp(days_since_2014(time)) >= MIN_SPAN_FOR_SEASON_YR * DAYS_PER_YEAR)


def design_matrix(time: NDArray[np.datetime64], segment: NDArray[np.integer] | None = None) -> tuple[Float, list[str]]:
    """Columns of the background model.

    Parameters
    ----------
    time
        (time,) datetime64[ns], strictly ascending
    segment
        (time,) number of the connected part of the network that an epoch belongs to; each part has an
        offset of its own. None: one part.

    Returns
    -------
    matrix, names
        (time, column): an 'offset' per segment, 'rate' (per year, centred in time), and, for series of a
        year or more, 'annual_cos', 'annual_sin', 'semiannual_cos', 'semiannual_sin'

    Raises
    ------
    SlipscanError
        fewer than 5 epochs
    """
    if len(time) < MIN_EPOCHS:
        epochs = "1 epoch" if len(time) == 1 else f"{len(time)} epochs"
        raise SlipscanError(f"a series of {epochs} is too short: slipscan needs {MIN_EPOCHS}")
    years = days_since_2014(time) / DAYS_PER_YEAR
    parts = np.zeros(len(time), int) if segment is None else np.asarray(segment)
    columns = [(parts == part).astype(float) for part in np.unique(parts)]
    names = ["offset"] * len(columns)
    columns.append(years - years.mean())
    names.append("rate")
    if has_season(time):
        for label, cycles in (("annual", 1), ("semiannual", 2)):
            columns += [np.cos(2 * np.pi * cycles * years), np.sin(2 * np.pi * cycles * years)]
            names += [f"{label}_cos", f"{label}_sin"]
    return np.stack(columns, axis=1), names


def check_length(time: NDArray[np.datetime64], segment: NDArray[np.integer] | None, where: str) -> None:
    """Refuse a series that is too short for its background model.

    Raises
    ------
    SlipscanError
        fewer than 5 epochs, or no more than the model has columns
    """
    columns = design_matrix(time, segment)[1]
    if len(time) <= len(columns):
        parts = "offset" if columns.count("offset") == 1 else f"{columns.count('offset')} offsets"
        season = " and season" if has_season(time) else ""
        raise SlipscanError(
            f"the {len(time)} epochs of {where} are too few for {parts}, rate{season}: slipscan needs"
            f" {len(columns) + 1}"
        )


def transient_column(time: NDArray[np.datetime64], start_d: float, duration_d: float) -> Float:
    """Fraction (0 to 1) of a linear transient that starts `start_d` days since 2014-01-01.

    A duration of 0 (or under a tenth of a second) is a step: an epoch at its very time has seen it.
    """
    days = days_since_2014(time)
    if duration_d < SHORTEST_RAMP_D:
        return (days >= start_d).astype(float)
    return np.clip((days - start_d) / duration_d, 0.0, 1.0)
