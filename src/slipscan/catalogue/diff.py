"""What changed from one catalogue to another, in words and as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import shapely

from slipscan.catalogue.geopackage import read_layers
from slipscan.catalogue.schema import ACTIVE, EVENTS

Row = dict[str, Any]

COLUMNS: Final = ("id", "change", "column", "before", "after")
_GO_ALONG: Final = {"version", "updated", "data_until", "manifest_sha256"}
"""Columns that any change of a row brings with it: not listed beside what changed."""


def changes(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Rows of `COLUMNS`: one for every new or lost event and for every column that differs, sorted by id.

    Parameters
    ----------
    before, after
        layers `events`
    """
    old, new = (table.set_index("id").sort_index() for table in (before, after))
    rows: list[tuple[Any, ...]] = []
    rows += [(name, "lost", "", "", "") for name in old.index.difference(new.index)]
    for name in new.index.difference(old.index):
        rows.append((name, "new", "", "", _described(new.loc[name])))
    shared = old.index.intersection(new.index)
    one, other = old.loc[shared], new.loc[shared]
    ids, words = [str(name) for name in shared], _words(one, other)
    for column in (name for name in EVENTS.names if name != "id" and name not in _GO_ALONG):
        a, b = one[column].to_numpy(dtype=object), other[column].to_numpy(dtype=object)
        differ = np.array([_differ(x, y) for x, y in zip(a, b, strict=True)], bool)
        rows += [(ids[i], words[i], column, _text(a[i]), _text(b[i])) for i in np.flatnonzero(differ).tolist()]
    moved = ~shapely.equals(one.geometry.to_numpy(), other.geometry.to_numpy())
    rows += [(ids[i], words[i], "footprint", "", "") for i in np.flatnonzero(moved).tolist()]
    return pd.DataFrame(rows, columns=list(COLUMNS)).sort_values(["id", "column"], kind="stable", ignore_index=True)


def _words(one: pd.DataFrame, other: pd.DataFrame) -> list[str]:
    """(event) what happened to it."""
    words: list[str] = []
    for a, b in zip(_rows(one), _rows(other), strict=True):
        if b["status"] != a["status"]:
            words.append("restored" if b["status"] == ACTIVE else str(b["status"]))
        elif a["ongoing"] and not b["ongoing"]:
            words.append("closed")
        elif b["ongoing"] and b["t95"] > a["t95"]:
            words.append("grown")
        else:
            words.append("revised")
    return words


def _rows(table: pd.DataFrame) -> list[Row]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _differ(one: Any, other: Any) -> bool:
    if pd.isna(one) or pd.isna(other):
        return bool(pd.isna(one) != pd.isna(other))
    return bool(one != other)


def _text(value: Any) -> str:
    if pd.isna(value):
        return "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _described(event: Any) -> str:
    mw = f"Mw {event['mw']:.1f}, " if pd.notna(event["mw"]) else ""
    place = f"{event['latitude']:.2f} N {event['longitude']:.2f} E"
    return f"{event['type']}, {mw}{event['t05']} to {event['t95']}, {place}"


def in_words(table: pd.DataFrame) -> str:
    """A sentence that counts, and a line for every event that changed."""
    if table.empty:
        return "nothing changed"
    counts = table.drop_duplicates("id")["change"].value_counts()
    order = ("new", "revised", "grown", "closed", "retracted", "restored", "merged", "lost")
    lines = [", ".join(f"{counts[word]} {word}" for word in order if word in counts), ""]
    for name, group in table.groupby("id", sort=True):
        rows = _rows(group)
        parts = [
            f"{row['column']} {row['before']} -> {row['after']}"
            if row["before"] or row["after"]
            else str(row["column"])
            for row in rows
            if row["column"]
        ]
        said = "; ".join(parts) or str(rows[0]["after"])
        lines.append(f"{name}  {rows[0]['change']}{': ' if said else ''}{said}")
    return "\n".join(lines)


def diff(before: Path, after: Path) -> pd.DataFrame:
    """The changes between two catalogues; raises SlipscanError where one is none."""
    one, other = (read_layers(Path(path), "events")["events"] for path in (before, after))
    return changes(one, other)
