"""The tropospheric correction of a track: which acquisitions need a delay, from which source, and never twice.

Of an interferogram from an older to a newer date, delays.toward(newer) - delays.toward(older) is troposphere.
"""

from __future__ import annotations

import datetime
import json
import logging
import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr

from slipscan.archive.granules import Received
from slipscan.archive.job import Job
from slipscan.archive.names import listed
from slipscan.archive.troposphere import era5, gacos, opera
from slipscan.archive.troposphere.delays import Delays, Source, toward
from slipscan.errors import SlipscanError
from slipscan.geometry import read_grid
from slipscan.outofcore import Empty

log = logging.getLogger(__name__)

Crops = Sequence[tuple[pd.Series, xr.Dataset]]
SOURCES: Final[dict[str, Source]] = {"gacos": gacos, "era5": era5, "opera_tropo": opera}
"""By the kinds of archive.corrections.troposphere; 'none' has no source."""
DATES = ("reference_date", "secondary_date")
AS_DELIVERED = "corrections_as_delivered"
"""Attribute of a crop or of a series: names of what was taken out before slipscan got it."""
TROPOSPHERIC = {"troposphere", "opera_tropo", "gacos", "era5", "merra", "narr", "hrrr", "hres", "trophgt"}
"""Such names, in lower case, that mean the troposphere (MintPy's suffixes among them)."""
LAYER_KIND = "troposphere"
"""Attribute of a crop that brings the layer 'troposphere': of which kind it is."""
INCLINATION_DEG = 98.18
NODE_HOUR = 18.0
"""Sentinel-1 crosses the equator northward at 18:00 mean local solar time."""


def settled(crops: Crops, kind: str, where: str) -> str | None:
    """Say whether the granules themselves settle the correction, so that none is to be made from outside.

    Returns
    -------
    how
        'delivered': the troposphere is out of all of them already; 'layer': all bring the delay of this kind; None

    Raises
    ------
    SlipscanError
        it is out of some of them only
    """
    already = [row["granule"] for row, data in crops if is_corrected(data)]
    if already and len(already) < len(crops):
        raise SlipscanError(
            f"the troposphere is out of {len(already)} of {len(crops)} granules of {where} as delivered (the first:"
            f" {already[0]}), and of the others not: their triplets would not close; keep one product version"
        )
    if already:
        log.info("%s: the troposphere is out of all granules as delivered, and is not taken out again", where)
        return "delivered"
    if kind != "none" and all(
        "troposphere" in data and data.attrs.get(LAYER_KIND, "gacos") == kind for _, data in crops
    ):
        return "layer"
    return None


def is_corrected(data: xr.Dataset) -> bool:
    """Whether a dataset says that the troposphere was taken out before slipscan got it."""
    names = data.attrs.get(AS_DELIVERED, ())
    names = names.split() if isinstance(names, str) else names
    return any(str(name).lower() in TROPOSPHERIC for name in names)


def dates_of(crops: Crops) -> list[str]:
    """The ISO dates of all acquisitions, sorted."""
    return sorted({str(row[name]) for row, _ in crops for name in DATES})


def fetch(crops: Crops, job: Job) -> Delays | None:
    """Make the zenith delays of the crops' acquisitions present.

    Returns
    -------
    delays
        None where none is asked for, or the granules settle it themselves (`settled`)

    Raises
    ------
    SlipscanError
        the delay of an acquisition is missing: the dates, and what to do
    """
    kind = job.settings.corrections.troposphere
    if kind == "none" or not crops or settled(crops, kind, job.where) is not None:
        return None
    if SOURCES[kind].OR_WITH_GRANULES and job.settings.troposphere_dir is None:
        raise SlipscanError(no_delays(crops, kind, job.where))
    times = [str(data.attrs["acquisition_time"]) for _, data in crops if data.attrs.get("acquisition_time")]
    return of_dates(dates_of(crops), times, job)


def no_delays(crops: Crops, kind: str, where: str) -> str:
    """The sentence for granules without the delays of a kind."""
    without = [(row, data) for row, data in crops if "troposphere" not in data]
    return (
        f"{len(without)} of {len(crops)} granules of {where} have no tropospheric delay of kind '{kind}' (dates"
        f" {listed(dates_of(without))}): {SOURCES[kind].REMEDY}, or set archive.corrections.troposphere to"
        " another kind"
    )


def of_dates(dates: Sequence[str], times: Sequence[str], job: Job) -> Delays:
    """Make the zenith delays of some dates present, from the source that the settings name.

    Parameters
    ----------
    dates
        ISO dates
    times
        times of day of acquisitions, HH:MM:SS UTC; none: that of the orbit is taken, good to half an hour

    Raises
    ------
    SlipscanError
        a delay is missing, or no directory is named
    """
    kind = job.settings.corrections.troposphere
    time = time_of_day(times)
    if time is None:
        time = nominal_time(*job.region.reference_point, job.track.orbit_direction)
        log.warning(
            "%s %s: no granule tells its time of day, %s UTC is taken from the orbit", job.region.id, job.track.id, time
        )
    moments = {
        date: datetime.datetime.combine(datetime.date.fromisoformat(date), time, datetime.UTC) for date in sorted(dates)
    }
    source = SOURCES[kind]
    zenith, received = source.open_delays(list(moments.values()), job)
    return Delays(kind, moments, zenith, tuple(received), source.NEEDS_HEIGHT)


def time_of_day(times: Sequence[str]) -> datetime.time | None:
    """The mean of times of day (HH:MM:SS), also around midnight, to the second; None of none."""
    if not times:
        return None
    seconds = [
        sum(int(part) * unit for part, unit in zip(text.split(":"), (3600, 60, 1), strict=True)) for text in times
    ]
    angles = 2 * np.pi * np.asarray(seconds) / 86400
    mean = math.atan2(float(np.sin(angles).mean()), float(np.cos(angles).mean()))
    return _time(round(mean / (2 * math.pi) * 86400))


def nominal_time(lon: float, lat: float, orbit_direction: str) -> datetime.time:
    """Time of day (UTC) at which Sentinel-1 passes over a place, by its sun-synchronous orbit, to half an hour."""
    drift = math.degrees(math.asin(max(-1.0, min(1.0, math.tan(math.radians(lat)) / _TAN)))) / 15
    local = NODE_HOUR + drift if orbit_direction == "ascending" else NODE_HOUR - 12 - drift
    return _time(round((local - lon / 15) * 3600))


_TAN = math.tan(math.radians(INCLINATION_DEG))


def _time(seconds: int) -> datetime.time:
    return (datetime.datetime.min + datetime.timedelta(seconds=seconds % 86400)).time()


def correct(dataset: xr.Dataset, job: Job, empty: Empty) -> list[Received]:
    """Take the troposphere out of the user's own interferograms, in place, unless they say that it is out already.

    Parameters
    ----------
    dataset
        product 'interferograms', its arrays in memory; its attribute `corrections` is set. A ready series (product
        'stack') is left as it is.

    Returns
    -------
    received
        the files of the delays

    Raises
    ------
    SlipscanError
        what `of_dates` and `toward` refuse
    """
    kind, where = job.settings.corrections.troposphere, job.where
    if kind == "none":
        return []
    if "interferogram" not in dataset:
        log.warning("%s is a ready series: archive.corrections.troposphere '%s' is not applied to it", where, kind)
        return []
    older, newer = (dataset[name].values.astype("datetime64[D]").astype(str) for name in DATES)
    dates = sorted({*older, *newer})
    record: dict[str, Any] = {"kind": "delivered", "epochs": dates}
    received: list[Received] = []
    if not is_corrected(dataset):
        delays = of_dates(dates, [], job)
        geometry = {str(name): dataset[name].values for name in ("los_up", "height") if name in dataset}
        parts = toward(delays, read_grid(dataset), geometry, empty, where)
        values = dataset["interferogram"].values
        for index, pair in enumerate(zip(older, newer, strict=True)):
            values[index] -= parts[pair[1]] - parts[pair[0]]
        dataset["interferogram"].values = values
        record, received = delays.record(), list(delays.received)
    others = dict.fromkeys(("tide", "ionosphere", "plate_motion"), False)
    dataset.attrs["corrections"] = json.dumps({**others, "troposphere": record})
    return received
