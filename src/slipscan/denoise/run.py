"""A displacement series of any size in, what happened in it and its background out: tile by tile."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import cloudpickle
import numpy as np
import torch
from numpy.typing import NDArray

from slipscan.denoise import registry, tiles
from slipscan.denoise.join import Piece, joined
from slipscan.errors import SlipscanError
from slipscan.field import Candidate, Denoiser, Field, Observation
from slipscan.fit import background
from slipscan.fit.masks import count_valid
from slipscan.outofcore import Empty, release
from slipscan.workers import in_order

log = logging.getLogger(__name__)

Float32 = NDArray[np.float32]
Place = tuple[slice, slice, Float32, Float32]
"""Rows and columns of a tile, and its share of the value of each row and column."""
Parts = tuple[Float32, ...]
Tile = tuple[Parts, tuple[Candidate, ...]]

EPOCHS: Final = 16
"""Of which the variance is in memory at once."""
TILES_READ: Final = 3
"""Neighbours in a row that are read together: a chunk of the store is unpacked whole, whatever is taken of it."""
BATCH_VALUES: Final = 1 << 26
"""Values of the tiles that a method is given at once, at most: 256 MB."""
CACHED: Final = 1 << 18
"""Values that stay in the processor's cache from one step of the arithmetic to the next."""
PIXEL_NOISE_RANGE: Final = (0.5, 3.0)
"""A pixel's noise over the epoch's: clipped, since a scale of few epochs is itself noisy."""


@dataclass(frozen=True)
class Denoised:
    """What is kept of a denoised series, all float32, metres, positive toward the satellite.

    Attributes
    ----------
    transient, std
        (time, y, x) displacement by events about its temporal mean, and the standard deviation of offset + rate +
        season + transient; NaN where the valid epochs of a pixel do not determine rate and season
    parameters
        (column, y, x) of the background, in the order of `Observation.design`, about the temporal mean of the data
    mean
        (y, x) temporal mean of the data, m: what the background is relative to
    evidence
        (y, x) energy that data and events have in common near by, noise being 1
    candidates
        what the transient is made of, strongest first, each over its own place
    """

    transient: Float32
    std: Float32
    parameters: Float32
    mean: Float32
    evidence: Float32
    candidates: tuple[Candidate, ...] = ()


def denoise(
    seen: Observation,
    method: Denoiser,
    *,
    threads: int = 1,
    empty: Empty = np.zeros,
    description: str | None = None,
) -> Denoised:
    """Denoise a series tile by tile, on threads or a dask cluster (see `workers`).

    Parameters
    ----------
    seen
        the series, in memory or read tile by tile
    method
        takes all epochs of a tile at once
    threads
        groups of tiles that are worked on at once; the result does not depend on it
    empty
        makes the arrays of zeros that the results are put in
    description
        of the progress that is shown; None: none is

    Raises
    ------
    SlipscanError
        a series without data, or of fewer than 5 epochs
    """
    epochs, columns = seen.design.shape
    rows, cols = seen.shape
    wholes = [empty((number, rows, cols), np.float32) for number in (epochs, epochs, columns, 1, 1)]
    pieces: list[Piece] = []
    seen_any = False
    for number, ((y, x, *share), found) in enumerate(_tiles(seen, method, threads, description)):
        if x.start == 0:  # a row of tiles begins
            for whole in wholes:
                release(whole)
        if found is None:
            for whole in wholes[:-1]:
                whole[:, y, x] = np.nan
            continue
        for whole, part in zip(wholes, found[0], strict=True):
            whole[:, y, x] += part
        pieces += [Piece(number, (y, x), (share[0], share[1]), one) for one in found[1]]
        seen_any = True
    if not seen_any:
        raise SlipscanError("the stack has no valid pixel: every displacement is NaN")
    transient, variance, parameters, mean, evidence = wholes
    _take_root(variance)
    return Denoised(transient, variance, parameters, mean[0], evidence[0], joined(pieces, seen.design))


def _take_root(variance: Float32) -> None:
    """Make standard deviations of variances (time, y, x) in place, some epochs at a time."""
    for first in range(0, len(variance), EPOCHS):
        np.sqrt(variance[first : first + EPOCHS], out=variance[first : first + EPOCHS])
        release(variance)


def _tiles(
    whole: Observation, method: Denoiser, threads: int, description: str | None
) -> Iterator[tuple[Place, Tile | None]]:
    """Every tile in a fixed order: where it lies, its share of what is found, and its candidates."""
    down, across = tiles.tiles(whole.shape[0]), tiles.tiles(whole.shape[1])
    groups: list[list[Place]] = []
    of_rows, of_columns = tiles.shares(down, whole.shape[0]), tiles.shares(across, whole.shape[1])
    together = max(TILES_READ, method.tiles_at_once)
    for y, share_y in zip(down, of_rows, strict=True):
        row = [(y, x, share_y, share_x) for x, share_x in zip(across, of_columns, strict=True)]
        groups += [row[first : first + together] for first in range(0, len(row), together)]
    found = in_order(_Group(whole, method), groups, threads, description)
    for group, parts in zip(groups, found, strict=True):
        for place in group:
            yield place, parts.pop(0)  # none is held while the next group is waited for


@dataclass(frozen=True)
class _Group:
    """What is done with neighbouring tiles: it goes to every worker of a cluster, with series and method."""

    whole: Observation
    method: Denoiser

    def __call__(self, group: Sequence[Place]) -> list[Tile | None]:
        y, first, last = group[0][0], group[0][1], group[-1][1]
        read = self.whole.tile(y, slice(first.start, last.stop))
        out: list[Tile | None] = [None] * len(group)
        batch: list[tuple[int, Observation]] = []
        for number, (_, x, _, _) in enumerate(group):
            seen = read.tile(slice(None), slice(x.start - first.start, x.stop - first.start))
            if np.isfinite(seen.values).any():
                batch.append((number, seen))
            most = max(1, min(self.method.tiles_at_once, BATCH_VALUES // seen.values.size))
            if batch and (len(batch) == most or number == len(group) - 1):
                fields = self._fields([one for _, one in batch])
                for (at, one), field in zip(batch, fields, strict=True):
                    out[at] = parts_of(one, field, np.multiply.outer(*group[at][2:])), field.candidates
                batch = []
        return out

    def _fields(self, seen: list[Observation]) -> list[Field]:
        """What happened in each tile of a batch; where an accelerator has too little memory for it, of its halves."""
        try:
            return self.method.fields(seen)
        except torch.OutOfMemoryError as error:
            if len(seen) == 1:
                size = " x ".join(map(str, seen[0].values.shape))
                raise SlipscanError(
                    f"the accelerator has too little memory for one tile of {size} values: take one with more, or set"
                    " denoise.device to 'cpu'"
                ) from error
        # Out of the handler, whose traceback holds what the try has allocated.
        torch.cuda.empty_cache()
        half = len(seen) // 2
        log.warning("too little memory on the accelerator for %d tiles together: %d are taken", len(seen), half)
        return [*self._fields(seen[:half]), *self._fields(seen[half:])]

    def __reduce__(self) -> tuple[Any, ...]:
        settings = getattr(self.method, "settings", None)
        return _unpacked, (self.whole, settings.method if settings else None, cloudpickle.dumps(self.method))


def _unpacked(whole: Observation, name: str | None, method: bytes) -> _Group:
    """In another process: the file of a user's method is imported before the method is made."""
    if name is not None:
        registry.find(name)
    return _Group(whole, pickle.loads(method))


def parts_of(seen: Observation, field: Field, share: Float32) -> Parts:
    """A tile's share (y, x) of transient, variance, parameters, mean and evidence, each (time, column or 1, y, x).

    The background is fitted to what delay and events leave, over a pixel's own epochs.
    """
    device = seen.cleaned_on
    cleaned = seen.cleaned(device)
    transient, std, evidence, own_share = (
        torch.from_numpy(np.ascontiguousarray(part)).to(device)
        for part in (field.transient, field.std, field.evidence, share)
    )
    transient, std, own_share = transient.flatten(1), std.flatten(1), own_share.flatten()
    rest = torch.sub(cleaned.series, transient).mul_(cleaned.valid)
    parameters = background.parameters(rest, cleaned.valid, cleaned.design, cleaned.weight)
    # A pixel whose epochs do not determine its background has none, and no events.
    known = own_share.masked_fill(background.undetermined(cleaned.valid, cleaned.design), torch.nan)
    formal = background.formal_std(cleaned.design, cleaned.delay.std).square()[:, None]
    parts = [torch.empty_like(transient), torch.empty_like(std)]
    for first in range(0, len(known), max(1, CACHED // len(rest))):
        some = slice(first, first + max(1, CACHED // len(rest)))
        left = torch.addmm(rest[:, some], cleaned.design, parameters[:, some], alpha=-1)
        noise = _pixel_noise(left.div_(cleaned.delay.std[:, None]), cleaned.valid[:, some])
        torch.mul(transient[:, some], known[some], out=parts[0][:, some])
        variance = std[:, some].square().addcmul_(formal, noise.square())
        torch.mul(variance, known[some], out=parts[1][:, some])
    parts += [parameters * known, (cleaned.mean * known)[None], (evidence.flatten() * own_share)[None]]
    return tuple(part.float().reshape(-1, *seen.shape).cpu().numpy() for part in parts)


def _pixel_noise(residual: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Noise of every pixel (pixel,) over that of the epochs, from differences of consecutive epochs, clipped."""
    both = valid[1:] & valid[:-1]
    size = residual.diff(dim=0).abs_().mul_(both).sum(0) / count_valid(both).clamp(min=1)
    return (size * np.sqrt(np.pi) / 2).clamp(*PIXEL_NOISE_RANGE)
