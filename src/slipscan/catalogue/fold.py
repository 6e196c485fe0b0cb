"""The catalogue as a pure fold over all increments: no state, no clock, the same layers in any file order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from slipscan.catalogue import beside, borders, chains, grades, history, runs
from slipscan.catalogue.chains import Chains
from slipscan.catalogue.completeness import completeness
from slipscan.catalogue.increment import Increment
from slipscan.catalogue.schema import ACTIVE, CANDIDATE, EVENTS, MERGED, PUBLISHED, RETRACTED
from slipscan.catalogue.sightings import FILLED, Ints, Sightings, gather
from slipscan.earthquakes import SHEAR_MODULUS_PA
from slipscan.settings import CatalogueSettings


@dataclass(frozen=True)
class Catalogue:
    """The catalogue's layers by name (`schema.LAYERS`, without the styles), sorted, columns as the schema states."""

    layers: dict[str, pd.DataFrame] = field(default_factory=dict)

    @property
    def events(self) -> gpd.GeoDataFrame:
        """The events, of any status."""
        return self.layers["events"]


@dataclass(frozen=True)
class State:
    """Where every chain stands at the end.

    Attributes
    ----------
    last, born
        (chain) last and first sighting
    region
        (chain) number of the region, of `regions`
    active
        (chain) not retracted
    primary
        (chain) the chain whose id the event has; another chain is part of it
    id
        (chain)
    """

    last: Ints
    born: Ints
    region: Ints
    regions: list[str]
    active: NDArray[np.bool_]
    primary: Ints
    id: NDArray[np.object_]


def fold(
    increments: Sequence[Increment], settings: CatalogueSettings, refused: Sequence[tuple[str, str, str]] = ()
) -> Catalogue:
    """Fold increments to the catalogue.

    Increments count in the order of data cut-off, region and number. `chains.chain` says which events of a region's
    increments are one, and what retracts an event; `borders.joined` which events of two regions are one. An event's
    id, `SSE-{t50}-{region}-{letter}`, is minted from the sighting of its region's increment of the lowest number: it
    hangs on no other region and on no later increment, and is never used again. An event that is part of another
    region's keeps its row, with status `merged` and the id of the whole.

    Parameters
    ----------
    increments
        of any regions, in any order
    settings
        the rules of matching
    refused
        region, name and reason of files that could not be read, for the layer `runs`

    Returns
    -------
    catalogue
        every event ever found, sorted by id, and the other layers
    """
    sightings = gather(increments)
    followed = chains.chain(sightings, settings.match_gap_d)
    state = _state(sightings, followed, settings)
    entries = history.entries(sightings, followed, state.last)
    events = _events(sightings, state, entries)
    layers: dict[str, pd.DataFrame] = {
        "events": events,
        "observations": beside.observations(sightings, state),
        "sources": beside.sources(events),
        **beside.gnss(sightings, state),
        "regions": runs.regions(sightings, events),
        "completeness": completeness(sightings),
        "runs": runs.runs(sightings, refused),
        "history": history.layer(sightings, entries, state, events),
    }
    return Catalogue(layers)


def _state(sightings: Sightings, followed: Chains, settings: CatalogueSettings) -> State:
    """First and last sightings, status, ids and groups of the chains."""
    order = np.lexsort((sightings.increment, followed.of_sighting))
    of_sorted = followed.of_sighting[order]
    starts = np.flatnonzero(chains.first_of(of_sorted))
    ends = np.append(starts[1:], len(order))[: len(starts)] - 1
    born, last = order[starts], order[ends]
    regions = sorted({one.region for one in sightings.increments})
    region = chains.regions_of(sightings)[sightings.increment[last]]
    active = np.ones(len(last), bool)
    if len(followed.retracted):
        # A chain that was retracted is active again where a later increment holds it.
        until = np.full(len(last), -1, np.int64)
        np.maximum.at(until, followed.retracted, followed.retracted_by)
        active = until < sightings.increment[last]
    group = borders.joined(sightings, last, region, active, settings.match_gap_d, settings.border_km)
    return State(last, born, region, regions, active, _primary(group, sightings.increment[born]),
                 _ids(sightings, order, starts, region, regions))  # fmt: skip


def _primary(group: Ints, found_by: Ints) -> Ints:
    """(chain) the chain of its group that was found first."""
    order = np.lexsort((np.arange(len(group)), found_by, group))
    first = order[chains.first_of(group[order])]
    out = np.empty(len(group), np.int64)
    out[group[first]] = first
    return out[group] if len(group) else out


def _ids(
    sightings: Sightings, order: Ints, starts: Ints, region: Ints, regions: list[str]
) -> NDArray[np.object_]:  # fmt: skip
    """(chain) id, minted from the sighting of the lowest number of its region's increments."""
    if not len(starts):
        return np.zeros(0, dtype=object)
    number = np.array([one.seq for one in sightings.increments], np.int64)[sightings.increment[order]]
    group = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(order))))
    by_number = np.lexsort((np.arange(len(order)), number, group))
    founding = order[by_number[starts]]
    founded = number[by_number[starts]]
    day = sightings.days("t50")[founding]
    turn = np.lexsort((np.arange(len(starts)), founded, day, region))
    key = np.stack([region[turn], day[turn]])
    new = np.concatenate([[True], (key[:, 1:] != key[:, :-1]).any(axis=0)])
    begin = np.flatnonzero(new)
    letter = np.arange(len(turn)) - np.repeat(begin, np.diff(np.append(begin, len(turn))))
    texts = np.datetime_as_string(day.astype("datetime64[D]"))
    out = np.empty(len(starts), dtype=object)
    for chain, count in zip(turn.tolist(), letter.tolist(), strict=True):
        out[chain] = f"SSE-{texts[chain].replace('-', '')}-{regions[region[chain]]}-{_letters(count)}"
    return out


def _letters(count: int) -> str:
    """a, b, ..., z, aa, ab, ..."""
    text = ""
    count += 1
    while count:
        count, digit = divmod(count - 1, 26)
        text = chr(ord("a") + digit) + text
    return text


def _events(sightings: Sightings, state: State, entries: history.Entries) -> gpd.GeoDataFrame:
    """The layer of events, sorted by id."""
    shown = state.last
    frame, geometry = _filled(sightings, shown), sightings.footprint[shown]
    frame["id"] = state.id
    frame["region"] = [state.regions[number] for number in state.region]
    frame["regions"] = frame["region"]
    frame["status"] = np.where(state.active, ACTIVE, RETRACTED).astype(object)
    frame["merged_into"] = None
    frame["version"] = np.bincount(entries.chain[entries.changed], minlength=len(shown))
    until = np.array([one.data_until for one in sightings.increments], dtype=object)
    frame["data_until"] = until[sightings.increment[shown]] if len(shown) else np.zeros(0, object)
    frame["created"] = until[sightings.increment[state.born]] if len(shown) else np.zeros(0, object)
    frame["updated"] = until[entries.last_change(len(shown))] if len(shown) else np.zeros(0, object)
    frame["manifest_sha256"] = runs.manifests(sightings, shown)
    if (state.primary != np.arange(len(shown))).any():
        _join(frame, geometry, state)
    potency = frame["potency_m3"].to_numpy(dtype=float)
    frame["moment_nm"] = np.where(frame["moment_nm"].isna(), potency * SHEAR_MODULUS_PA, frame["moment_nm"])
    sure = frame["p_real"].to_numpy(dtype=float) >= grades.MIN_P_REAL
    frame["view"] = np.where(sure, PUBLISHED, CANDIDATE).astype(object)
    frame["grade"], frame["grade_reason"] = grades.grade(frame)
    out = gpd.GeoDataFrame(frame[EVENTS.names], geometry=geometry, crs="EPSG:4326")
    return out.sort_values("id", ignore_index=True)


def _filled(sightings: Sightings, rows: Ints) -> pd.DataFrame:
    """Columns of events that sightings fill, of some sightings, under their names in the catalogue."""
    taken = sightings.table.drop_columns(["geometry"]).take(rows).to_pandas()
    out = {}
    for column in FILLED:
        values = taken[column.source]
        out[column.name] = values.astype(object).where(values.notna(), None) if column.kind == "text" else values
        if column.kind == "date":
            out[column.name] = values.astype(object).str.slice(0, 10)
    return pd.DataFrame(out)


def _join(frame: pd.DataFrame, geometry: NDArray[np.object_], state: State) -> None:
    """Make one row of every event that several regions see, and rows of status merged of its other parts, in place.

    The row has the union of footprints, tracks and peaks; its source, times and certainty are those of the region
    whose statistic is the largest, since no two regions' data were inverted together.
    """
    part = np.flatnonzero(state.primary != np.arange(len(frame)))
    members: dict[int, list[int]] = {}
    for one in part.tolist():
        members.setdefault(int(state.primary[one]), [int(state.primary[one])]).append(one)
    statistic = frame["statistic"].to_numpy(dtype=float)
    areas = frame["area_km2"].to_numpy(dtype=float)
    kept = ["id", "region", "created"]
    for whole, group in members.items():
        live = [one for one in group if state.active[one]]
        best = max(live, key=lambda one: (np.nan_to_num(statistic[one], nan=-np.inf), -one))
        union = shapely.union_all(geometry[live])
        share = shapely.area(union) / shapely.area(geometry[live]).sum()
        rows = frame.iloc[live]
        values = {name: frame.at[best, name] for name in frame.columns if name not in kept} | {
            "status": ACTIVE,
            "version": int(frame["version"].iloc[group].sum()),
            "regions": ",".join(sorted(set(rows["region"]))),
            "tracks": ",".join(sorted({name.strip() for text in rows["tracks"] for name in text.split(",")})),
            "peak_positive_mm": rows["peak_positive_mm"].max(),
            "peak_negative_mm": rows["peak_negative_mm"].min(),
            "area_km2": areas[live].sum() * share,
            "data_until": max(rows["data_until"]),
            "updated": max(frame["updated"].iloc[group]),
        }
        for name, value in values.items():
            frame.at[whole, name] = value
        geometry[whole] = union
    frame.loc[part, "status"] = MERGED
    frame.loc[part, "merged_into"] = state.id[state.primary[part]]
    frame.loc[part, "version"] += 1
