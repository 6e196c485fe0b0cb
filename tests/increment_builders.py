"""Increments in memory and what the stage makes one of, for the tests of increments, fold and GeoPackage."""

import pandas as pd

from event_builders import scan, table
from slipscan.catalogue.append import to_table, with_verdicts
from slipscan.catalogue.fold import Catalogue, fold
from slipscan.catalogue.increment import Increment
from slipscan.events import GNSS_COLUMNS, write_events
from slipscan.settings import CatalogueSettings

NO_GNSS = pd.DataFrame(columns=["event", "station", *(c.name for c in GNSS_COLUMNS)])


def held(*rows, seq=1, scans=None, region="AAAA"):
    """An increment in memory."""
    events = to_table(with_verdicts(table(*rows), NO_GNSS))
    return Increment(region, seq, f"{seq:012x}", tuple(scans or [scan(region)]), events)


def folded(*increments, **settings) -> Catalogue:
    """The catalogue of increments in memory."""
    return fold(increments, CatalogueSettings(**settings))


def write_source(directory, *rows, scans=None, gnss=NO_GNSS):
    directory.mkdir(parents=True, exist_ok=True)
    write_events(directory / "events.parquet", table(*rows), scans or [scan()])
    gnss.to_parquet(directory / "gnss.parquet")
    return directory / "events.parquet", directory / "gnss.parquet"
