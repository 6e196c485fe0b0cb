"""All events of all increments as one table of columns: a sighting is one event of one increment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray

from slipscan.catalogue.columns import Column
from slipscan.catalogue.footprint import split_at_antimeridian
from slipscan.catalogue.increment import Increment
from slipscan.catalogue.schema import EVENTS

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_TYPES = {
    "text": pa.string(), "date": pa.string(), "number": pa.float64(), "integer": pa.float64(), "truth": pa.bool_(),
}  # fmt: skip
OF_THE_FOLD = frozenset(
    ("id", "version", "status", "merged_into", "view", "grade", "grade_reason", "regions", "manifest_sha256",
     "data_until", "created", "updated")
)  # fmt: skip
"""Columns of events that no increment holds."""
FILLED: tuple[Column, ...] = tuple(column for column in EVENTS.columns if column.name not in OF_THE_FOLD)
"""Columns of events that are filled from the event table."""
COLUMNS = pa.schema([*((c.source, _TYPES[c.kind]) for c in FILLED), ("geometry", pa.binary())])


@dataclass(frozen=True)
class Sightings:
    """The events of all increments; those of one increment lie together.

    Attributes
    ----------
    increments
        in the order in which they count
    table
        a row a sighting; columns of FILLED under their names in the event table, and `geometry` (WKB)
    increment
        (sighting), number of its increment
    """

    increments: tuple[Increment, ...]
    table: pa.Table
    increment: Ints
    _coded: dict[str, tuple[Ints, list[Any]]] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def number(self, name: str) -> Floats:
        """(sighting) values of a column of numbers or truths; NaN where NULL."""
        column = self.table[name]
        if pa.types.is_boolean(column.type):
            column = pc.cast(column, pa.int8())
        return np.asarray(column.to_numpy(zero_copy_only=False), dtype=float)

    def codes(self, name: str) -> tuple[Ints, list[Any]]:
        """(sighting) number of a column's value, -1 where NULL, and the values."""
        if name not in self._coded:
            column = self.table[name].combine_chunks()
            if isinstance(column, pa.ChunkedArray):
                column = column.chunk(0) if column.num_chunks else pa.array([], column.type)
            encoded = pc.dictionary_encode(column)
            numbers = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
            self._coded[name] = numbers, encoded.dictionary.to_pylist()
        return self._coded[name]

    def days(self, name: str) -> Ints:
        """(sighting) day numbers of a column of dates; a time of day is left out."""
        numbers, texts = self.codes(name)
        days = np.array([text[:10] for text in texts], dtype="datetime64[D]").astype(np.int64)
        return days[numbers] if len(days) else np.zeros(0, np.int64)

    @cached_property
    def present(self) -> list[Column]:
        """Columns of FILLED that some sighting has a value of."""
        return [column for column in FILLED if self.table[column.source].null_count < len(self)]

    @cached_property
    def footprints(self) -> tuple[Ints, NDArray[np.object_]]:
        """(sighting) number of its footprint, and the footprints: valid, split at 180 degrees."""
        numbers, values = self.codes("geometry")
        shapes = shapely.from_wkb(np.array(values, dtype=object))
        bad = np.flatnonzero(~shapely.is_valid(shapes))
        shapes[bad] = shapely.buffer(shapes[bad], 0)
        bounds = shapely.bounds(shapes).reshape(-1, 4)
        wide = (bounds[:, 2] - bounds[:, 0] > 180) | (bounds[:, 0] < -180) | (bounds[:, 2] > 180)
        for number in np.flatnonzero(wide):
            shapes[number] = split_at_antimeridian(shapes[number])
        return numbers, shapes

    @cached_property
    def footprint(self) -> NDArray[np.object_]:
        """(sighting) footprint."""
        numbers, shapes = self.footprints
        return shapes[numbers]

    @cached_property
    def mechanism(self) -> Floats:
        """(sighting, 6) unit moment tensor (xx, yy, zz, and xy, xz, yz times sqrt 2; x north); zeros without a source.

        Aki & Richards (2002), box 4.4. A volume source is isotropic, with the sign of its change.
        """
        strike, dip, rake = (np.deg2rad(self.number(f"{name}_deg")) for name in ("strike", "dip", "rake"))
        along, down = np.cos(rake), np.sin(rake)
        xx = -(np.sin(dip) * along * np.sin(2 * strike) + np.sin(2 * dip) * down * np.sin(strike) ** 2)
        yy = np.sin(dip) * along * np.sin(2 * strike) - np.sin(2 * dip) * down * np.cos(strike) ** 2
        xy = np.sin(dip) * along * np.cos(2 * strike) + 0.5 * np.sin(2 * dip) * down * np.sin(2 * strike)
        xz = -(np.cos(dip) * along * np.cos(strike) + np.cos(2 * dip) * down * np.sin(strike))
        yz = -(np.cos(dip) * along * np.sin(strike) - np.cos(2 * dip) * down * np.cos(strike))
        zz = np.sin(2 * dip) * down
        fault = np.stack([xx, yy, zz, *(np.sqrt(2) * part for part in (xy, xz, yz))], axis=1) / np.sqrt(2)
        volume = np.sign(self.number("volume_change_m3"))[:, None] * np.array([1.0, 1, 1, 0, 0, 0]) / np.sqrt(3)
        return np.where(np.isfinite(fault), fault, np.where(np.isfinite(volume), volume, 0.0))


def gather(increments: Sequence[Increment]) -> Sightings:
    """Put increments, in any order, into one table; a column that one does not hold is NULL there."""
    ordered = tuple(sorted(increments, key=lambda one: one.order))
    blocks: dict[int, tuple[pa.Table, int]] = {}
    rows = 0
    for one in ordered:
        if id(one.block) not in blocks:
            blocks[id(one.block)] = one.block, rows
            rows += one.block.num_rows
    increment = np.full(rows, -1, np.int64)
    for number, one in enumerate(ordered):
        begin = blocks[id(one.block)][1]
        increment[begin + one.rows.start : begin + one.rows.stop] = number
    table = _put_together([block for block, _ in blocks.values()])
    used = increment >= 0
    return Sightings(ordered, table if used.all() else table.filter(used), increment[used])


def _put_together(blocks: Sequence[pa.Table]) -> pa.Table:
    """One table."""
    alike: list[list[pa.Table]] = []
    for block in blocks:
        # Increments of one version have the same columns: put together first, they are conformed at once.
        if not alike or not alike[-1][0].schema.equals(block.schema):
            alike.append([])
        alike[-1].append(block)
    tables = [conformed(pa.concat_tables(group)) for group in alike]
    return pa.concat_tables(tables) if tables else COLUMNS.empty_table()


def conformed(table: pa.Table) -> pa.Table:
    """A table with the columns of `COLUMNS`."""
    arrays = []
    for wanted in COLUMNS:
        number = table.schema.get_field_index(wanted.name)
        if number < 0:
            arrays.append(pa.nulls(table.num_rows, wanted.type))
            continue
        column = table.column(number)
        arrays.append(column if column.type == wanted.type else _cast(column, wanted.type))
    return pa.Table.from_arrays(arrays, schema=COLUMNS)


def _cast(column: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    if pa.types.is_boolean(column.type) and pa.types.is_floating(wanted):
        return pc.cast(pc.cast(column, pa.int8()), wanted)
    return pc.cast(column, wanted, safe=False)
