"""Integer offsets between connected components of the unwrapping, solved by the closure of triplets.

A component is unwrapped apart from the others: it is off by n half wavelengths of displacement. In every interferogram
the component that holds the reference area is taken as it is. Where components of the three pairs of a triplet
overlap, their closure in whole cycles is one equation in three unknown integers; all equations of a track are solved
together for the smallest sum of |corrections| (L1 norm, as in Yunjun et al. 2019), group by group of components that
equations connect. What no equation reaches, or what the equations contradict, is not used.

Closure cannot see an offset that all pairs of one date share: among the solutions the one with the fewest corrections
is taken, which is right unless most pairs of a date are wrong.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import linprog
from scipy.sparse.csgraph import connected_components

from slipscan.timeseries.network import Index

log = logging.getLogger(__name__)

FEWEST_PIXELS = 16
"""Pixels of an overlap from which it gives an equation."""
AGREEMENT = 0.8
"""Share of an overlap's pixels that must misclose by the same number of cycles."""
MOST_CYCLES = 100
VIOLATION = 1000.0
"""Cost of a violated equation in corrections: equations first, fewest corrections second."""

Overlap = tuple[int, int, int, int]
"""Triangle, and the labels in its pairs a-b, b-c, a-c."""
Unknown = tuple[int, int]
"""Interferogram and label."""


@dataclass
class Overlaps:
    """What a pass over the interferograms counts.

    Attributes
    ----------
    pixels
        valid pixels of every interferogram's components; label 0 = not unwrapped
    cycles
        pixels of every overlap by their misclosure in whole cycles
    """

    pixels: Counter[Unknown] = field(default_factory=Counter)
    cycles: defaultdict[Overlap, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))

    def merge(self, other: Overlaps) -> None:
        """Add the counts of another part of the scene."""
        self.pixels.update(other.pixels)
        for overlap, counts in other.cycles.items():
            self.cycles[overlap].update(counts)


@dataclass(frozen=True)
class ComponentOffsets:
    """The solution.

    Attributes
    ----------
    shift
        (pair, label) m to be added; NaN = not used
    attributes
        numbers for the product
    """

    shift: NDArray[np.float32]
    attributes: dict[str, float | int]


def count_overlaps(
    observed: NDArray[np.float32],
    label: NDArray[np.int16],
    main: NDArray[np.integer],
    triangles: Index,
    half_wavelength_m: float,
) -> Overlaps:
    """Count components and the misclosure of their overlaps in a part of the scene.

    Parameters
    ----------
    observed, label
        (pair, pixel) m, referenced, NaN = no data; component, 0 = none
    main
        (pair,) label of the component that holds the reference; -1 where none does
    triangles
        (triangle, 3)
    half_wavelength_m
        displacement of one cycle
    """
    out = Overlaps()
    valid = np.isfinite(observed)
    for pair, (layer, good) in enumerate(zip(label, valid, strict=True)):
        for component, pixels in enumerate(np.bincount(layer[good]).tolist()):
            if pixels:
                out.pixels[pair, component] += pixels
    valid &= label > 0
    apart = valid & (label != main[:, None])
    has_apart = apart.any(axis=1)
    for triangle, (ab, bc, ac) in enumerate(triangles):
        if not (has_apart[ab] or has_apart[bc] or has_apart[ac]):
            continue
        pixels = np.flatnonzero(valid[ab] & valid[bc] & valid[ac] & (apart[ab] | apart[bc] | apart[ac]))
        closure = observed[ab, pixels] + observed[bc, pixels] - observed[ac, pixels]
        cycles = np.clip(np.rint(closure / half_wavelength_m), -MOST_CYCLES, MOST_CYCLES).astype(np.int16)
        rows = np.stack([label[ab, pixels], label[bc, pixels], label[ac, pixels], cycles], axis=1)
        for (one, two, three, number), count in zip(*_unique_rows(rows), strict=True):
            out.cycles[triangle, one, two, three][number] += count
    return out


def _unique_rows(rows: NDArray[np.int16]) -> tuple[list[list[int]], list[int]]:
    """Distinct rows of four int16 and how often they occur."""
    packed = np.ascontiguousarray(rows).view(np.int64).ravel()
    distinct, counts = np.unique(packed, return_counts=True)
    return distinct.view(np.int16).reshape(-1, 4).tolist(), counts.tolist()


def solve_offsets(
    overlaps: Overlaps, main: NDArray[np.integer], triangles: Index, half_wavelength_m: float
) -> ComponentOffsets:
    """Solve for the integer offsets of all components of a track.

    Parameters
    ----------
    overlaps
        of the whole scene
    main
        (pair,) labels that are taken as they are
    triangles, half_wavelength_m
        as in `count_overlaps`
    """
    size = max([label for _, label in overlaps.pixels] + [int(main.max(initial=0))]) + 1
    shift = np.full((len(main), size), np.nan, np.float32)
    held = np.flatnonzero(main > 0)
    shift[held, main[held]] = 0.0
    unknowns = sorted(key for key in overlaps.pixels if key[1] > 0 and key[1] != main[key[0]])
    solved = _solve(unknowns, _equations(overlaps, main, triangles))
    for (pair, label), turns in solved.items():
        shift[pair, label] = turns * half_wavelength_m
    attributes = _attributes(overlaps, unknowns, solved)
    log.info(
        "connected components: %(components_apart)d apart from the reference's, %(components_corrected)d of them"
        " corrected by whole cycles (%(components_corrected_share).3f of the interferogram pixels),"
        " %(components_unresolved)d without a closure that tells (%(components_masked_share).3f masked, what was not"
        " unwrapped included); an offset that all pairs of a date share cannot be seen",
        attributes,
    )
    return ComponentOffsets(shift, attributes)


def _attributes(overlaps: Overlaps, unknowns: list[Unknown], solved: dict[Unknown, int]) -> dict[str, float | int]:
    total = max(sum(overlaps.pixels.values()), 1)
    corrected = [key for key, turns in solved.items() if turns]
    unsolved = set(unknowns) - solved.keys()
    lost = [key for key in overlaps.pixels if key[1] == 0 or key in unsolved]
    return {
        "components_apart": len(unknowns),
        "components_corrected": len(corrected),
        "components_unresolved": len(unknowns) - len(solved),
        "components_corrected_share": sum(overlaps.pixels[key] for key in corrected) / total,
        "components_masked_share": sum(overlaps.pixels[key] for key in lost) / total,
    }


@dataclass(frozen=True)
class _Equation:
    """Sum of sign x turns of its components = right."""

    terms: tuple[tuple[Unknown, int], ...]
    right: int


def _equations(overlaps: Overlaps, main: NDArray[np.integer], triangles: Index) -> list[_Equation]:
    """One equation for every overlap that is large and of one mind."""
    found = []
    for (triangle, *labels), counts in sorted(overlaps.cycles.items()):
        cycles, most = max(counts.items(), key=lambda item: (item[1], -abs(item[0]), item[0]))
        total = sum(counts.values())
        if total < FEWEST_PIXELS or most < AGREEMENT * total:
            continue
        pairs = [int(pair) for pair in triangles[triangle]]
        terms = [
            ((pair, label), sign)
            for pair, label, sign in zip(pairs, labels, (1, 1, -1), strict=True)
            if label != main[pair]
        ]
        found.append(_Equation(tuple(terms), -cycles))
    return found


def _solve(unknowns: list[Unknown], equations: list[_Equation]) -> dict[Unknown, int]:
    """Return the integers of the components that equations determine without a contradiction."""
    position = {key: index for index, key in enumerate(unknowns)}
    rows = [index for index, equation in enumerate(equations) for _ in equation.terms]
    columns = [position[key] for equation in equations for key, _ in equation.terms]
    signs = [float(sign) for equation in equations for _, sign in equation.terms]
    matrix = sparse.csr_array((signs, (rows, columns)), shape=(len(equations), len(unknowns)))
    right = np.array([equation.right for equation in equations], float)
    groups = connected_components(abs(matrix).T @ abs(matrix), directed=False)[1] if unknowns else np.zeros(0, int)
    in_equation = np.zeros(len(unknowns), bool)
    in_equation[columns] = True
    solved: dict[Unknown, int] = {}
    for group in np.unique(groups[in_equation]):
        members = np.flatnonzero(groups == group)
        own = np.flatnonzero(abs(matrix[:, members]).sum(axis=1) > 0)
        part = matrix[own][:, members]
        turns = _fewest_turns(part, right[own])
        if turns is None:
            continue
        violated = part @ turns != right[own]
        contradicted = (abs(part[violated]).sum(axis=0) > 0) if violated.any() else np.zeros(len(members), bool)
        for index, number, wrong in zip(members, turns, contradicted, strict=True):
            if not wrong:
                solved[unknowns[index]] = int(number)
    return solved


def _fewest_turns(matrix: sparse.csr_array, right: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Solve matrix @ turns = right for integers, with few violations and then few turns (HiGHS); None: no solution."""
    count, unknowns = matrix.shape
    ones, same = sparse.eye_array(count), sparse.csr_array(matrix)
    system = sparse.hstack([same, -same, ones, -ones]).tocsc()
    cost = np.concatenate([np.ones(2 * unknowns), np.full(2 * count, VIOLATION)])
    for integrality in (0, 1):  # the vertex of the linear programme is nearly always whole; if not, ask for it
        result = linprog(cost, A_eq=system, b_eq=right, integrality=integrality, method="highs")
        if result.x is None:
            continue
        turns = result.x[:unknowns] - result.x[unknowns : 2 * unknowns]
        if np.abs(turns - np.rint(turns)).max(initial=0) < 1e-6:
            return np.rint(turns)
    return None
