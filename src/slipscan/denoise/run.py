"""A displacement series of any size in, what happened in it and its background out: tile by tile."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from slipscan.denoise import tiles
from slipscan.errors import SlipscanError
from slipscan.field import Denoiser, Field, Observation
from slipscan.fit import background
from slipscan.fit.masks import count_valid
from slipscan.outofcore import Empty, release

Float32 = NDArray[np.float32]

EPOCHS: Final = 16
"""Of which the variance is in memory at once."""
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
    """

    transient: Float32
    std: Float32
    parameters: Float32
    mean: Float32
    evidence: Float32


def denoise(
    seen: Observation,
    method: Denoiser,
    *,
    threads: int = 1,
    empty: Empty = np.zeros,
) -> Denoised:
    """Denoise a series tile by tile.

    Parameters
    ----------
    seen
        the series, in memory or read tile by tile
    method
        takes all epochs of a tile at once
    threads
        tiles that are worked on at once; the result does not depend on it
    empty
        makes the arrays of zeros that the results are put in

    Raises
    ------
    SlipscanError
        a series without data, or of fewer than 5 epochs
    """
    epochs, columns = seen.design.shape
    rows, cols = seen.shape
    parts = [empty((number, rows, cols), np.float32) for number in (epochs, epochs, columns, 1, 1)]
    seen_any = False
    for y, x, share, found in _tiles(seen, method, threads):
        if x.start == 0:  # a row of tiles begins
            for whole in parts:
                release(whole)
        if found is None:
            for whole in parts[:-1]:
                whole[:, y, x] = np.nan
            continue
        for whole, part in zip(parts, found, strict=True):
            whole[:, y, x] += np.multiply(part, share, out=part)
        seen_any = True
    if not seen_any:
        raise SlipscanError("the stack has no valid pixel: every displacement is NaN")
    transient, variance, parameters, mean, evidence = parts
    for first in range(0, epochs, EPOCHS):
        np.sqrt(variance[first : first + EPOCHS], out=variance[first : first + EPOCHS])
        release(variance)
    return Denoised(transient, variance, parameters, mean[0], evidence[0])


def _tiles(
    whole: Observation, method: Denoiser, threads: int
) -> Iterator[tuple[slice, slice, Float32, tuple[Float32, ...] | None]]:
    """Every tile in a fixed order: where it lies, its share of a pixel's value, and what was found in it."""
    shape = whole.shape
    down, across = tiles.tiles(shape[0]), tiles.tiles(shape[1])
    places = [
        (y, x, share_y[:, None] * share_x)
        for y, share_y in zip(down, tiles.shares(down, shape[0]), strict=True)
        for x, share_x in zip(across, tiles.shares(across, shape[1]), strict=True)
    ]

    def work(place: tuple[slice, slice, Float32]) -> tuple[Float32, ...] | None:
        seen = whole.tile(place[0], place[1])
        if not np.isfinite(seen.values).any():
            return None
        return parts_of(seen, method.fields([seen])[0])

    with ThreadPoolExecutor(threads) as pool:
        # As many as there are threads, so that results do not pile up.
        for first in range(0, len(places), threads):
            batch = places[first : first + threads]
            for place, found in zip(batch, pool.map(work, batch), strict=True):
                yield *place, found


def parts_of(seen: Observation, field: Field) -> tuple[Float32, ...]:
    """One tile: transient, variance, parameters, mean, evidence, each (time, column or 1, y, x).

    The background is fitted to what delay and events leave, over a pixel's own epochs.
    """
    cleaned = seen.cleaned()
    transient = torch.from_numpy(field.transient).flatten(1)
    rest = (cleaned.series - transient).mul_(cleaned.valid)
    parameters = background.parameters(rest, cleaned.valid, cleaned.design, cleaned.weight)
    open_pixels = background.undetermined(cleaned.valid, cleaned.design)
    rest = rest.sub_(cleaned.design @ parameters).div_(cleaned.delay.std[:, None])
    noise = _pixel_noise(rest, cleaned.valid)
    formal = background.formal_std(cleaned.design, cleaned.delay.std)
    variance = torch.from_numpy(field.std).flatten(1).square().addcmul_((formal**2)[:, None], noise**2)
    mean = cleaned.mean[None].clone()
    transient = transient.clone()
    for part in (transient, variance, parameters, mean):
        part[:, open_pixels] = torch.nan
    parts = (transient, variance, parameters, mean, torch.from_numpy(field.evidence).flatten()[None])
    return tuple(part.float().reshape(-1, *seen.shape).numpy() for part in parts)


def _pixel_noise(residual: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Noise of every pixel (pixel,) over that of the epochs, from differences of consecutive epochs, clipped."""
    both = valid[1:] & valid[:-1]
    size = (residual.diff(dim=0).abs() * both).sum(0) / count_valid(both).clamp(min=1)
    return (size * np.sqrt(np.pi) / 2).clamp(*PIXEL_NOISE_RANGE)
