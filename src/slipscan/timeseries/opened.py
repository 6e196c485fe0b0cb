"""The part of a network that an update reads and solves: what is not settled, and the border to what is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slipscan.timeseries.elimination import Elimination, eliminate
from slipscan.timeseries.inversion import Float
from slipscan.timeseries.memory import Entry
from slipscan.timeseries.network import Index, Network
from slipscan.timeseries.phase_bias import ShortTriplets
from slipscan.timeseries.plan import Plan
from slipscan.timeseries.settled import Border


@dataclass(frozen=True)
class Window:
    """What all tiles share of an update.

    Attributes
    ----------
    entry
        what is kept of the settled interferograms
    start
        the first interferogram that is read
    opened
        (open pair,) positions behind `start` of those that are not settled
    triangles
        (triangle, 3) all that are read, positions behind `start`
    unsettled
        (open triangle,) those of them that have an open pair
    short
        short triplets, as positions among `unsettled`
    pattern
        network of the first epoch, the last settled ones and the open ones
    weight
        (open pair,), in the unit of what is kept
    """

    entry: Entry
    border: Border
    start: int
    opened: Index
    triangles: Index
    unsettled: Index
    short: ShortTriplets
    pattern: Elimination
    weight: Float


def make_window(plan: Plan, border: Border, entry: Entry, unit: float) -> Window:
    """Prepare what all tiles share; `unit`: a pair's weight in the plan over the one that is kept."""
    network = plan.network
    start = int(np.searchsorted(network.reference, border.first - 3 * border.reach))
    opened = np.flatnonzero(~border.settled)
    read = np.flatnonzero((plan.triangles >= start).all(axis=1))
    unsettled = ~border.settled[plan.triangles[read]].all(axis=1)
    node = network.reference[opened] - (border.first - border.reach) + 1
    other = network.secondary[opened] - (border.first - border.reach) + 1
    first, second = np.triu_indices(border.reach + 1, 1)
    reduced = Network(
        network.dates[border.first - border.reach - 1 :],
        np.concatenate([first, node]),
        np.concatenate([second, other]),
    )
    return Window(
        entry=entry,
        border=border,
        start=start,
        opened=opened - start,
        triangles=plan.triangles[read] - start,
        unsettled=np.flatnonzero(unsettled),
        short=plan.short.among(read[unsettled]),
        pattern=eliminate(reduced, np.zeros(len(reduced.dates), np.int64)),
        weight=plan.weight[opened] / unit,
    )
