"""Whether interferograms can be inverted as an update of what an earlier run has kept, and what this run is to keep."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import xarray as xr

from slipscan.timeseries.memory import GROUP, Found
from slipscan.timeseries.network import build_network
from slipscan.timeseries.opened import Window, make_window
from slipscan.timeseries.overlaps import KnownOverlaps
from slipscan.timeseries.plan import Known, Plan
from slipscan.timeseries.settled import QUIET, Border, border_of

log = logging.getLogger(__name__)

LARGEST_SHARE: Final = 0.35
"""Share of interferograms that an update reads, from which all are inverted, and kept anew."""


@dataclass(frozen=True)
class Kept:
    """What is to be kept: of how many groups of interferograms the label is made, and where the settled part ends."""

    groups: int
    border: Border


def settled_border(plan: Plan, dataset: xr.Dataset) -> Kept | None:
    """Where the settled part of a network ends, so that new epochs leave it as it is; None where nothing is gained.

    Parameters
    ----------
    dataset
        all interferograms, those that have no reference among them
    """
    network = plan.network
    if plan.segment.any() or (plan.known.main is not None and (plan.known.main[plan.left_in] <= 0).any()):
        return None
    reach = int((network.secondary - network.reference).max())
    everything = build_network(dataset["reference_date"].values, dataset["secondary_date"].values)
    if (np.diff(everything.reference) < 0).any():
        return None
    # Those of a new epoch begin at most so far before the end, and stand among the others by their references.
    groups = int((everything.reference < len(everything.dates) - reach).sum()) // GROUP
    if groups == 0 or groups * GROUP >= len(everything.reference):
        return None
    changeable = int(np.searchsorted(network.dates, everything.dates[everything.reference[groups * GROUP]]))
    border = border_of(network, changeable - QUIET, reach, plan.short.clusters)
    return None if border is None or _share(plan, border) > LARGEST_SHARE else Kept(groups, border)


def _share(plan: Plan, border: Border) -> float:
    """The share of interferograms that an update reads."""
    return float((plan.network.reference >= border.first - 3 * border.reach).mean())


def meta_of(plan: Plan, kept: Kept) -> dict[str, Any]:
    """What is saved beside the arrays."""
    pairs, border = kept.groups * GROUP, kept.border
    network, settled = plan.network, kept.border.settled
    inside, overlaps = int(plan.left_in[:pairs].sum()), None
    if plan.overlaps is not None:
        overlaps = KnownOverlaps.of(plan.overlaps, plan.triangles, inside).described()
    return {
        "first": border.first, "reach": border.reach,
        "dates": network.dates[: border.first].astype(np.int64).tolist(),
        "reference": network.reference[settled].tolist(), "secondary": network.secondary[settled].tolist(),
        "weight": plan.weight[settled].tolist(),
        "offset": plan.known.offset[:pairs].tolist(), "valid": plan.known.valid[:pairs].tolist(),
        "coherence": plan.coherence[:inside].tolist(),
        "main": None if plan.known.main is None else plan.known.main[:pairs].tolist(),
        "shifts": _shifts(plan, inside),
        "overlaps": overlaps,
    }  # fmt: skip


def _shifts(plan: Plan, pairs: int) -> list[list[float]]:
    """Pair, component and what is added to it, m, of the first pairs, where it is used."""
    if plan.components is None:
        return []
    first = plan.components.shift[:pairs]
    return [[int(pair), int(label), float(first[pair, label])] for pair, label in np.argwhere(np.isfinite(first))]


def known_of(found: Found) -> Known:
    """What an entry says of its interferograms."""
    main, overlaps = found.meta["main"], found.meta["overlaps"]
    return Known(
        found.numbers("offset"),
        found.numbers("valid").astype(np.intp),
        None if main is None else np.array(main, np.intp),
        found.numbers("coherence"),
        None if overlaps is None else KnownOverlaps(**overlaps),
    )


def window_of(plan: Plan, found: Found) -> Window | None:
    """What an update reads and solves; None, with a line in the log, where all interferograms are inverted instead."""
    network, first = plan.network, int(found.meta["first"])
    border = None
    if not plan.segment.any() and len(network.dates) > first:
        border = border_of(network, first, int(found.meta["reach"]), plan.short.clusters)
    if border is None or not _same_network(plan, border, found):
        log.info(
            "the network is not the one of %s and new epochs: all interferograms are inverted", found.entry.path.name
        )
        return None
    ratio = plan.weight[border.settled] / found.numbers("weight")
    if (share := _share(plan, border)) > LARGEST_SHARE or np.ptp(ratio) > 1e-9 * ratio[0]:
        log.info("%.0f %% of the interferograms are new or near them: all are inverted, and kept anew", 100 * share)
        return None
    log.info("update: %.0f %% of the interferograms are read, for the rest %s", 100 * share, found.entry.path.name)
    return make_window(plan, border, found.entry, float(ratio[0]))


def _same_network(plan: Plan, border: Border, found: Found) -> bool:
    """Whether the settled epochs and interferograms, and what is added to their components, are those of an entry."""
    network = plan.network
    return bool(
        network.dates[: border.first].astype(np.int64).tolist() == found.meta["dates"]
        and network.reference[border.settled].tolist() == found.meta["reference"]
        and network.secondary[border.settled].tolist() == found.meta["secondary"]
        and _shifts(plan, len(found.meta["coherence"])) == found.meta["shifts"]
    )
