"""The table of transients that a GNSS network found by itself."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from slipscan.archive.stations import steps_file
from slipscan.atomic import write_text
from slipscan.errors import SlipscanError
from slipscan.gnss.daily import daily_series
from slipscan.gnss.detect import MIN_SEARCHED, Found, prepare, search
from slipscan.gnss.steps import read_steps
from slipscan.gnss.tenv3 import read_stations
from slipscan.gnss.threshold import simulated
from slipscan.outputs import check_outputs, csv_kind
from slipscan.settings import iso_date
from slipscan.settings_gnss import GnssDetectSettings

log = logging.getLogger(__name__)

COLUMNS = (
    "event", "first_day", "first_day_from", "first_day_to", "duration_d", "kind", "published", "t2", "share",
    "t2_without_one", "t2_second", "source_longitude", "source_latitude", "source_depth_km", "station", "east_mm",
    "north_mm", "up_mm", "sigma_east_mm", "sigma_north_mm", "sigma_up_mm",
)  # fmt: skip
KIND = csv_kind("a table of GNSS transients", *COLUMNS)


def write_detections(
    stations: Path, out: Path, settings: GnssDetectSettings, since: str | None = None, until: str | None = None
) -> None:
    """Find the transients of the stations of a directory and write them as CSV, a row an event and station.

    Raises
    ------
    SlipscanError
        no directory, or no station of it with enough positions
    """
    check_outputs([(Path(out), KIND)], [stations])
    first, last = (
        None if d is None else np.datetime64(iso_date(d, o)) for d, o in ((since, "--since"), (until, "--until"))
    )
    series = daily_series(read_stations(stations), first, last, least=MIN_SEARCHED)
    if series is None:
        raise SlipscanError(f"{stations} has no station with enough positions: see the sentences above")
    path = steps_file(Path(stations))
    background, onset, network = prepare(series, read_steps(path) if path else {})
    threshold = simulated(background, network, settings)
    log.info("%d stations, threshold T2 %.1f", len(series.names), threshold)
    found = search(background, onset, network, threshold, settings)
    write_text(Path(out), table(found).to_csv(index=False, lineterminator="\n", float_format="%.3f"), KIND)


def table(found: Found) -> pd.DataFrame:
    """The table of COLUMNS."""
    series, rows = found.background.series, []
    for number, one in enumerate(found.detections):
        event = (
            number, *(str(series.days[day]) for day in (one.day, one.day_from, one.day_to)), one.duration_d, one.kind,
            one.published, one.statistic, one.share, one.without_one, one.second, one.longitude, one.latitude,
            one.depth_km,
        )  # fmt: skip
        for station in np.flatnonzero(np.isfinite(one.std[:, 0])):
            moved, std = 1e3 * one.displacement[station], 1e3 * one.std[station]
            rows.append((*event, series.names[station], *moved, *std))
    return pd.DataFrame(rows, columns=list(COLUMNS))
