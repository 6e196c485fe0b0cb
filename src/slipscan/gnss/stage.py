"""GNSS beside InSAR: every event of a region at every station around it, with a verdict."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from slipscan.archive.stations import series_files, steps_file
from slipscan.atomic import written_beside
from slipscan.events import GNSS_COLUMNS, WITHOUT_GNSS, Column, read_events, read_table
from slipscan.gnss.event import Comparison, Network, compare_event, network_of, transients_of
from slipscan.gnss.line_of_sight import COMPONENTS
from slipscan.gnss.offsets import prepare
from slipscan.gnss.steps import read_steps
from slipscan.gnss.tenv3 import read_stations
from slipscan.outputs import check_outputs, parquet_kind
from slipscan.progress import progress
from slipscan.settings import GnssSettings
from slipscan.source.maps import open_track

log = logging.getLogger(__name__)

COMPARISON_COLUMNS = (
    Column("event", "int64", "row of the event in the region's event table"),
    Column("station", "str", "name of the station; empty where the event has none"),
    Column("track", "str", "track whose map and line of sight it is compared in"),
    Column("longitude", "float64", "of the station, degrees east"),
    Column("latitude", "float64", "of the station, degrees north"),
    Column("distance_km", "float64", "from the event's footprint, 0 inside"),
    Column("insar_mm", "float64", "median of the event's map around the station, + toward the satellite"),
    Column("insar_std_mm", "float64", "its standard deviation"),
    Column("gnss_mm", "float64", "transient of the station in the line of sight"),
    Column(
        "gnss_std_mm", "float64", "its standard deviation: white, flicker and random-walk noise, and the event's time"
    ),
    Column("predicted_mm", "float64", "by the event's source, or the InSAR sample where it has none"),
    *(Column(f"gnss_{c}_mm", "float64", f"transient of the station, {c}, relative to no other") for c in COMPONENTS),
    *(Column(f"gnss_{c}_std_mm", "float64", "its standard deviation") for c in COMPONENTS),
    *(Column(f"predicted_{c}_mm", "float64", f"by the event's source, {c}; without one none") for c in COMPONENTS),
    Column("reference_station", "str", "station subtracted from all (double difference); empty: single difference"),
    *GNSS_COLUMNS,
)
"""Columns of gnss.parquet: one row per event, station and track; the verdict's columns repeat per event."""
KIND = parquet_kind("a table of GNSS comparisons", [c.name for c in COMPARISON_COLUMNS], ["event", "station", "track"])


def write_gnss_table(events: Path, transients: list[Path], stations: Path, out: Path, settings: GnssSettings) -> None:
    """Compare the events of a region with GNSS.

    Parameters
    ----------
    events
        event table of the source stage
    transients
        transients stores of the region's tracks
    stations
        directory of .tenv3 files, and perhaps NGL's steps.txt; may be empty
    out
        table (Parquet) of COMPARISON_COLUMNS
    settings
        of this stage

    Raises
    ------
    SlipscanError
        a missing or unreadable input
    """
    check_outputs([(out, KIND)], [events, stations, *transients])
    table, _ = read_events(Path(events))
    tracks = [open_track(Path(path), number) for number, path in enumerate(transients)]
    records: list[dict[str, Any]] = table.to_dict("records")
    network = read_network(Path(stations), transients_of(records))
    log.info("%d events, %d stations", len(table), len(network.stations))
    if records:
        from slipscan.gnss.both import joint_columns  # brings torch
    rows: list[dict[str, Any]] = []
    for number, event in enumerate(progress(records, "GNSS comparison")):
        others = [other for i, other in enumerate(records) if i != number]
        comparison = compare_event(event, others, tracks, network, settings)
        _say(number, event, comparison)
        rows += _rows(number, event, comparison, joint_columns(event, tracks, comparison))
    write_comparison(Path(out), pd.DataFrame(rows, columns=[c.name for c in COMPARISON_COLUMNS]))
    beside = {row[key] for row in rows for key in ("station", "reference_station")}
    apart = [station.name for station in network.stations if station.name not in beside]
    if apart:
        log.info(
            "%d stations have no part in a verdict, too far from every event or without positions around it: %s",
            len(apart), ", ".join(apart[:20]),
        )  # fmt: skip
    files = len(series_files(Path(stations)))
    if files > len(network.stations):
        log.warning(
            "%d of %d station files were not used, for the reasons above%s",
            files - len(network.stations), files, "" if network.stations else ": no verdict on any event (no_coverage)",
        )  # fmt: skip


def read_network(directory: Path, transients: Sequence[tuple[float, float]] = ()) -> Network:
    """Read the stations of a directory and their steps; says which stations the table of steps lacks.

    Their noise is that beside `transients` (t05, t95 in days since 2014-01-01).

    Raises
    ------
    SlipscanError
        no such directory, or a table of steps that cannot be read: without it a new antenna passes for an event
    """
    stations = read_stations(directory)
    path = steps_file(directory)
    steps = read_steps(path) if path else {}
    unlisted = sorted({station.name for station in stations} - set(steps))
    if unlisted:
        log.info(
            "%s: new antennas and earthquakes are not known at %s",
            f"not in {path}" if path else f"no steps.txt in {directory}", ", ".join(unlisted),
        )  # fmt: skip
    return network_of(prepare(stations, steps, transients), transients)


def _say(number: int, event: dict[str, Any], comparison: Comparison) -> None:
    reference = {row["reference_station"] for row in comparison.rows} - {""}
    judgement = comparison.judgement
    log.info(
        "event %d of %s: %s by %d stations%s (%s)",
        number, event["t50"], judgement.verdict, judgement.stations, f": {judgement.note}" if judgement.note else "",
        f"double differences with {', '.join(sorted(reference))}" if reference
        else "single differences: no station near the InSAR reference point and clear of the event",
    )  # fmt: skip


def _rows(number: int, event: dict[str, Any], comparison: Comparison, joint: dict[str, float]) -> list[dict[str, Any]]:
    """Rows of the table of one event; one with an empty station where there is none."""
    judgement = comparison.judgement
    verdict = {
        **WITHOUT_GNSS,
        "event": number,
        "gnss_verdict": judgement.verdict,
        "gnss_stations": judgement.stations,
        "gnss_log_likelihood_ratio": judgement.log_likelihood_ratio,
        "gnss_size": judgement.size,
        "gnss_size_std": judgement.size_std,
        "gnss_visible_size": judgement.visible_size,
        "gnss_visible_mw": float(event["mw"]) + 2.0 / 3.0 * float(np.log10(judgement.visible_size)),
        "gnss_note": judgement.note,
        **comparison.times,
        **joint,
    }
    nothing = {c.name: "" if c.dtype == "str" else float("nan") for c in COMPARISON_COLUMNS}
    return [{**nothing, **row, **verdict} for row in comparison.rows or [{}]]


def write_comparison(path: Path, table: pd.DataFrame) -> None:
    """Write a comparison table as Parquet, atomically; byte-identical for equal input."""
    types = {"str": pa.string(), "int64": pa.int64(), "float64": pa.float64()}
    schema = pa.schema([pa.field(c.name, types[c.dtype]) for c in COMPARISON_COLUMNS])
    arrays = [pa.array(table[f.name].tolist(), type=f.type) for f in schema]
    with written_beside(path, KIND) as beside:
        pq.write_table(pa.Table.from_arrays(arrays, schema=schema), beside, compression="zstd")


def read_comparison(path: Path) -> pd.DataFrame:
    """Read a comparison table; raises SlipscanError where the file is missing or is none."""
    return read_table(path, "GNSS table", COMPARISON_COLUMNS)[0]


def verdicts(table: pd.DataFrame, n_events: int) -> pd.DataFrame:
    """The verdict of every event, indexed by its row in the event table; columns events.GNSS_COLUMNS.

    An event that the table does not hold has the verdict 'no_coverage'.
    """
    first = table.drop_duplicates("event").set_index("event")
    out = first.reindex(np.arange(n_events))[[c.name for c in GNSS_COLUMNS]]
    missing = ~out.index.isin(first.index)
    for column in GNSS_COLUMNS:
        values = out[column.name].astype(object)
        values[missing] = WITHOUT_GNSS[column.name]
        dtype = object if column.dtype == "str" else column.dtype
        out[column.name] = np.array(values.tolist(), dtype=dtype)
    return out
