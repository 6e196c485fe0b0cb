"""The layer `completeness`: from which magnitude on a region's events are detected, by its newest increment."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from slipscan.catalogue.beside import ordered
from slipscan.catalogue.schema import COMPLETENESS
from slipscan.catalogue.sightings import Sightings


def completeness(sightings: Sightings) -> gpd.GeoDataFrame:
    """A row for every node of every region's grid, as its newest increment tells it."""
    newest = {one.region: one for one in sightings.increments}
    frames = []
    for region in sorted(newest):
        frame = pd.DataFrame(newest[region].told("completeness"))
        frame["region"], frame["node"] = region, np.arange(1, len(frame) + 1)
        frames.append(frame)
    told = [frame for frame in frames if len(frame)]
    table = pd.concat(told, ignore_index=True) if told else pd.DataFrame({name: [] for name in COMPLETENESS.names})
    places = shapely.points(table["longitude"].to_numpy(dtype=float), table["latitude"].to_numpy(dtype=float))
    return gpd.GeoDataFrame(ordered(table, COMPLETENESS), geometry=places, crs="EPSG:4326")
