"""docs/catalogue.md: what the catalogue holds, generated from its schema."""

from __future__ import annotations

from slipscan.catalogue.columns import Column
from slipscan.catalogue.grades import RULES
from slipscan.catalogue.schema import LAYERS

_HEAD = """\
# The catalogue

Generated from `slipscan.catalogue.schema` by `slipscan docs`; do not edit.

`results/catalogue.gpkg` is a GeoPackage. It opens in QGIS with its own styles, and in GDAL and geopandas:

    import geopandas
    events = geopandas.read_file("results/catalogue.gpkg", layer="events")
    events = events[events["status"] == "active"]

![The demo's catalogue in QGIS, as it opens](images/catalogue_qgis.png)

The unit is in the column's name, dates are UTC, geometry is in longitude and latitude (EPSG:4326). NULL means not
known; columns that no stage of this version fills say so below. Every table is checked against the schema before it
is written.

## Events

**Ids** are made once and never change: `SSE-20170705-ISMT-a` was found first in region ISMT, with t50 on 2017-07-05;
the letter distinguishes events of one day. Date and letter stay when later data move t50. The prefix SSE stands in
every id, whatever the type.

**Versions** count the changes of an event. Layer `history` holds every version: what changed, and with which data,
weights, calibration and code. So you can see what was known at any time.

**Status**: `active`; `retracted`, where a later scan of its own region and tracks, in a window that covers t50, no
longer finds it; `merged`, where it is the part in one region of an event across a border. `merged_into` names
the whole, whose row has footprint, tracks and peaks of all parts, and source, times and certainty of the part with
the largest statistic. No row is ever deleted.

**View**: `published` where `p_real` is at least 0.9, so that at most one in ten of what is published is expected to be
false; all others are `candidate`. `p_real` is the probability that an event is neither a false alarm of noise, by the
null stacks of its own region, nor a residue ([method.md](method.md), source).

**Grade**:

"""
_RULES = """\

## Which events are one

Two rows of one region are the same event if the gap between them is shorter than `match_gap_d` (24 days) or half the
shorter duration, their footprints overlap, and their sources do not move the ground in opposite senses (the product
of their unit moment tensors is above -0.5). The best pairs are matched first, one to one. Across a border the
footprints may lie up to `border_km` (5 km) apart. An ongoing event grows with each scan, and closes.

The catalogue is computed from all increments on disk, in the order of data cut-off, region and number, whatever the
order in which they were written. Dates in it are data cut-offs, never the clock's: the same increments give the same
bytes. A file among the increments that is damaged, is none, or holds what no catalogue can (a date that is none, a
magnitude of 99) is refused by name, and the rest is folded: see column `refused` of layer `runs`, and the log.

## Commands

    slipscan catalogue results results/catalogue.gpkg              # fold all increments (rule catalogue)
    slipscan catalogue diff old.gpkg new.gpkg --table changes.csv  # what changed, in words and as a table
    slipscan catalogue query results/catalogue.gpkg --bbox 31 40 34 42 --from 2019-01-01 --min-mw 5 --type slow_slip
    slipscan catalogue export geoparquet results/catalogue.gpkg events.parquet
    slipscan catalogue stats results/catalogue.gpkg --mc 5.0 --earthquakes comcat.csv

`export` writes geoparquet, geojson, csv, kml, sed (fault slip in the columns of the Slow Earthquake Database) or stac
(an item an event, with the extension insar; needs `pip install 'slipscan[stac]'`).

## Learning from it

`stats` prints how moment scales with duration and area, the rate of every region, and where slow slip came again.
Scaling laws and rates are of events above the magnitude of completeness (`--mc`, else `mc_local`, else the region's
`mc`), beside those of all events. Events that reach past the first or last epoch do not enter durations.

With `--earthquakes` (a CSV with `time,latitude,longitude,mag`, as ComCat gives it) it asks which events an earthquake
followed within T days and R km. State the grid of T, R and M in section `precursors` of the configuration before you
run it. The answer is one p-value for the whole grid: the largest excess over it, against random time shifts of the
earthquakes of each region within its scanned time. Only mainshocks count (Gardner & Knopoff 1974). An event counts as
the newest version before the earthquake states it, so hindsight does not enter (`known_before: false` lets it in, and
the output says so). An event whose T days are not over is `censored`. Events that begin within 30 days after an
earthquake near by are left out as afterslip, unless they began 12 days or more before it.

## Layers
"""


def page() -> str:
    """The whole page."""
    parts = [_HEAD + RULES + _RULES]
    for layer in LAYERS:
        shown = f"{layer.geometry} " if layer.geometry else ""
        kind = f"{shown}layer" if shown else "table"
        each = ", ".join(layer.unique)
        parts.append(f"\n### `{layer.name}`\n\n{layer.description} ({kind}; a row for each {each}).\n\n")
        parts.append("| column | type | meaning |\n|---|---|---|\n")
        parts += [_row(column) for column in layer.columns]
    return "".join(parts)


def _row(column: Column) -> str:
    allowed = f": {', '.join(column.choices)}" if column.choices else ""
    limits = [f">= {column.low:g}"] if column.low is not None else []
    limits += [f"<= {column.high:g}"] if column.high is not None else []
    kind = column.kind + (f" ({', '.join(limits)})" if limits else "") + ("" if column.required else ", or NULL")
    return f"| `{column.name}` | {kind} | {column.meaning}{allowed} |\n"
