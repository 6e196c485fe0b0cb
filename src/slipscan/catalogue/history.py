"""Every version of every event: what changed, and at which data cut-off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slipscan.catalogue import runs
from slipscan.catalogue.chains import Chains, first_of
from slipscan.catalogue.schema import ACTIVE, HISTORY, MERGED, RETRACTED
from slipscan.catalogue.sightings import Ints, Sightings

if TYPE_CHECKING:
    from slipscan.catalogue.fold import State

Bools = NDArray[np.bool_]
Texts = NDArray[np.object_]
Row = dict[str, Any]


@dataclass(frozen=True)
class Entries:
    """What increments say of chains, sorted by chain and increment.

    Attributes
    ----------
    chain, increment
        (entry) numbers
    row
        (entry) sighting; of a retraction, the one before it
    gone
        (entry) a retraction
    changed
        (entry) a new version: another status, or a column that differs
    first
        (entry) the chain's first
    """

    chain: Ints
    increment: Ints
    row: Ints
    gone: Bools
    changed: Bools
    first: Bools

    def last_change(self, chains: int) -> Ints:
        """(chain) number of the increment that changed it last."""
        out = np.zeros(chains, np.int64)
        np.maximum.at(out, self.chain[self.changed], self.increment[self.changed])
        return out


def entries(sightings: Sightings, followed: Chains, last: Ints) -> Entries:
    """Sightings and retractions of every chain, in order, and which of them are a new version."""
    chain = np.concatenate([followed.of_sighting, followed.retracted])
    increment = np.concatenate([sightings.increment, followed.retracted_by])
    row = np.concatenate([np.arange(len(sightings)), np.full(len(followed.retracted), -1)]).astype(np.int64)
    order = np.lexsort((increment, chain))
    chain, increment, row = chain[order], increment[order], row[order]
    gone = row < 0
    # A retraction keeps the sighting before it, which a chain always has.
    row = row[np.maximum.accumulate(np.where(gone, 0, np.arange(len(row))))] if len(row) else row
    first = first_of(chain)
    changed = first.copy()
    if len(row):
        before = np.concatenate([row[:1], row[:-1]])
        differs = np.zeros(len(row), bool)
        for name in ("geometry", *(column.source for column in sightings.present)):
            codes = _comparable(sightings, name)
            differs |= codes[row] != codes[before]
        changed |= differs | (gone != np.concatenate([gone[:1], gone[:-1]]))
    return Entries(chain, increment, row, gone, changed, first)


def _comparable(sightings: Sightings, name: str) -> Ints:
    """(sighting) numbers that are the same where a column's values are."""
    if name == "geometry":
        return sightings.footprints[0]
    if str(sightings.table.schema.field(name).type) == "string":
        return sightings.codes(name)[0]
    values = sightings.number(name) + 0.0  # no negative zero
    return np.where(np.isnan(values), np.nan, values).view(np.int64)


def layer(sightings: Sightings, listed: Entries, state: State, events: pd.DataFrame) -> pd.DataFrame:
    """The layer `history`, sorted by event and version."""
    chosen = np.flatnonzero(listed.changed)
    chain, row, increment = (part[chosen] for part in (listed.chain, listed.row, listed.increment))
    until = np.array([one.data_until for one in sightings.increments], dtype=object)
    seq = np.array([one.seq for one in sightings.increments], np.int64)
    change, changed = _described(sightings, listed, chosen)
    frame = _columns(sightings, row)
    frame["event_id"] = state.id[chain]
    frame["version"] = _counted(chain)
    frame["change"], frame["changed"] = change, changed
    frame["region"] = np.array(state.regions, dtype=object)[state.region[chain]] if len(chain) else chain.astype(object)
    frame["seq"] = seq[increment] if len(increment) else increment
    frame["data_until"] = until[increment] if len(increment) else increment.astype(object)
    frame["status"] = np.where(listed.gone[chosen], RETRACTED, ACTIVE).astype(object)
    parts = _parts(frame[HISTORY.names], state, events)
    return pd.concat(parts, ignore_index=True).sort_values(["event_id", "version"], ignore_index=True)


def _columns(sightings: Sightings, rows: Ints) -> pd.DataFrame:
    """Columns that sightings fill."""
    out: dict[str, object] = {"manifest_sha256": runs.manifests(sightings, rows)}
    for column in HISTORY.columns:
        if column.source not in sightings.table.column_names:
            continue
        if column.kind in ("text", "date"):
            codes, texts = sightings.codes(column.source)
            cut = [text[:10] for text in texts] if column.kind == "date" else texts
            out[column.name] = np.array([*cut, None], dtype=object)[codes[rows]]
        else:
            values = sightings.number(column.source)[rows]
            out[column.name] = values.astype(bool) if column.kind == "truth" else values
    return pd.DataFrame(out)


def _counted(chain: Ints) -> Ints:
    """(row) 1, 2, ... within each run of a sorted key."""
    begin = np.flatnonzero(first_of(chain))
    return np.arange(len(chain)) - np.repeat(begin, np.diff(np.append(begin, len(chain)))) + 1


def _described(sightings: Sightings, listed: Entries, chosen: Ints) -> tuple[Texts, Texts]:
    """(version) what happened, and the columns that changed."""
    row, gone = listed.row[chosen], listed.gone[chosen]
    new = listed.first[chosen]
    # What stood before is the entry before in the chain, changed or not: the same sighting as the version before.
    before = listed.row[np.maximum(chosen - 1, 0)]
    was_gone = listed.gone[np.maximum(chosen - 1, 0)] & ~new
    ongoing = sightings.number("ongoing") == 1
    later = sightings.days("t95")
    change = np.full(len(chosen), "revised", dtype=object)
    change[ongoing[row] & (later[row] > later[before])] = "grown"
    change[ongoing[before] & ~ongoing[row]] = "closed"
    change[was_gone & ~gone] = "restored"
    change[gone] = "retracted"
    change[new] = "found"
    words: list[list[str]] = [[] for _ in chosen]
    for number in np.flatnonzero(gone):
        words[number].append(_not_found(sightings, int(row[number]), int(listed.increment[chosen[number]])))
    told = np.flatnonzero(~new & ~gone)
    for column in sightings.present:
        codes = _comparable(sightings, column.source)
        differ = told[codes[row[told]] != codes[before[told]]]
        if len(differ):
            texts = _texts(sightings, column.source, np.concatenate([before[differ], row[differ]]))
            for number, old, now in zip(differ.tolist(), texts, texts[len(differ) :], strict=False):
                words[number].append(f"{column.name} {old} -> {now}")
    shapes = sightings.footprints[0]
    for number in told[shapes[row[told]] != shapes[before[told]]].tolist():
        words[number].append("footprint")
    return change, np.array(["; ".join(one) for one in words] or [], dtype=object)


def _texts(sightings: Sightings, name: str, rows: Ints) -> list[str]:
    """Values of a column as texts, in the order of `rows`."""
    if str(sightings.table.schema.field(name).type) == "string":
        codes, values = sightings.codes(name)
        return [values[code] if code >= 0 else "none" for code in codes[rows].tolist()]
    return ["none" if value != value else f"{value:.6g}" for value in sightings.number(name)[rows].tolist()]


def _not_found(sightings: Sightings, row: int, increment: int) -> str:
    tracks = sightings.table["tracks"][row].as_py()
    of_tracks = [scan for scan in sightings.increments[increment].scans if str(scan["track"]) in tracks]
    thresholds = ", ".join(f"{scan['track']} at {float(scan['threshold']):.4g}" for scan in of_tracks)
    return f"no longer found by the scan of {thresholds}"


def _parts(frame: pd.DataFrame, state: State, events: pd.DataFrame) -> list[pd.DataFrame]:
    """The history and, for events that several regions see, a last version of the parts and of the whole.

    A part became one when the later of the two was last changed.
    """
    merged = np.flatnonzero(state.primary != np.arange(len(state.primary)))
    if not len(merged):
        return [frame]
    shared = {*state.id[merged], *state.id[state.primary[merged]]}
    shown: dict[str, Row] = {row["id"]: row for row in _records(events[events["id"].isin(shared)])}
    own = frame[frame["event_id"].isin(shared)].drop_duplicates("event_id", keep="last")
    newest: dict[str, Row] = {row["event_id"]: row for row in _records(own)}
    rows: list[Row] = []
    parts: dict[str, list[str]] = {}
    for part, whole in zip(state.id[merged], state.id[state.primary[merged]], strict=True):
        parts.setdefault(whole, []).append(part)
        until = max(newest[part]["data_until"], newest[whole]["data_until"])
        told = {"version": shown[part]["version"], "change": "merged", "changed": f"part of {whole}"}
        rows.append(newest[part] | told | {"status": MERGED, "data_until": until})
    for whole in sorted(parts):
        row = newest[whole]
        values = {name: shown[whole][name] for name in frame.columns if name in shown[whole] and name != "region"}
        told = {"change": "joined", "changed": f"with {', '.join(sorted(parts[whole]))}"}
        rows.append(row | values | told | {"data_until": max(shown[whole]["updated"], row["data_until"])})
    return [frame, pd.DataFrame(rows, columns=frame.columns).astype(frame.dtypes.to_dict())]


def _records(frame: pd.DataFrame) -> list[Row]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]
