"""Rows of the event table and scans, for the tests of catalogue, score and report."""

import datetime

import numpy as np
from shapely.geometry import box

from slipscan.events import SOURCE_COLUMNS, event_table

EMPTY = {"str": "", "float64": np.nan, "bool": False, "int64": 0}
FAULT = {"strike_deg": 261.5, "dip_deg": 85.0, "length_km": 10.0, "width_km": 4.0, "slip_mm": 20.0}
"""Columns of a source; its rake is left to the test."""


def shifted(date, days):
    return (datetime.date.fromisoformat(date) + datetime.timedelta(days=days)).isoformat()


def event(region="AAAA", t50="2019-03-01", duration_d=20.0, lon=32.0, lat=40.0, half_deg=0.05, tracks="087A", **more):
    """One row: an event of `duration_d` days around t50 with a square footprint."""
    half = int(duration_d // 2)
    row = {column.name: EMPTY[column.dtype] for column in SOURCE_COLUMNS}
    row |= {
        "region": region,
        "tracks": tracks,
        "type": "slow_slip",
        "t05": shifted(t50, -half),
        "t50": t50,
        "t95": shifted(t50, half),
        "duration_d": duration_d,
        "longitude": lon,
        "latitude": lat,
        "depth_km": 3.0,
        "mw": 5.0,
        "peak_positive_mm": 8.0,
        "peak_negative_mm": -7.0,
        "statistic": 9.0,
        "p_value": 2e-4,
        "threshold": 5.5,
        "data_until": "2019-12-25",
        "geometry": box(lon - half_deg, lat - half_deg, lon + half_deg, lat + half_deg),
    }
    return row | more


def scan(region="AAAA", track="087A", until="2019-12-25", start="2018-01-04", end=None):
    return {
        "region": region,
        "track": track,
        "window_start": start,
        "window_end": end or until,
        "data_until": until,
        "area_km2": 3600.0,
        "threshold": 5.5,
        "false_alarms_per_1e4km2_yr": 0.1,
        "calibration_id": "cal-1",
        "weights": "classical",
        "inventory_sha256": "0" * 64,
        "slipscan_version": "0.1.0",
    }


def table(*rows):
    return event_table(list(rows), SOURCE_COLUMNS)
