"""The catalogue for other tools: tables, maps, and one STAC item an event."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely

from slipscan.atomic import write_text, written_beside
from slipscan.catalogue.schema import EVENTS
from slipscan.errors import SlipscanError
from slipscan.outputs import Kind, check_outputs, csv_kind, file_kind, head, parquet_kind

TITLE: Final = "slipscan catalogue of slow slip events"
KML_LAYER: Final = "slipscan_catalogue"
"""A name that XML allows."""
STAC_INSAR: Final = "https://stac-extensions.github.io/insar/v1.0.0/schema.json"
FAULT_SLIP: Final = ("slow_slip", "afterslip", "creep_rate_change", "coseismic")

SED_COLUMNS: Final = (
    "event_id", "start_time", "end_time", "duration_days", "latitude", "longitude", "depth_km", "magnitude",
    "magnitude_16", "magnitude_84", "strike_deg", "dip_deg", "rake_deg", "length_km", "width_km", "slip_mm",
    "moment_nm", "catalogue", "reference",
)  # fmt: skip
"""What the Slow Earthquake Database (Kano et al. 2018) states of a slow slip event, one row each."""


def _geojson_kind(path: Path) -> bool:
    return head(path).lstrip().startswith(b"{") and TITLE.encode() in head(path)


KINDS: Final[dict[str, Kind]] = {
    "geoparquet": parquet_kind("a catalogue as GeoParquet", [*EVENTS.names, "geometry"], ["id", "version", "geometry"]),
    "geojson": file_kind("a catalogue as GeoJSON", _geojson_kind),
    "csv": csv_kind("a catalogue as CSV", *EVENTS.names, "footprint_wkt"),
    "kml": file_kind("a catalogue as KML", lambda path: KML_LAYER.encode() in head(path)),
    "sed": csv_kind("a catalogue as Slow Earthquake Database columns", *SED_COLUMNS),
}


def export(events: gpd.GeoDataFrame, kind: str, out: Path) -> int:
    """Write events in the format of another tool; atomically, and with the same bytes for the same events.

    Parameters
    ----------
    events
        rows of the layer events
    kind
        geoparquet, geojson, csv (footprints as WKT), kml, sed (fault slip in the columns of the Slow Earthquake
        Database) or stac (a directory: a collection, and an item an event)
    out
        file, or a new directory

    Returns
    -------
    rows
        how many events were written

    Raises
    ------
    SlipscanError
        something else is at `out`, or stac is asked for and pystac is not installed
    """
    if kind == "stac":
        from slipscan.catalogue.stac import write_collection

        return write_collection(events, out)
    check_outputs([(out, KINDS[kind])])
    if kind == "sed":
        events = events[events["type"].isin(FAULT_SLIP)]
    WRITERS[kind](events.reset_index(drop=True), Path(out))
    return len(events)


def _geoparquet(events: gpd.GeoDataFrame, out: Path) -> None:
    with written_beside(out, KINDS["geoparquet"]) as beside:
        events.to_parquet(beside, index=False, compression="zstd", schema_version="1.1.0")


def _csv(events: gpd.GeoDataFrame, out: Path) -> None:
    table = pd.DataFrame(events.drop(columns="geometry")).assign(footprint_wkt=shapely.to_wkt(events.geometry, 6))
    with written_beside(out, KINDS["csv"]) as beside:
        table.to_csv(beside, index=False, lineterminator="\n")


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    if value is None or value is pd.NA or value != value:
        return None
    return value.item() if isinstance(value, np.generic) else value


def properties(row: dict[str, Any]) -> dict[str, Any]:
    """Columns of an event that are not NULL."""
    return {name: plain(row[name]) for name in EVENTS.names if plain(row[name]) is not None}


def _geojson(events: gpd.GeoDataFrame, out: Path) -> None:
    """RFC 7946: longitude and latitude, split at 180 degrees; `id` is the event's."""
    features = [
        {
            "type": "Feature",
            "id": row["id"],
            "geometry": json.loads(shapely.to_geojson(shapely.set_precision(row["geometry"], 1e-6))),
            "properties": {name: plain(row[name]) for name in EVENTS.names},
        }
        for row in events.to_dict("records")
    ]
    content = {"type": "FeatureCollection", "title": TITLE, "features": features}
    write_text(out, json.dumps(content, indent=1) + "\n", KINDS["geojson"])


def _kml(events: gpd.GeoDataFrame, out: Path) -> None:
    """For Google Earth: a placemark an event, with the footprint and what the table says of it."""
    rows = events.to_dict("records")
    table = gpd.GeoDataFrame(
        {
            "Name": [row["id"] for row in rows],
            "Description": ["; ".join(f"{k}: {v}" for k, v in properties(row).items()) for row in rows],
        },
        geometry=events.geometry,
        crs="EPSG:4326",
    )
    with written_beside(out, KINDS["kml"]) as beside:
        file = beside.with_suffix(".kml")
        pyogrio.write_dataframe(table, file, layer=KML_LAYER, driver="KML", geometry_type="MultiPolygon",
                                promote_to_multi=True)  # fmt: skip
        file.replace(beside)


def _sed(events: gpd.GeoDataFrame, out: Path) -> None:
    table = pd.DataFrame({
        "event_id": events["id"], "start_time": events["t05"], "end_time": events["t95"],
        "duration_days": events["duration_days"], "latitude": events["latitude"], "longitude": events["longitude"],
        "depth_km": events["depth_km"], "magnitude": events["mw"], "magnitude_16": events["mw_16"],
        "magnitude_84": events["mw_84"], "strike_deg": events["strike_deg"], "dip_deg": events["dip_deg"],
        "rake_deg": events["rake_deg"], "length_km": events["length_km"], "width_km": events["width_km"],
        "slip_mm": events["mean_slip_mm"], "moment_nm": events["moment_nm"], "catalogue": "slipscan",
        "reference": "slipscan " + events["slipscan_version"].fillna(""),
    })  # fmt: skip
    with written_beside(out, KINDS["sed"]) as beside:
        table.to_csv(beside, index=False, lineterminator="\n")


WRITERS: Final[dict[str, Callable[[gpd.GeoDataFrame, Path], None]]] = {
    "geoparquet": _geoparquet, "geojson": _geojson, "csv": _csv, "kml": _kml, "sed": _sed,
}  # fmt: skip


def utc(date: str) -> datetime.datetime:
    """Midnight of an ISO date, UTC."""
    return datetime.datetime.fromisoformat(date).replace(tzinfo=datetime.UTC)


def missing(extra: str, package: str) -> SlipscanError:
    """The sentence where a package of an extra is not installed."""
    return SlipscanError(f"this needs {package}: pip install 'slipscan[{extra}]'")
