"""Least squares on a network of interferograms with weights of its own for every pixel, many pixels at once.

The normal matrix of a pixel is the weighted Laplacian of its network without the rows of the zero epochs. All pixels
share its pattern: the order of elimination and the fill-in are found once, and every step of the factorisation is
one elementwise operation over the pixels of a batch. The cost grows with the fill-in (few entries an epoch), not with
the cube of the epochs, and no pixel needs an estimator. Elementwise arithmetic gives the same bytes whatever the
number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slipscan.timeseries.network import Index, Network

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Step:
    """The elimination of one epoch.

    Attributes
    ----------
    epoch
        its position
    later
        (neighbour,) epochs that are eliminated later and share an entry with it
    diagonal, column
        rows of its diagonal and (neighbour,) of its column in the array of entries
    first, second, target
        (neighbour pair,) entry `target` loses column[first] * column[second] / diagonal
    square
        (neighbour, neighbour) rows of the entries between its neighbours
    """

    epoch: int
    later: Index
    diagonal: int
    column: Index
    first: Index
    second: Index
    target: Index
    square: Index


@dataclass(frozen=True)
class Elimination:
    """The pattern of a network's normal matrix and the steps that factorise it.

    Attributes
    ----------
    network
        epochs and pairs
    zero
        (time,) marks the first epoch of every segment, which is no unknown
    size
        entries of the factor, fill-in included
    steps
        one an unknown, in the order of elimination
    pair_entry
        (pair,) row of the entry between the pair's epochs; -1 where one of them is no unknown
    left
        (kept, kept) rows of the entries between epochs that are not eliminated
    """

    network: Network
    zero: NDArray[np.bool_]
    size: int
    steps: tuple[Step, ...]
    pair_entry: Index
    left: Index


@dataclass(frozen=True)
class Factor:
    """L and D of the factorisation L D L' of every pixel's normal matrix, (entry, pixel)."""

    pattern: Elimination
    entries: Float
    reached: NDArray[np.bool_]


def eliminate(network: Network, segment: NDArray[np.int64], kept: Index | None = None) -> Elimination:
    """Find the order of elimination (least degree first) and the fill-in of a network.

    Parameters
    ----------
    network
        epochs and pairs
    segment
        (time,) connected part of every epoch; its first epoch is zero
    kept
        epochs that are not eliminated: what `factorise` and `forward` leave of their rows is the normal equation of
        these alone (Schur complement)
    """
    times = len(network.dates)
    zero = np.zeros(times, bool)
    zero[np.unique(segment, return_index=True)[1]] = True
    neighbours: dict[int, set[int]] = {epoch: set() for epoch in np.flatnonzero(~zero).tolist()}
    for a, b in zip(network.reference.tolist(), network.secondary.tolist(), strict=True):
        if a in neighbours and b in neighbours:
            neighbours[a].add(b)
            neighbours[b].add(a)
    order: list[tuple[int, list[int]]] = []
    last = [] if kept is None else kept.tolist()
    for epoch in last:
        neighbours[epoch] |= {*last} - {epoch}
    going = neighbours.keys() - {*last}
    while going:
        epoch = min(going, key=lambda e: (len(neighbours[e]), e))
        going.remove(epoch)
        later = neighbours.pop(epoch)
        for other in later:
            neighbours[other] |= later
            neighbours[other] -= {epoch, other}
        order.append((epoch, sorted(later)))
    row: dict[tuple[int, int], int] = {}
    for epoch, later_list in [*order, *((epoch, sorted(neighbours[epoch])) for epoch in last)]:
        for pair in [(epoch, epoch), *((epoch, other) for other in later_list)]:
            row.setdefault((min(pair), max(pair)), len(row))
    steps = tuple(_step(epoch, later_list, row) for epoch, later_list in order)
    pair_entry = [row.get((a, b), -1) for a, b in zip(network.reference, network.secondary, strict=True)]
    left = np.array([[row[min(i, j), max(i, j)] for j in last] for i in last], np.intp).reshape(len(last), len(last))
    return Elimination(network, zero, len(row), steps, np.array(pair_entry, np.intp), left)


def _step(epoch: int, later: list[int], row: dict[tuple[int, int], int]) -> Step:
    first, second = np.triu_indices(len(later))
    square = np.array([[row[min(i, j), max(i, j)] for j in later] for i in later], np.intp)
    square = square.reshape(len(later), len(later))
    return Step(
        epoch=epoch,
        later=np.array(later, np.intp),
        diagonal=row[epoch, epoch],
        column=np.array([row[min(epoch, other), max(epoch, other)] for other in later], np.intp),
        first=first,
        second=second,
        target=square[first, second],
        square=square,
    )


def kept_epochs(pattern: Elimination) -> Index:
    """The epochs that are not eliminated, ascending."""
    unknown = ~pattern.zero
    unknown[[step.epoch for step in pattern.steps]] = False
    return np.flatnonzero(unknown)


def reached_epochs(
    pattern: Elimination, valid: NDArray[np.bool_], seeds: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """Mark the epochs that a pixel's valid interferograms connect with the first of their segment.

    Parameters
    ----------
    valid
        (pair, pixel)
    seeds
        (time,) with which epochs they are to be connected instead

    Returns
    -------
    reached
        (time, pixel); a first epoch that no valid interferogram touches is not reached
    """
    reached = np.repeat((pattern.zero if seeds is None else seeds)[:, None], valid.shape[1], axis=1)
    reference, secondary = pattern.network.reference.tolist(), pattern.network.secondary.tolist()
    pairs = sorted(zip(reference, secondary, range(len(valid)), strict=True))
    before, count = -1, int(reached.sum())
    while count != before:
        for sweep in (pairs, pairs[::-1]):
            for a, b, pair in sweep:
                either = (reached[a] | reached[b]) & valid[pair]
                reached[a] |= either
                reached[b] |= either
            if reached.all():
                break
        before, count = count, int(reached.sum())
    touched = np.zeros_like(reached)
    for a, b, pair in pairs:
        touched[a] |= valid[pair]
        touched[b] |= valid[pair]
    return reached & touched


def factorise(pattern: Elimination, weight: Float, reached: NDArray[np.bool_]) -> Factor:
    """Factorise the normal matrices of many pixels.

    Parameters
    ----------
    weight
        (pair, pixel) inverse variances; 0 where the interferogram is not used, thus wherever it is not reached
    reached
        (time, pixel)
    """
    network = pattern.network
    entries = np.zeros((pattern.size, weight.shape[1]))
    diagonal = np.zeros((len(network.dates), weight.shape[1]))
    for pair, (a, b, entry) in enumerate(zip(network.reference, network.secondary, pattern.pair_entry, strict=True)):
        diagonal[a] += weight[pair]
        diagonal[b] += weight[pair]
        if entry >= 0:
            entries[entry] -= weight[pair]
    # An epoch that is not reached has an empty row: a one on the diagonal keeps it apart.
    diagonal[~reached] = 1.0
    for step in pattern.steps:
        entries[step.diagonal] = diagonal[step.epoch]
    for epoch, entry in zip(kept_epochs(pattern), np.diag(pattern.left), strict=True):
        entries[entry] = diagonal[epoch]
    for step in pattern.steps:
        if len(step.later):
            column = entries[step.column]
            scaled = column / entries[step.diagonal]
            entries[step.target] -= scaled[step.first] * column[step.second]
            entries[step.column] = scaled
    return Factor(pattern, entries, reached)


def forward(factor: Factor, weight: Float, data: Float, known: Float | None = None) -> Float:
    """Eliminate from the right-hand side of many pixels what is eliminated from their normal matrices.

    Parameters
    ----------
    weight, data
        (pair, pixel) those of the factor, and interferograms, m; 0 where not used
    known
        (time, pixel) what other data than the interferograms put there

    Returns
    -------
    right
        (time, pixel)
    """
    network = factor.pattern.network
    right = np.zeros((len(network.dates), data.shape[1])) if known is None else known.copy()
    weighted = weight * data
    for pair, (a, b) in enumerate(zip(network.reference, network.secondary, strict=True)):
        right[a] -= weighted[pair]
        right[b] += weighted[pair]
    right[factor.pattern.zero] = 0.0
    for step in factor.pattern.steps:
        right[step.later] -= factor.entries[step.column] * right[step.epoch]
    return right


def solve(factor: Factor, weight: Float, data: Float, known: Float | None = None) -> Float:
    """Solve for the displacements of many pixels.

    Parameters
    ----------
    weight, data, known
        as in `forward`

    Returns
    -------
    displacement
        (time, pixel) m; 0 at first epochs and at epochs that are not reached
    """
    right = forward(factor, weight, data, known)
    for step in reversed(factor.pattern.steps):
        right[step.epoch] /= factor.entries[step.diagonal]
        right[step.epoch] -= (factor.entries[step.column] * right[step.later]).sum(axis=0)
    return right


def variances(factor: Factor) -> Float:
    """Return the diagonal of the inverse of every pixel's normal matrix (Takahashi et al. 1973).

    Returns
    -------
    variance
        (time, pixel) formal variances; 0 at first epochs, NaN where not reached
    """
    pattern = factor.pattern
    inverse = np.empty_like(factor.entries)
    variance = np.zeros(factor.reached.shape)
    for step in reversed(pattern.steps):
        column = factor.entries[step.column]
        entries = -(column[:, None] * inverse[step.square]).sum(axis=0)
        inverse[step.column] = entries
        inverse[step.diagonal] = 1.0 / factor.entries[step.diagonal] - (column * entries).sum(axis=0)
        variance[step.epoch] = inverse[step.diagonal]
    variance[~factor.reached] = np.nan
    return variance
