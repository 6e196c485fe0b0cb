"""Events as STAC items (extension insar), in a collection of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import shapely

from slipscan.atomic import written_beside
from slipscan.catalogue.export import STAC_INSAR, TITLE, missing, plain, properties, utc
from slipscan.outputs import NEW, check_outputs


def write_collection(events: gpd.GeoDataFrame, out: Path) -> int:
    """Write a new directory with collection.json and a directory an item; the number of items.

    An item's start is t05, its end t95; `insar:reference_datetime` and `insar:secondary_datetime` say the same, since
    the footprint is that of the displacement between them. Columns of the event stand under `slipscan:`.

    Raises
    ------
    SlipscanError
        `out` exists, or pystac is not installed
    """
    try:
        import pystac
    except ImportError as error:
        raise missing("stac", "pystac") from error
    check_outputs([(out, NEW)])
    collection = pystac.Collection(
        id="slipscan",
        description=TITLE,
        extent=pystac.Extent(pystac.SpatialExtent([_box(events)]), pystac.TemporalExtent([_span(events)])),
        license="other",
        stac_extensions=[STAC_INSAR],
    )
    for row in events.to_dict("records"):
        collection.add_item(_item(row, pystac))
    with written_beside(out, NEW) as beside:
        collection.normalize_hrefs(str(beside))
        collection.save(catalog_type=pystac.CatalogType.SELF_CONTAINED)
    return len(events)


def _item(row: dict[str, Any], pystac: Any) -> Any:
    shape = row["geometry"]
    told = {f"slipscan:{name}": value for name, value in properties(row).items()}
    insar = {
        "insar:reference_datetime": f"{row['t05']}T00:00:00Z",
        "insar:secondary_datetime": f"{row['t95']}T00:00:00Z",
    }
    if plain(row["duration_days"]) is not None:  # the extension's schema knows numbers alone
        insar["insar:temporal_baseline"] = plain(row["duration_days"])
    return pystac.Item(
        id=row["id"],
        geometry=json.loads(shapely.to_geojson(shape)),
        bbox=bbox(shape),
        datetime=None,
        start_datetime=utc(row["t05"]),
        end_datetime=utc(row["t95"]),
        properties={"constellation": "sentinel-1", "instruments": ["c-sar"], "created": f"{row['created']}T00:00:00Z",
                    "updated": f"{row['updated']}T00:00:00Z", **insar, **told},
        stac_extensions=[STAC_INSAR],
    )  # fmt: skip


def bbox(shape: shapely.Geometry) -> list[float]:
    """West, south, east, north; west is the greater for a footprint cut at 180 degrees (RFC 7946, section 5.2)."""
    west, south, east, north = (float(v) for v in shape.bounds)
    if east - west > 180:
        longitude = shapely.get_coordinates(shape)[:, 0]
        west, east = float(longitude[longitude > 0].min()), float(longitude[longitude < 0].max())
    return [west, south, east, north]


def _box(events: gpd.GeoDataFrame) -> list[float]:
    return [float(v) for v in events.total_bounds] if len(events) else [-180.0, -90.0, 180.0, 90.0]


def _span(events: gpd.GeoDataFrame) -> list[Any]:
    return [utc(min(events["t05"])), utc(max(events["t95"]))] if len(events) else [utc("2014-10-03"), None]
