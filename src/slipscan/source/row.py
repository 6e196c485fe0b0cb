"""The columns of the event table that an event's posterior fills."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from slipscan.earthquakes import Earthquakes
from slipscan.events_source import POSTERIOR_COLUMNS, QUANTILES, SHARES
from slipscan.longitudes import in_range
from slipscan.settings import SourceSettings
from slipscan.source.agreement import track_verdicts
from slipscan.source.classify import FAMILY_OF, History, most_likely, type_posterior
from slipscan.source.data import Block
from slipscan.source.explain import Explained, family_quantiles, fitted, quantities, representative
from slipscan.source.join import TrackTransient, strongest
from slipscan.source.maps import TrackMaps
from slipscan.source.place import place_of
from slipscan.source.posterior import Posterior
from slipscan.source.quakes import QuakeFacts, quake_facts
from slipscan.source.slip import distribute
from slipscan.source.times import shortest, times_of

log = logging.getLogger(__name__)

OF_ONE_SOURCE: Final = (
    "longitude", "latitude", "depth_km", "strike_deg", "dip_deg", "rake_deg", "length_km", "width_km",
    "slip_mm", "volume_change_m3", "potency_m3", "mw",
)  # fmt: skip
"""Columns that describe one source together: that in the middle of the posterior."""


@dataclass(frozen=True)
class Event:
    """The transients of an event, in the tracks of its region, and the origin (longitude, latitude) of its frame."""

    tracks: tuple[TrackMaps, ...]
    members: tuple[TrackTransient, ...]
    origin: tuple[float, float]

    @property
    def on_fault(self) -> bool:
        """Whether the search along mapped faults found it in any track."""
        return any(
            "found_on_fault" in self.tracks[one.track].dataset
            and bool(self.tracks[one.track].dataset["found_on_fault"].values[one.number])
            for one in self.members
        )

    @property
    def setting(self) -> str:
        """Tectonic setting of the region, as its entry tells it."""
        return str(self.tracks[0].dataset.attrs.get("tectonic_setting", ""))

    @property
    def history(self) -> History:
        """Its length by all tracks, and whether it goes on by the one that sees it best."""
        best = strongest(self.members)
        ongoing = bool(self.tracks[best.track].dataset["ongoing"].values[best.number])
        return History(times_of(self.tracks, self.members).duration_d, ongoing)


def empty_columns(event: Event) -> dict[str, Any]:
    """All columns of a posterior, with nothing in them; the place is that of the footprint."""
    out: dict[str, Any] = {name: "" if kind == "str" else math.nan for name, kind, _ in POSTERIOR_COLUMNS}
    out |= dict.fromkeys(OF_ONE_SOURCE, math.nan)
    out |= {"longitude": in_range(event.origin[0]), "latitude": event.origin[1]}
    return out | {"source_model": "none", "variance_explained": math.nan, "snr": math.nan}


def unexplained_columns(event: Event) -> dict[str, Any]:
    """Columns of an event that no source could be held against."""
    out = empty_columns(event)
    out |= {name: 0.0 for name in out if name.startswith("p_")} | {"p_residue": 1.0, "type": "residue"}
    return out | {"track_verdicts": _no_data(event)}


def _no_data(event: Event) -> str:
    """The verdicts where no source predicts anything in any track."""
    return ",".join(f"{name}:no_data" for name in sorted(track.name for track in event.tracks))


def source_columns(
    event: Event,
    explained: Explained,
    blocks: Mapping[int, Block],
    settings: SourceSettings,
    noises: Sequence[xr.Dataset | None],
    quakes: Earthquakes | None,
) -> dict[str, Any]:
    """Type with its posterior, one source, 16, 50 and 84 % of its quantities, fit, earthquakes, tracks.

    Parameters
    ----------
    event
        its transients
    explained
        posteriors of all kinds of source
    blocks, noises
        data by number of track; noise product of every track
    quakes
        earthquakes; None: no list was given
    """
    out = empty_columns(event)
    facts = _facts(event, explained, settings, quakes)
    types = type_posterior(explained.evidence, event.history, facts, event.on_fault, event.setting)
    chosen = most_likely(types)
    out |= {f"p_{name}": share for name, share in types.items()} | {"type": chosen}
    family = FAMILY_OF[chosen]
    # Of a residue, too, is said how much the best source would explain.
    likeliest = max(("slip", "volumetric", "hydrological"), key=lambda name: explained.evidence[name])
    kind = explained.best_kind(family or likeliest)
    posterior, row = explained.posteriors[kind], representative(explained.posteriors[kind])
    out |= fitted(explained, kind) | {"log_evidence": explained.evidence[family or likeliest]}
    _say(event, explained, types, chosen)
    if family is None:
        return out | {"track_verdicts": _no_data(event)}
    out |= _of_row(quantities(posterior), row)
    out |= place_of(posterior, row, event.origin) | {"source_model": kind}
    for name, found in family_quantiles(explained, family).items():
        if name in QUANTILES:
            out |= {f"{name}_{share}": value for share, value in zip(SHARES, found, strict=True)}
    out |= {
        "seismic_moment_ratio": facts.seismic_moment_ratio if family == "slip" else math.nan,
        "days_to_next_M5": facts.days_to_next_m5, "days_from_last_M5": facts.days_from_last_m5,
    }  # fmt: skip
    source = posterior.kind, _of_row(posterior.shape, row), float(posterior.size[row])
    verdicts = track_verdicts(event.tracks, event.members, blocks, noises, source, event.origin, settings.poisson_ratio)
    out["track_verdicts"] = ",".join(f"{name}:{verdict}" for name, verdict in sorted(verdicts.items()))
    return out | _on_mapped_fault(explained, posterior, row, settings, family)


def _of_row(columns: Mapping[str, NDArray[np.float64]], row: int) -> dict[str, float]:
    """One row of columns by name."""
    return {name: float(values[row]) for name, values in columns.items()}


def _facts(event: Event, explained: Explained, settings: SourceSettings, quakes: Earthquakes | None) -> QuakeFacts:
    """How the event, as slip of a fault, stands to earthquakes."""
    best = strongest(event.members)
    posterior = explained.posteriors["fault"]
    row = representative(posterior)
    place = place_of(posterior, row, event.origin)
    found = quantities(posterior)
    reach = settings.earthquake_distance_km + float(found["length_km"][row]) / 2
    return quake_facts(
        quakes, (best.t05, best.t95), event.tracks[best.track].dataset["time"].values,
        (place["longitude"], place["latitude"]), float(np.median(found["potency_m3"])), reach,
        shortest(event.tracks[best.track], best),
    )  # fmt: skip


def _on_mapped_fault(
    explained: Explained, posterior: Posterior, row: int, settings: SourceSettings, family: str
) -> dict[str, Any]:
    """The mapped fault of the prior, and slip distributed on it where that is asked for."""
    fault = explained.area.fault
    if fault is None or family != "slip":
        return {}
    out: dict[str, Any] = {"mapped_fault": fault.name}
    if settings.distributed_slip:
        shape = _of_row(posterior.shape, row)
        model = distribute(
            explained.data.blocks, fault, shape["dip"], shape["rake"],
            max(shape["length"], explained.area.size) / 2, settings.seed, settings.poisson_ratio,
        )  # fmt: skip
        out |= {f"distributed_mw_{share}": value for share, value in zip(SHARES, model.mw, strict=True)}
    return out


def _say(event: Event, explained: Explained, types: Mapping[str, float], chosen: str) -> None:
    when = np.datetime_as_string(strongest(event.members).t50, "D")
    said = ", ".join(f"{name} {value:.0f}" for name, value in explained.evidence.items() if value > -1000)
    log.info("event of %s: %s with probability %.2f (log evidence: %s)", when, chosen, types[chosen], said)
