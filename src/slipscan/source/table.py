"""Transients as a table of footprints, and back to the product that sources are inverted of."""

from __future__ import annotations

from typing import Final

import geopandas as gpd
import numpy as np
import pandas as pd
import xarray as xr

from slipscan import vocabulary
from slipscan.detect.ramp import Ramp
from slipscan.detect.stage import transients_product
from slipscan.detect.track import Track
from slipscan.detect.transient import Transient
from slipscan.errors import SlipscanError
from slipscan.geometry import read_grid
from slipscan.settings import DetectSettings
from slipscan.source.join import footprint_pixels, footprint_polygons

TIMES: Final = ("t05", "t50", "t95")
OF_TRANSIENT: Final = ("statistic", "p_value", "false_alarms", "ongoing", "left_censored")
MORE: Final = (
    "threshold", "t05_error", "t50_error", "t95_error", "change_error", "found_on_fault", "found_by_field"
)  # fmt: skip
"""Of a transient, where the product has them: the source stage would else doubt what a search along faults found."""
OF_SCAN: Final = (
    "region", "track", "detector", "threshold", "false_alarms_per_1e4km2_yr", "calibration_id", "weights",
)  # fmt: skip


def table_of(product: xr.Dataset) -> gpd.GeoDataFrame:
    """A row a transient: times (UTC), statistic, p-value, the scan behind it, its footprint (EPSG:4326)."""
    grid = read_grid(product)
    footprints = [footprint_polygons(one.values, grid) for one in product["footprint"]]
    columns = {name: product[name].values for name in (*TIMES, *OF_TRANSIENT)}
    columns |= {name: columns[name].astype(bool) for name in ("ongoing", "left_censored")}
    frame = pd.DataFrame(columns).assign(**{name: product.attrs[name] for name in OF_SCAN})
    for name in MORE:
        if name in product:
            frame[name] = product[name].values
    return gpd.GeoDataFrame(frame, geometry=footprints, crs="EPSG:4326")


def product_of(stack: xr.Dataset, track: Track, settings: DetectSettings, table: gpd.GeoDataFrame) -> xr.Dataset:
    """The transients product of the rows of a table (one or more), their maps estimated again from the stack.

    Raises
    ------
    SlipscanError
        a column of `table_of` is missing, or a footprint lies outside the stack
    """
    lacking = [name for name in (*TIMES, *OF_TRANSIENT, *OF_SCAN) if name not in table]
    if lacking:
        raise SlipscanError(f"the table of transients lacks the column '{lacking[0]}': give rows of slipscan.detect")
    found = [_transient(stack, track, row) for _, row in table.iterrows()]
    scan = {name: table.iloc[0][name] for name in OF_SCAN}
    calibrated = {name: scan[name] for name in ("threshold", "false_alarms_per_1e4km2_yr", "calibration_id")}
    product = transients_product(stack, track, settings, found, list(table["p_value"]), calibrated).assign_attrs(scan)
    product["false_alarms"] = ("transient", table["false_alarms"].to_numpy(float))
    for name in MORE:
        if name in table:
            product[name] = ("transient", table[name].to_numpy(float))
    return vocabulary.annotate(product, "transients")


def _transient(stack: xr.Dataset, track: Track, row: pd.Series) -> Transient:
    """One row as the detector left it."""
    ramp = Ramp.of_times(*(np.datetime64(row[name], "ns") for name in TIMES))
    mask = footprint_pixels(row["geometry"], read_grid(stack))
    if not mask.any():
        raise SlipscanError("the footprint of a transient lies outside the stack: give the stack that it was found in")
    return Transient(ramp, float(row["statistic"]), mask[:: track.factor, :: track.factor])
