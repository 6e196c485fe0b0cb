"""Frames of one pass joined: overlaps tell by how many cycles their unwrapped phases differ.

Neighbouring frames, and connected components within them, are unwrapped on their own and differ by whole cycles
(half a wavelength of displacement; docs/science.md section 10.10). What an overlap bridges becomes one component; what
none bridges keeps a component of its own, for the closure of the network to solve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Labels = NDArray[np.int16]

MIN_OVERLAP = 20
"""Pixels that two components must share before their offset counts."""
MAX_MISFIT_CYCLES = 0.25
"""An offset further from a whole number of cycles bridges nothing."""


@dataclass(frozen=True)
class Joined:
    """Frames of one interferogram as one.

    Attributes
    ----------
    values
        (y, x) m, NaN = no data
    component
        (y, x) from 1, the largest first; 0 = none
    shifted
        components that were moved by a whole number of cycles, or by another offset
    unbridged
        overlaps whose offset is no whole number of cycles
    """

    values: Float
    component: Labels
    shifted: int
    unbridged: int


def join(values: Sequence[Float], components: Sequence[Labels], half_wavelength_m: float | None) -> Joined:
    """Join frames that lie on one grid.

    Parameters
    ----------
    values
        (frame) of (y, x) m, NaN = no data or outside the frame
    components
        (frame) of (y, x) connected components from 1, 0 = none
    half_wavelength_m
        a cycle; None where frames may differ by any constant (series that were inverted frame by frame)

    Returns
    -------
    joined
        the first frame with data gives a pixel its value
    """
    nodes = _nodes(values, components)
    bridges, unbridged = _bridges(values, components, half_wavelength_m)
    group, offset = _spanning_forest(nodes, bridges)
    out = np.full_like(values[0], np.nan)
    label = np.zeros(components[0].shape, np.int16)
    numbers = _numbers(nodes, group)
    for frame, (layer, labels) in enumerate(zip(values, components, strict=True)):
        for component in np.unique(labels[labels > 0]):
            node = (frame, int(component))
            mine = (labels == component) & np.isfinite(layer) & np.isnan(out)
            out[mine] = layer[mine] - np.float32(offset.get(node, 0.0))
            label[mine] = numbers[group[node]] if node in group else 0
    return Joined(out, label, sum(value != 0 for value in offset.values()), unbridged)


Node = tuple[int, int]


def _nodes(values: Sequence[Float], components: Sequence[Labels]) -> dict[Node, int]:
    """Components of all frames and their numbers of pixels."""
    return {
        (frame, int(component)): int(count)
        for frame, (layer, labels) in enumerate(zip(values, components, strict=True))
        for component, count in zip(
            *np.unique(labels[(labels > 0) & np.isfinite(layer)], return_counts=True), strict=True
        )
    }


def _bridges(
    values: Sequence[Float], components: Sequence[Labels], half_wavelength_m: float | None
) -> tuple[list[tuple[int, Node, Node, float]], int]:
    """Offsets (m) of components that overlap, with the pixels that tell them; and how many are no whole cycles."""
    found, unbridged = [], 0
    for one in range(len(values)):
        for other in range(one + 1, len(values)):
            overlap = (components[one] > 0) & (components[other] > 0)
            overlap &= np.isfinite(values[one]) & np.isfinite(values[other])
            difference = (values[other] - values[one])[overlap]
            pairs = np.stack([components[one][overlap], components[other][overlap]])
            for a, b in np.unique(pairs, axis=1).T:
                within = difference[(pairs[0] == a) & (pairs[1] == b)]
                if len(within) < MIN_OVERLAP:
                    continue
                offset = float(np.median(within))
                if half_wavelength_m is not None:
                    cycles = round(offset / half_wavelength_m)
                    if abs(offset / half_wavelength_m - cycles) > MAX_MISFIT_CYCLES:
                        unbridged += 1
                        continue
                    offset = cycles * half_wavelength_m
                found.append((len(within), (one, int(a)), (other, int(b)), offset))
    return sorted(found, key=lambda bridge: (-bridge[0], bridge[1:3])), unbridged


def _spanning_forest(
    nodes: dict[Node, int], bridges: list[tuple[int, Node, Node, float]]
) -> tuple[dict[Node, Node], dict[Node, float]]:
    """Group of every node (named by a node) and its offset (m) from the group's largest node, widest bridges first."""
    members: dict[Node, dict[Node, float]] = {node: {node: 0.0} for node in nodes}
    group = {node: node for node in nodes}
    for _, one, other, offset in bridges:
        if group[one] == group[other]:
            continue
        into, source = members[group[one]], members.pop(group[other])
        shift = into[one] + offset - source[other]
        for node, value in source.items():
            into[node] = value + shift
            group[node] = group[one]
    offsets: dict[Node, float] = {}
    for found in members.values():
        zero = found[max(found, key=lambda node: (nodes[node], -node[0], -node[1]))]
        offsets |= {node: value - zero for node, value in found.items()}
    return group, offsets


def _numbers(nodes: dict[Node, int], group: dict[Node, Node]) -> dict[Node, int]:
    """Component numbers of the groups, from 1, the largest first."""
    size: dict[Node, int] = {}
    for node, pixels in nodes.items():
        size[group[node]] = size.get(group[node], 0) + pixels
    return {name: number for number, name in enumerate(sorted(size, key=lambda name: (-size[name], name)), 1)}
