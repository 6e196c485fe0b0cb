"""The catalogue as a GeoPackage: written with the same bytes for the same events, read back as tables.

What the user did in a catalogue, and programs that have it open, are `users_work`'s.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
import sqlite3
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio

from slipscan.atomic import written_beside
from slipscan.catalogue import users_work
from slipscan.catalogue.fold import ACTIVE, RETRACTED
from slipscan.catalogue.footprint import split_at_antimeridian
from slipscan.errors import SlipscanError
from slipscan.events import CATALOGUE_COLUMNS, SCAN_KEYS, Column, check_columns
from slipscan.outputs import file_kind, resolved
from slipscan.space import full_disk_said

KIND = file_kind("a catalogue", lambda path: users_work.columns_of(path, "events") >= {"event_id", "status", "updated"})
_INDEXED = "SELECT count(*) FROM gpkg_extensions WHERE extension_name = 'gpkg_rtree_index'"
_SCAN_NUMBERS = ("area_km2", "threshold", "false_alarms_per_1e4km2_yr")
_DESCRIPTIONS = {
    "events": "Events that hold; line of sight positive toward the satellite",
    "retracted": "Events that a later scan of their own region and tracks no longer found",
    "scans": "Newest scan of each region and track: what was looked at, and with which threshold",
}
# GDAL's own defaults, stated because the bytes and the reach of the file hang on them: a fixed date instead
# of the clock's, and no write-ahead log, which would leave two more files beside a catalogue being copied.
_GDAL = {"OGR_CURRENT_DATE": "2014-10-03T00:00:00.000Z", "OGR_SQLITE_JOURNAL": "DELETE"}


def write(path: Path, catalogue: gpd.GeoDataFrame, scans: list[dict[str, Any]]) -> None:
    """Write the GeoPackage, atomically and byte-identical for equal input.

    Parameters
    ----------
    path
        of the .gpkg file
    catalogue
        fold.fold's table; may be empty
    scans
        fold.newest_scans' rows; may be empty

    Notes
    -----
    Layers `events`, `retracted` (MultiPolygon, EPSG:4326, columns of CATALOGUE_COLUMNS) and `scans` (no
    geometry, columns of SCAN_KEYS), present also when empty. GeoPackage 1.3, since 1.4 makes older GDAL
    (Debian's 3.6) warn. Footprints that cross 180 degrees are split.
    """
    path = resolved(path)
    split = [split_at_antimeridian(footprint) for footprint in catalogue.geometry]
    catalogue = catalogue.set_geometry(gpd.GeoSeries(split, index=catalogue.index, crs="EPSG:4326"))
    ordered = catalogue[[*(column.name for column in CATALOGUE_COLUMNS), "geometry"]]
    # GDAL warns of names that do not end in .gpkg, and SQLite dislikes network file systems: so the file is
    # made in a directory of its own, then copied beside its final name.
    with tempfile.TemporaryDirectory(prefix="slipscan-") as scratch:
        file = Path(scratch) / "catalogue.gpkg"
        with full_disk_said(file, file), _gdal_settings():
            for layer, status in (("events", ACTIVE), ("retracted", RETRACTED)):
                table = ordered[ordered["status"] == status].reset_index(drop=True)
                _write_layer(file, layer, table, geometry_type="MultiPolygon", promote_to_multi=True)
            _write_layer(file, "scans", _scan_table(scans))
            _check_written(file, len(catalogue) + len(scans))
        with full_disk_said(file, file):
            users_work.sign(file)
        with written_beside(path, KIND) as beside:
            shutil.copyfile(file, beside)
            # Last, so that hardly any time is left in which another program could open the file.
            users_work.close(path)
            users_work.keep(path)


def _write_layer(file: Path, layer: str, table: pd.DataFrame, **geometry: Any) -> None:
    pyogrio.write_dataframe(
        table,
        file,
        layer=layer,
        driver="GPKG",
        dataset_options={} if file.exists() else {"VERSION": "1.3"},
        # Of the layer: what is said of the whole file, GDAL copies into a .aux.xml beside it whenever it reads it.
        layer_metadata={users_work.SIGNATURE: users_work.UNSIGNED},
        layer_options={"DESCRIPTION": _DESCRIPTIONS[layer]},
        **geometry,
    )


def _check_written(file: Path, rows: int) -> None:
    """Read the file back: GDAL says nothing where SQLite takes a layer back, as it does on a full disk."""
    try:
        with contextlib.closing(sqlite3.connect(file)) as database:
            state = database.execute("PRAGMA integrity_check").fetchone()[0]
            contents = database.execute("SELECT table_name, feature_count FROM gpkg_ogr_contents").fetchall()
            indexed = database.execute(_INDEXED).fetchone()
            counted = [database.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name, _ in contents]
    except sqlite3.Error as error:
        raise OSError(errno.EIO, f"what was written cannot be read back ({error})", str(file)) from error
    whole = {name for name, _ in contents} == set(_DESCRIPTIONS) and counted == [count for _, count in contents]
    if state != "ok" or not whole or sum(counted) != rows or indexed != (2,):
        raise OSError(errno.EIO, "what was written cannot be read back", str(file))


@contextlib.contextmanager
def _gdal_settings() -> Iterator[None]:
    before = {key: pyogrio.get_gdal_config_option(key) for key in _GDAL}
    pyogrio.set_gdal_config_options(_GDAL)
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options(before)


def _scan_table(scans: list[dict[str, Any]]) -> pd.DataFrame:
    columns: dict[str, Any] = {}
    for key in SCAN_KEYS:
        values = [scan[key] for scan in scans]
        number = key in _SCAN_NUMBERS
        columns[key] = np.array(values, dtype="float64") if number else np.array(list(map(str, values)), dtype=object)
    return pd.DataFrame(columns)


def read(path: Path) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame, pd.DataFrame]:
    """Read the layers `events`, `retracted` and `scans`.

    Raises
    ------
    SlipscanError
        the file is missing, or is no catalogue of slipscan
    """
    if not Path(path).is_file():
        raise SlipscanError(f"there is no catalogue {path}: run `slipscan catalogue` before, or check the path")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # GDAL's own words on a file that is refused below
            events, retracted, scans = (pyogrio.read_dataframe(path, layer=layer) for layer in _DESCRIPTIONS)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise SlipscanError(f"{path} is no catalogue of slipscan ({error})") from error
    columns = [Column(key, "float64" if key in _SCAN_NUMBERS else "str", "") for key in SCAN_KEYS]
    for table, expected in ((events, CATALOGUE_COLUMNS), (retracted, CATALOGUE_COLUMNS), (scans, columns)):
        check_columns(table, expected, f"{path} is no catalogue of slipscan, or of another version")
    return events, retracted, scans
