"""The increments of a region, read once and kept beside them in one file: the next fold need not parse them again.

It holds nothing of its own: what is read from it is used only where the increment is still on disk with the bytes that
its name states, so a catalogue with or without it is the same. It can be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from slipscan.atomic import written_beside
from slipscan.catalogue.increment import DIGITS, SCHEMA, Increment, parsed_name
from slipscan.catalogue.sightings import COLUMNS, conformed
from slipscan.errors import SlipscanError
from slipscan.outputs import OWN

log = logging.getLogger(__name__)

NAME = ".read.arrow"
MIN_INCREMENTS = 8
"""Fewer are read as fast without it."""
NEW_SHARE = 1 / 8
"""It is written again when more of a region's increments are new: else every fold would write all that it read."""
_DIGEST = 64
_KEY = b"slipscan_increments"


def load(directory: Path) -> dict[str, Increment]:
    """The increments that are kept, by the name of their file; none where there is no such file, or a damaged one."""
    try:
        content = (directory / NAME).read_bytes()
        body = memoryview(content)[_DIGEST:]
        if hashlib.sha256(body).hexdigest().encode() != content[:_DIGEST]:
            return {}
        table = pa.ipc.open_file(pa.py_buffer(body)).read_all()
        told = json.loads((table.schema.metadata or {})[_KEY])
    except (OSError, pa.ArrowException, KeyError, ValueError):
        return {}
    # Columns of another version would hide what its increments hold.
    if not table.schema.remove_metadata().equals(COLUMNS) or told["schema"] != SCHEMA:
        return {}
    table = table.replace_schema_metadata(None)
    kept, begin = {}, 0
    for one in told["increments"]:
        found = Increment(
            one["region"], one["seq"], one["sha"], tuple(one["scans"]), table, one["schema"], one["about"].encode(),
            (begin, one["rows"]),
        )  # fmt: skip
        begin += one["rows"]
        kept[found.name] = found
    return kept


def save(directory: Path, increments: Sequence[Increment], kept: Mapping[str, Increment]) -> None:
    """Keep increments of one region, where many are not kept yet; where it cannot be written, nothing happens."""
    new = sum(one.name not in kept for one in increments)
    if len(increments) < MIN_INCREMENTS or new <= NEW_SHARE * len(increments):
        return
    told = [
        {
            "region": one.region, "seq": one.seq, "sha": one.sha, "scans": list(one.scans), "schema": one.schema,
            "about": one.about.decode(), "rows": len(one.rows),
        }
        for one in increments
    ]  # fmt: skip
    table = pa.concat_tables([conformed(one.table) for one in increments]).combine_chunks()
    table = table.replace_schema_metadata({_KEY: json.dumps({"schema": SCHEMA, "increments": told})})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    body = sink.getvalue().to_pybytes()
    with contextlib.suppress(OSError, SlipscanError), written_beside(directory / NAME, OWN) as beside:
        beside.write_bytes(hashlib.sha256(body).hexdigest().encode() + body)


def is_whole(path: Path) -> bool:
    """Whether an increment has the bytes that its name states."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:DIGITS] == parsed_name(path)[1]
    except OSError:
        return False
