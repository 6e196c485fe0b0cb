"""Candidates of neighbouring tiles that are one event, joined: an event across tiles is one candidate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from slipscan.field import Candidate

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]

ALIKE: Final = 0.7
"""Correlation of two histories beside rate and season, from which they may be one (docs/science.md 10.6)."""
COMMON: Final = 0.5
"""Of the energy that the larger of two maps has where tiles overlap: so much they have in common if they are one."""
FAINTEST: Final = 0.05
"""Of its own peak: where tiles overlap, one of two maps reaches that, or nothing tells whether they are one."""
AT_MOST: Final = 400
"""Candidates of a scene that are kept, the strongest: a file each in a store."""


@dataclass(frozen=True)
class Piece:
    """A candidate of one tile.

    Attributes
    ----------
    tile
        its number
    place
        rows and columns of the tile in the scene
    share
        weights of its rows and of its columns where tiles are blended
    candidate
        map and std (y, x) of the tile
    """

    tile: int
    place: tuple[slice, slice]
    share: tuple[Float32, Float32]
    candidate: Candidate

    @property
    def weight(self) -> Float32:
        """Share of every pixel, (y, x)."""
        return np.multiply.outer(*self.share)

    def within(self, place: tuple[slice, slice]) -> tuple[slice, slice]:
        """Rows and columns of the tile that a place in the scene covers."""
        rows, columns = (
            slice(part.start - own.start, part.stop - own.start) for part, own in zip(place, self.place, strict=True)
        )
        return rows, columns


def joined(pieces: Sequence[Piece], design: Float) -> tuple[Candidate, ...]:
    """The candidates of a scene, strongest first, at most `AT_MOST`.

    Parameters
    ----------
    pieces
        of all tiles
    design
        (time, column) of the background, beside which histories are compared
    """
    if not pieces:
        return ()
    rest = np.stack([piece.candidate.history for piece in pieces], axis=1)
    rest = rest - design @ np.linalg.lstsq(design, rest, rcond=None)[0]
    size = np.linalg.norm(rest, axis=0)
    alike = (rest.T @ rest) / np.maximum(np.outer(size, size), 1e-300)
    pairs = sorted(
        ((common, i, j) for i in range(len(pieces)) for j in range(i) if (common := _common(pieces, i, j, alike)) > 0),
        key=lambda pair: -pair[0],
    )
    group = list(range(len(pieces)))
    for _, i, j in pairs:
        ours, theirs = ([k for k, own in enumerate(group) if own == group[one]] for one in (i, j))
        # Two of one tile were told apart by the denoiser.
        if group[i] != group[j] and not {pieces[k].tile for k in ours} & {pieces[k].tile for k in theirs}:
            for k in theirs:
                group[k] = group[i]
    found = [_whole([k for k, own in enumerate(group) if own == one], pieces, rest) for one in dict.fromkeys(group)]
    return tuple(sorted(found, key=lambda one: -one.evidence)[:AT_MOST])


def _common(pieces: Sequence[Piece], i: int, j: int, alike: Float) -> float:
    """Energy that two maps have in common where their tiles overlap, m2; 0 where they are no one event."""
    one, other = pieces[i], pieces[j]
    rows, columns = (
        slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(one.place, other.place, strict=True)
    )
    if one.tile == other.tile or rows.start >= rows.stop or columns.start >= columns.stop or alike[i, j] < ALIKE:
        return 0.0
    ours, theirs = (piece.candidate.map[piece.within((rows, columns))].astype(float) for piece in (one, other))
    reached = max(
        np.abs(part).max() / max(np.abs(piece.candidate.map).max(), 1e-30)
        for part, piece in ((ours, one), (theirs, other))
    )
    common = float((ours * theirs).sum())
    larger = max(float((ours**2).sum()), float((theirs**2).sum()))
    return common if reached > FAINTEST and common > COMMON * larger else 0.0


def _whole(members: list[int], pieces: Sequence[Piece], rest: Float) -> Candidate:
    """One candidate of those of some tiles: their history is the mean by evidence, maps are blended as tiles are."""
    chosen = [pieces[k] for k in members]
    evidence = np.array([piece.candidate.evidence for piece in chosen])
    weight = np.maximum(evidence, 1e-30) / np.maximum(evidence, 1e-30).sum()
    history = sum(w * piece.candidate.history for w, piece in zip(weight, chosen, strict=True))
    mean = rest[:, members] @ weight
    rows, columns = (
        slice(min(piece.place[axis].start for piece in chosen), max(piece.place[axis].stop for piece in chosen))
        for axis in (0, 1)
    )
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    total, std = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    strength = 0.0
    for k, piece in zip(members, chosen, strict=True):
        own, share = piece.candidate, piece.weight
        # What it is with the common history.
        scale = float(rest[:, k] @ mean / max(float(mean @ mean), 1e-300)) if len(members) > 1 else 1.0
        at = tuple(
            slice(p.start - start, p.stop - start)
            for p, start in zip(piece.place, (rows.start, columns.start), strict=True)
        )
        total[at] += np.float32(scale) * share * own.map
        std[at] += np.float32(abs(scale)) * share * own.std
        energy = own.map.astype(float) ** 2
        strength += own.evidence * float((share * energy).sum() / max(energy.sum(), 1e-30))
    return replace(
        chosen[0].candidate, map=total, std=std, history=np.asarray(history), evidence=strength, place=(rows, columns)
    )
