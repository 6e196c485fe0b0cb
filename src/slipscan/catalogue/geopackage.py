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
import pandas as pd
import pyogrio

from slipscan.atomic import working_directory, written_beside
from slipscan.catalogue import users_work
from slipscan.catalogue.checks import check, conformed
from slipscan.catalogue.columns import Layer
from slipscan.catalogue.fold import Catalogue
from slipscan.catalogue.schema import ACTIVE, EVENTS, LAYERS, RETRACTED, RUNS
from slipscan.catalogue.styles import style_table
from slipscan.errors import SlipscanError
from slipscan.outputs import file_kind, resolved
from slipscan.space import full_disk_said

_OWN = ({"id", "version", "status"}, {"event_id", "status", "updated"})
"""Columns of events that tell a catalogue; the second: up to version 0.1."""


def _is_catalogue(path: Path) -> bool:
    columns = users_work.columns_of(path, "events")
    return any(own <= columns for own in _OWN)


KIND = file_kind("a catalogue", _is_catalogue)
_INDEXED = "SELECT count(*) FROM gpkg_extensions WHERE extension_name = 'gpkg_rtree_index'"
# GDAL's own defaults, stated because the bytes and the reach of the file hang on them: a fixed date instead
# of the clock's, and no write-ahead log, which would leave two more files beside a catalogue being copied.
_GDAL = {"OGR_CURRENT_DATE": "2014-10-03T00:00:00.000Z", "OGR_SQLITE_JOURNAL": "DELETE"}


def write(path: Path, catalogue: Catalogue) -> None:
    """Write the GeoPackage, atomically and byte-identical for equal input.

    Parameters
    ----------
    path
        of the .gpkg file
    catalogue
        fold.fold's; may be empty

    Notes
    -----
    Layers and columns of `schema.LAYERS` (EPSG:4326), present also when empty. GeoPackage 1.3, since 1.4 makes older
    GDAL (Debian's 3.6) warn.

    Raises
    ------
    SlipscanError
        a layer breaks the schema, no space is left, or what is there is no catalogue or open elsewhere
    """
    path = resolved(path)
    tables = {**catalogue.layers, "layer_styles": style_table()}
    # GDAL warns of names that do not end in .gpkg, and SQLite dislikes network file systems: so the file is
    # made in a directory of its own, then copied beside its final name.
    with working_directory(Path(tempfile.gettempdir()) / "catalogue") as scratch:
        file = scratch / "catalogue.gpkg"
        with full_disk_said(file, file), _gdal_settings():
            for layer in LAYERS:  # one after the other: of a million events, two copies of all would be large
                _write_layer(file, layer, _ready(tables[layer.name], layer))
            _check_written(file, {layer.name: len(tables[layer.name]) for layer in LAYERS})
        with full_disk_said(file, file):
            users_work.sign(file)
        with written_beside(path, KIND) as beside:
            shutil.copyfile(file, beside)
            # Last, so that hardly any time is left in which another program could open the file.
            users_work.close(path)
            users_work.keep(path)


def check_layers(catalogue: Catalogue) -> None:
    """Hold all layers to the schema; raises BrokenSchemaError."""
    for layer in LAYERS[:-1]:
        _ready(catalogue.layers[layer.name], layer)


def _ready(table: pd.DataFrame, layer: Layer) -> pd.DataFrame:
    """A layer as the schema wants it; raises BrokenSchemaError where it breaks the schema."""
    plain = conformed(pd.DataFrame(table.drop(columns="geometry", errors="ignore")), layer)
    check(plain, layer)
    return gpd.GeoDataFrame(plain, geometry=table.geometry) if layer.geometry else plain


def _write_layer(file: Path, layer: Layer, table: pd.DataFrame) -> None:
    named = {"MULTIPOLYGON": "MultiPolygon", "POINT": "Point", "GEOMETRY": "Unknown"}
    geometry: dict[str, Any] = {}
    if layer.geometry:
        geometry = {"geometry_type": named[layer.geometry], "promote_to_multi": layer.geometry == "MULTIPOLYGON"}
    pyogrio.write_dataframe(
        table,
        file,
        layer=layer.name,
        driver="GPKG",
        dataset_options={} if file.exists() else {"VERSION": "1.3"},
        # Of the layer: what is said of the whole file, GDAL copies into a .aux.xml beside it whenever it reads it.
        layer_metadata={users_work.SIGNATURE: users_work.UNSIGNED},
        layer_options={"DESCRIPTION": layer.description, "IDENTIFIER": layer.name},
        use_arrow=True,
        **geometry,
    )


def _check_written(file: Path, rows: dict[str, int]) -> None:
    """Read the file back: GDAL says nothing where SQLite takes a layer back, as it does on a full disk."""
    try:
        with contextlib.closing(sqlite3.connect(file)) as database:
            state = database.execute("PRAGMA quick_check").fetchone()[0]
            (indexed,) = database.execute(_INDEXED).fetchone()
            names = [name for (name,) in database.execute("SELECT table_name FROM gpkg_contents")]
            counted = {name: database.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in names}
    except sqlite3.Error as error:
        raise OSError(errno.EIO, f"what was written cannot be read back ({error})", str(file)) from error
    if state != "ok" or counted != rows or indexed != sum(bool(layer.geometry) for layer in LAYERS):
        raise OSError(errno.EIO, "what was written cannot be read back", str(file))


@contextlib.contextmanager
def _gdal_settings() -> Iterator[None]:
    before = {key: pyogrio.get_gdal_config_option(key) for key in _GDAL}
    pyogrio.set_gdal_config_options(_GDAL)
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options(before)


def read_layers(path: Path, *names: str) -> dict[str, pd.DataFrame]:
    """Read layers of a catalogue; texts as objects, NULL as None or NaN, truths as bool.

    Parameters
    ----------
    path
        of the GeoPackage
    names
        of layers; none: all but the styles

    Raises
    ------
    SlipscanError
        the file is missing, or is no catalogue of slipscan
    """
    if not Path(path).is_file():
        raise SlipscanError(f"there is no catalogue {path}: run `slipscan catalogue` before, or check the path")
    wanted = [layer for layer in LAYERS[:-1] if not names or layer.name in names]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # GDAL's own words on a file that is refused below
            read = {layer.name: pyogrio.read_dataframe(path, layer=layer.name) for layer in wanted}
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise SlipscanError(f"{path} is no catalogue of slipscan, or of another version ({error})") from error
    return {layer.name: _typed(read[layer.name], layer, path) for layer in wanted}


def _typed(frame: pd.DataFrame, layer: Layer, path: Path) -> pd.DataFrame:
    """A layer's columns in the types that it was written with."""
    lacking = [name for name in layer.names if name not in frame]
    if lacking:
        raise SlipscanError(
            f"{path} is no catalogue of slipscan, or of another version: its layer '{layer.name}' lacks the column"
            f" '{lacking[0]}'"
        )
    try:
        plain = conformed(pd.DataFrame(frame[layer.names]), layer)
    except (TypeError, ValueError) as error:
        raise SlipscanError(f"{path} is no catalogue of slipscan: its layer '{layer.name}': {error}") from error
    if not layer.geometry:
        return plain
    return gpd.GeoDataFrame(plain, geometry=frame.geometry, crs=frame.crs)


def read(path: Path) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame, pd.DataFrame]:
    """Read the events that hold, those that are retracted, and the newest scan of every region and track.

    Columns are named as in the event table (`slipscan.events`), which stages before the catalogue know; `event_id` is
    the id.

    Raises
    ------
    SlipscanError
        the file is missing, or is no catalogue of slipscan
    """
    return as_event_tables(read_layers(path, "events", "runs"))


def as_event_tables(layers: dict[str, pd.DataFrame]) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame, pd.DataFrame]:
    """What `read` gives, of layers in memory."""
    events, runs = layers["events"], layers["runs"]
    events = events.rename(columns={column.name: column.source for column in EVENTS.columns} | {"id": "event_id"})
    events["gnss_verdict"] = events["gnss_verdict"].fillna("no_coverage")
    events["gnss_stations"] = events["gnss_stations"].fillna(0).astype("int64")
    held, retracted = (events[events["status"] == one].reset_index(drop=True) for one in (ACTIVE, RETRACTED))
    scans = runs[runs["newest"].astype(bool)].rename(columns={column.name: column.source for column in RUNS.columns})
    return held, retracted, scans.reset_index(drop=True)
