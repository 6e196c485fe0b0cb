"""The network of interferograms: which epochs they connect, and the triangles they close."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from slipscan.errors import SlipscanError

Index = NDArray[np.intp]


@dataclass(frozen=True)
class Network:
    """Epochs (nodes) and interferograms (edges).

    Attributes
    ----------
    dates
        (time,) datetime64[ns], ascending
    reference, secondary
        (pair,) positions in `dates`; the reference is the older
    """

    dates: NDArray[np.datetime64]
    reference: Index
    secondary: Index

    def name(self, pair: int) -> str:
        """Return a pair as 'date to date'."""
        return f"{_day(self.dates[self.reference[pair]])} to {_day(self.dates[self.secondary[pair]])}"


def build_network(reference_date: NDArray[np.datetime64], secondary_date: NDArray[np.datetime64]) -> Network:
    """Build the network of pairs of dates, (pair,) each.

    Raises
    ------
    SlipscanError
        no pair, a reference that is not older, a pair twice
    """
    if not len(reference_date):
        raise SlipscanError("there is no interferogram to invert")
    dates, positions = np.unique(np.concatenate([reference_date, secondary_date]), return_inverse=True)
    reference, secondary = np.split(positions.ravel(), 2)
    network = Network(dates.astype("datetime64[ns]"), reference, secondary)
    wrong = np.flatnonzero(reference >= secondary)
    if len(wrong):
        raise SlipscanError(f"the interferogram {network.name(int(wrong[0]))} has a reference that is not older")
    _, first, count = np.unique(reference * len(dates) + secondary, return_index=True, return_counts=True)
    if (count > 1).any():
        raise SlipscanError(f"the interferogram {network.name(int(first[count > 1][0]))} is there twice")
    return network


def parts(network: Network, pairs: Index | None = None) -> NDArray[np.int64]:
    """Number the connected parts of the network, in the order of their first epochs.

    Parameters
    ----------
    network
        all epochs
    pairs
        the interferograms to use; None: all

    Returns
    -------
    part
        (time,) 0, 1, ...; an epoch that no interferogram touches is a part of its own
    """
    reference = network.reference if pairs is None else network.reference[pairs]
    secondary = network.secondary if pairs is None else network.secondary[pairs]
    size = len(network.dates)
    graph = coo_array((np.ones(len(reference)), (reference, secondary)), shape=(size, size))
    _, labels = connected_components(graph, directed=False)
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse.ravel()].astype(np.int64)


def segments(network: Network, disconnected: Literal["error", "split"], where: str) -> NDArray[np.int64]:
    """Return the segment of every epoch: 0 throughout, unless the network was split.

    Raises
    ------
    SlipscanError
        the network falls into parts and `disconnected` is 'error'; names the dates at the gaps
    """
    part = parts(network)
    count = int(part.max()) + 1
    if count == 1 or disconnected == "split":
        return part
    spans = [np.flatnonzero(part == number) for number in range(count)]
    listed = ", ".join(
        f"{_day(network.dates[span[0]])} to {_day(network.dates[span[-1]])} ({len(span)} epochs)" for span in spans
    )
    gaps = [
        f"{_day(network.dates[before[-1]])} to {_day(network.dates[after[0]])}"
        for before, after in itertools.pairwise(spans)
        if before[-1] < after[0]
    ]
    across = f"; no interferogram crosses {', '.join(gaps)}" if gaps else ""
    raise SlipscanError(
        f"the network of {len(network.reference)} interferograms of {where} is disconnected, in {count} parts: {listed}"
        f"{across}: add interferograms between the parts, or set timeseries.disconnected to 'split'"
    )


def triangles(network: Network) -> Index:
    """List the triangles of the network.

    Returns
    -------
    triangles
        (triangle, 3) positions of the pairs a-b, b-c and a-c of epochs a < b < c, sorted
    """
    pair_of = {
        (int(a), int(b)): index for index, (a, b) in enumerate(zip(network.reference, network.secondary, strict=True))
    }
    later: dict[int, list[int]] = {}
    for a, b in sorted(pair_of):
        later.setdefault(a, []).append(b)
    found = [
        (pair_of[a, b], pair_of[b, c], pair_of[a, c])
        for a, b in sorted(pair_of)
        for c in later.get(b, [])
        if (a, c) in pair_of
    ]
    return np.array(found, dtype=np.intp).reshape(-1, 3)


def _day(date: np.datetime64) -> str:
    return str(date.astype("datetime64[D]"))
