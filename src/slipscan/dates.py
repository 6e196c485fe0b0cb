"""Dates of acquisitions as they come in: what is no date is refused."""

from __future__ import annotations

import datetime
import logging

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from slipscan.errors import SlipscanError

log = logging.getLogger(__name__)

FIRST_SAR = np.datetime64("1991-07-17")
"""Launch of ERS-1, the first satellite of which there are interferograms; an older date is another quantity."""
SENTINEL_1 = np.datetime64("2014-04-03")
"""Launch of Sentinel-1A."""
ONE_PASS = np.timedelta64(12, "h")
"""Frames of one pass lie seconds apart, passes of one orbit a day or more."""


def checked_dates(array: xr.DataArray, what: str) -> NDArray[np.datetime64]:
    """Dates of acquisitions in nanoseconds.

    Parameters
    ----------
    array
        of any shape
    what
        its name and file, for the sentence

    Raises
    ------
    SlipscanError
        numbers or text, NaT, a date before the first SAR satellite or later than today
    """
    values = array.values
    if values.dtype.kind != "M":
        raise SlipscanError(
            f"{what} is no date but {_kind(values)}: write it as datetime64 (for example"
            " pandas.to_datetime(dates, format='%Y%m%d')), which NetCDF and Zarr keep as 'days since ...'"
        )
    missing = int(np.isnat(values).sum())
    if missing:
        raise SlipscanError(f"{what} has {missing} of {values.size} dates that are none (NaT): correct or drop them")
    # In days: a year that nanoseconds cannot hold would wrap around.
    days = values.astype("datetime64[D]")
    tomorrow = np.datetime64(datetime.datetime.now(datetime.UTC).date()) + 1
    for wrong, why in (
        (days < FIRST_SAR, "before the first SAR satellite of 1991"),
        (days > tomorrow, f"later than today ({tomorrow - 1} by this machine's clock)"),
    ):
        if wrong.any():
            raise SlipscanError(f"{what} has the date {days[wrong].ravel()[0]}, {why}: correct the dates")
    return values.astype("datetime64[ns]")


def check_epochs(dates: NDArray[np.datetime64], what: str) -> None:
    """Refuse two epochs of one pass, and say where a series is not Sentinel-1's; `dates` ascend, (time,).

    Raises
    ------
    SlipscanError
        two dates of one day, or less than half a day apart: frames of one pass
    """
    if dates[0] < SENTINEL_1:
        log.warning(
            "%s begins on %s, before Sentinel-1A: what slipscan knows of noise and wavelength is Sentinel-1's",
            what,
            dates[0].astype("datetime64[D]"),
        )
    near = (np.diff(dates) < ONE_PASS) | (np.diff(dates.astype("datetime64[D]")) < np.timedelta64(1, "D"))
    if near.any():
        first = int(np.flatnonzero(near)[0])
        one, other = (str(date.astype("datetime64[s]")) for date in dates[first : first + 2])
        raise SlipscanError(
            f"{what} has {one} and {other}, two epochs of one pass: merge its frames into one epoch, with one date"
        )


def _kind(values: NDArray[np.generic]) -> str:
    """What stands where dates should."""
    first = values.ravel()[0] if values.size else None
    if calendar := getattr(first, "calendar", None):
        return f"a date of the calendar '{calendar}' (such as {first})"
    if values.dtype.kind in "iuf":
        return f"a number (such as {first:.10g})"
    return f"{values.dtype} (such as {str(first)[:40]!r})"
