"""Structure function of a residual, D(lag) = mean squared difference: exact under any gaps, blind to offsets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from slipscan.coarse import block_means
from slipscan.noise.estimate_bands import mean_of, squares
from slipscan.noise.estimate_waves import Waves
from slipscan.noise.simulate_turbulence import TurbulenceSpectrum, torus_shape

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]

LENGTHS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96)
"""Lags in cells, along rows, columns and both diagonals."""
MIN_PAIRS = 64
FINE_CELLS = 192
"""Scenes that are longer are looked at twice: short lags in full, long lags in means of blocks."""
FINE_LENGTH = 24
CELLS = 1 << 16
"""That are taken at a time, so that they stay in the cache."""
_DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))


@dataclass(frozen=True)
class Level:
    """Lags at one resolution of a scene.

    Attributes
    ----------
    factor
        side of the blocks that were averaged, cells
    shape, pixel_m
        (y, x) of the scene in blocks, height and width of a block
    dy, dx
        (lag,) in blocks
    """

    factor: int
    shape: tuple[int, int]
    pixel_m: tuple[float, float]
    dy: NDArray[np.intp]
    dx: NDArray[np.intp]

    def turbulence(self, spectrum: TurbulenceSpectrum) -> Float:
        """D(lag) (lag,) of turbulence of unit variance."""
        return self._waves.structure(spectrum)

    @cached_property
    def _waves(self) -> Waves:
        torus = torus_shape((min(self.shape[0], FINE_CELLS), min(self.shape[1], FINE_CELLS)))
        return Waves.of(torus, self.pixel_m, self.factor, (self.dy, self.dx))

    def plane(self) -> Float:
        """D(lag) (lag,) of `ramps` of unit variance."""
        spread = [max(np.arange(n).std(), 1e-9) * math.sqrt(2) for n in self.shape]
        return np.asarray((self.dy / spread[0]) ** 2 + (self.dx / spread[1]) ** 2)

    def white(self) -> Float:
        """D(lag) (lag,) of white noise of unit variance per cell."""
        return np.full(len(self.dy), 2 / self.factor**2)

    @property
    def length_m(self) -> Float:
        """Length of the lags (lag,)."""
        return np.hypot(self.dy * self.pixel_m[0], self.dx * self.pixel_m[1])


def levels(shape: tuple[int, int], pixel_m: tuple[float, float]) -> tuple[Level, ...]:
    """Lags of a scene: one level, or two for a large scene, the other of blocks whose side is a power of two."""
    if max(shape) <= FINE_CELLS:
        return (_level(1, shape, pixel_m, 1, max(LENGTHS)),)
    factor = 2 ** math.ceil(math.log2(max(shape) / FINE_CELLS))
    coarse = (shape[0] // factor, shape[1] // factor)
    large = (pixel_m[0] * factor, pixel_m[1] * factor)
    return (
        _level(1, shape, pixel_m, 1, FINE_LENGTH),
        _level(factor, coarse, large, FINE_LENGTH // factor + 1, max(LENGTHS)),
    )


def _level(factor: int, shape: tuple[int, int], pixel_m: tuple[float, float], shortest: int, longest: int) -> Level:
    vectors = [
        (dy * length, dx * length)
        for length in LENGTHS
        if shortest <= length <= longest
        for dy, dx in _DIRECTIONS
        if dy * length <= shape[0] // 2 and abs(dx) * length <= shape[1] // 2
    ]
    dy, dx = np.array(vectors, dtype=np.intp).reshape(-1, 2).T
    return Level(factor, shape, pixel_m, dy, dx)


def structure_function(residual: NDArray[np.floating], level: Level) -> Float:
    """Mean squared difference of pixels a lag apart.

    Parameters
    ----------
    residual
        (time, y, x) m, NaN = no data
    level
        of `levels`

    Returns
    -------
    squared
        (time, lag) m2, NaN where an epoch has fewer than 64 pairs
    """
    return mean_of(*structure_sums(residual, level), MIN_PAIRS)


def structure_sums(residual: NDArray[np.floating], level: Level, factor: int = 1) -> tuple[Float, Float]:
    """Sums of squared differences of pixels a lag apart and the pairs that they are over, both (time, lag).

    Parameters
    ----------
    residual
        (time, y, x) m, NaN = no data
    level
        of `levels`
    factor
        side of the blocks that a pixel of the residual is the mean of, a divisor of the level's
    """
    total, pairs = np.zeros((2, len(residual), len(level.dy)))
    batch = max(1, CELLS // math.prod(residual.shape[1:]))
    for first in range(0, len(residual), batch):
        few = slice(first, first + batch)
        coarse = _whole_blocks(residual[few], level.factor // factor)
        valid = np.isfinite(coarse)
        complete = bool(valid.all())
        filled = coarse if complete else np.where(valid, coarse, np.float32(0.0))
        weight = valid.astype(np.float32)  # products of numbers take half of the time of those with truth values
        for lag, (dy, dx) in enumerate(zip(level.dy, level.dx, strict=True)):
            ahead, behind = _shifted(int(dy), int(dx))
            change = filled[ahead] - filled[behind]
            if complete:
                pairs[few, lag] = change[0].size
            else:
                both = weight[ahead] * weight[behind]
                change *= both
                pairs[few, lag] = squares(both)
            total[few, lag] = squares(change)
    return total, pairs


def _whole_blocks(fields: NDArray[np.floating], factor: int) -> Float32:
    """Means of blocks of `factor` cells a side (n, y, x) that are not cut; NaN where fewer than half are valid."""
    rows, columns = (n - n % factor for n in fields.shape[1:])
    return block_means(fields[:, :rows, :columns], factor, min_share=0.5)


def _shifted(dy: int, dx: int) -> tuple[tuple[slice, slice, slice], tuple[slice, slice, slice]]:
    """Slices of fields (n, y, x) that lie (dy >= 0, dx) apart."""
    ahead = slice(None), slice(dy, None), slice(max(dx, 0), None if dx >= 0 else dx)
    behind = slice(None), slice(None, -dy or None), slice(max(-dx, 0), None if dx <= 0 else -dx)
    return ahead, behind
