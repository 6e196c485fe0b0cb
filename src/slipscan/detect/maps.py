"""Maps of transients at full resolution, estimated jointly with rate and season, tile by tile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slipscan.coarse import TILE
from slipscan.detect.bands import MIN_RELATIVE_NOISE
from slipscan.detect.ramp import Ramp
from slipscan.detect.statistic import MIN_INFORMATION, MIN_SHAPE, Filters, amplitudes
from slipscan.detect.track import Track
from slipscan.fit.clean import take_background, take_delay, take_mean
from slipscan.fit.delay import RELIEF_M
from slipscan.fit.ramps import projected, without
from slipscan.fit.robust import temporal_std

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]

NO_DATA: Final = float("nan")
VALUES: Final = 1 << 24
"""Of a tile's series, whose maps are made at once."""


@dataclass(frozen=True)
class Other:
    """Another transient beside one: its history, and the mean square of its displacement near that one, m2."""

    ramp: Ramp
    power: float


def amplitude_maps(
    track: Track, ramps: Sequence[Ramp], beside: Sequence[Sequence[Other]] = ()
) -> tuple[Float32, Float32]:
    """Total displacement of transients and its standard deviation, each (transient, y, x) m, NaN = no data.

    Not shrunk toward zero; what the delay's closed form leaves of the turbulence is in them.

    Parameters
    ----------
    beside
        of every transient the others; (): none
    """
    rows, cols = track.seen.shape
    out = np.full((2, len(ramps), rows, cols), NO_DATA, np.float32)
    if not ramps:
        return out[0], out[1]
    filters = change_filters(track, ramps, beside)
    for top in range(0, rows, TILE):
        for left in range(0, cols, TILE):
            y, x = slice(top, min(top + TILE, rows)), slice(left, min(left + TILE, cols))
            values = track.seen.tile(y, x).values
            step = max(1, VALUES // values[:, 0].size)
            for row in range(0, y.stop - top, step):
                strip = values[:, row : row + step]
                some = slice(top + row, top + row + strip.shape[1])
                out[:, :, some, x] = _strip(track, filters, strip, some, x)
    return out[0], out[1]


def coarse_amplitude(
    track: Track, ramp: Ramp, pixels: NDArray[np.bool_], beside: Sequence[Other] = ()
) -> tuple[Float, Float]:
    """Total displacement of a transient at some pixels (y, x) of the coarse grid, and its standard deviation.

    Both are (pixel,) m, 0 where there is no data.
    """
    filters = change_filters(track, [ramp], [beside])
    chosen = torch.from_numpy(np.flatnonzero(pixels))
    found = _estimated(track, track.cleaned.residual(chosen), track.cleaned.valid[:, chosen], filters)
    amplitude, std = torch.nan_to_num(found, nan=0.0)[:, 0].double().numpy()
    return amplitude, std


def change_filters(track: Track, ramps: Sequence[Ramp], beside: Sequence[Sequence[Other]] = ()) -> Filters:
    """Filters of ramps, each beside rate, season and others, by the best linear unbiased estimate of its size.

    Others are noise of a known history, whose covariance stands beside that of the epochs: as much of them is kept out
    as is worth its noise. Estimated along, a dozen of them make the noise of a map twice as large.
    """
    each = [_beside(track, ramp, others) for ramp, others in zip(ramps, beside or [()] * len(ramps), strict=True)]
    return Filters(*(torch.cat([getattr(one, name) for one in each]) for name in ("matched", "energy", "least")))


def change_weights(track: Track, ramps: Sequence[Ramp], beside: Sequence[Sequence[Other]] = ()) -> Float:
    """Weights (transient, time) of the epochs whose sum is the map, where none is missing."""
    if not ramps:
        return np.zeros((0, len(track.epochs)))
    filters = change_filters(track, ramps, beside)
    information = filters.energy.sum(1, keepdim=True)
    known = information > filters.least
    return np.asarray(torch.where(known, filters.matched / information.clamp(min=1e-30), 0.0).double())


def size_error(weight: Float, time: NDArray[np.datetime64], ramp: Ramp, alike: Sequence[Ramp]) -> float:
    """What the size of a map may be wrong by because its history is not known, over the size.

    The weights (time,) of the epochs make 1 of the history that the map was made with; of others, as likely, they make
    less.
    """
    seen = np.array([weight @ one.column(time) for one in alike])
    return float(np.sqrt(np.mean((seen - weight @ ramp.column(time)) ** 2)))


def _beside(track: Track, ramp: Ramp, others: Sequence[Other]) -> Filters:
    epochs, weight, column = track.epochs, track.cleaned.weight.double(), track.epochs.columns([ramp])
    counts = weight > 0
    shapes = epochs.columns([other.ramp for other in others]) * counts[:, None]
    spread = shapes * torch.tensor([other.power for other in others], dtype=torch.float64).sqrt()
    noise = torch.diag(torch.where(counts, 1 / weight.clamp(min=1e-30), 1.0)) + spread @ spread.T
    root = torch.linalg.cholesky(noise)
    whitener = torch.linalg.solve_triangular(root, torch.diag(counts.double()), upper=False)
    # Where rate and season leave too little there is no estimate; others never hide one whole, they make it uncertain.
    alone = projected(column, epochs.design(), weight)
    kept = bool((alone.square() * weight[:, None]).sum() > MIN_SHAPE * weight.sum())
    matched = (whitener.T @ without(whitener @ column, whitener @ epochs.design())).T * kept
    energy = matched * (matched @ noise)
    return Filters(matched.float(), energy.float(), (MIN_INFORMATION * energy.sum(1, keepdim=True)).float())


def _strip(track: Track, filters: Filters, values: Float32, y: slice, x: slice) -> Float32:
    """Amplitude and standard deviation (2, transient, y, x) of series (time, y, x)."""
    data = torch.from_numpy(values).flatten(1)
    valid = torch.isfinite(data)
    data = torch.nan_to_num(data, nan=0.0)
    take_mean(data, valid)
    take_delay(data, valid, track.cleaned.delay, _delay_columns(track, y, x))
    take_background(data, valid, track.cleaned.design, track.cleaned.weight)
    found = _estimated(track, data, valid, filters)
    return np.asarray(found.reshape(2, -1, *values.shape[1:]).numpy())


def _estimated(track: Track, residual: Tensor, valid: Tensor, filters: Filters) -> Tensor:
    """Amplitude and standard deviation (2, transient, pixel) of series (time, pixel) less rate and season."""
    amplitude, root = amplitudes(residual, valid.float(), filters)
    noise = temporal_std(residual, valid, track.cleaned.delay.std)
    known = (root > 0) & (noise > 0)
    std = torch.where(known, noise.clamp(min=MIN_RELATIVE_NOISE) / root.clamp(min=1e-30), NO_DATA)
    return torch.stack([torch.where(known, amplitude, NO_DATA), std])


def _delay_columns(track: Track, y: slice, x: slice) -> Tensor:
    """Columns of an epoch's delay, (column, pixel), as on the coarse grid: 1, x, y, height in its deviations there."""
    axes = []
    for part, count in ((y, track.coarse.shape[0]), (x, track.coarse.shape[1])):
        block = (torch.arange(part.start, part.stop, dtype=torch.float32) + 0.5) / track.factor - 0.5
        axes.append(-1 + 2 * block / (count - 1) if count > 1 else torch.zeros(len(block)))
    rows, cols = len(axes[0]), len(axes[1])
    out = [torch.ones(rows, cols), axes[1].expand(rows, cols), axes[0][:, None].expand(rows, cols)]
    if len(track.cleaned.columns) > len(out):
        assert track.coarse.height is not None, "a column of heights"
        assert track.seen.height is not None, "heights were coarsened"
        known = track.coarse.height[np.isfinite(track.coarse.height)]
        height = torch.from_numpy(np.asarray(track.seen.height[y, x], np.float32))
        spread = max(float(known.std()), RELIEF_M)
        out.append(torch.nan_to_num((height - float(known.mean())) / spread, nan=0.0))
    return torch.stack(out).flatten(1)
