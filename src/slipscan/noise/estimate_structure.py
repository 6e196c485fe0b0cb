"""Structure function of a residual, D(lag) = mean squared difference: exact under any gaps, blind to offsets."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slipscan.noise.simulate_turbulence import TurbulenceSpectrum, torus_shape

Float = NDArray[np.float64]

LENGTHS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96)
"""Lags in cells, along rows, columns and both diagonals."""
MIN_PAIRS = 64
FINE_CELLS = 192
"""Scenes that are longer are looked at twice: short lags in full, long lags in means of blocks."""
FINE_LENGTH = 24
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
        scene = tuple(min(n, FINE_CELLS) for n in self.shape)
        torus = torus_shape((scene[0], scene[1]))
        variance = spectrum.mode_std(torus, self.pixel_m).astype(float) ** 2
        if self.factor > 1:
            smoothing = [
                np.sinc(np.fft.fftfreq(n)) / np.sinc(np.fft.fftfreq(n) / self.factor) for n in torus
            ]  # of a mean over cells, not over a continuum
            variance = variance * (smoothing[0][:, None] * smoothing[1]) ** 2
        covariance = np.fft.fft2(variance).real
        return np.asarray(2 * (covariance[0, 0] - covariance[self.dy % torus[0], self.dx % torus[1]]))

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
    """Lags of a scene: one level, or two for a large scene."""
    if max(shape) <= FINE_CELLS:
        return (_level(1, shape, pixel_m, 1, max(LENGTHS)),)
    factor = math.ceil(max(shape) / FINE_CELLS)
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
    out = np.full((len(residual), len(level.dy)), np.nan)
    for epoch, field in enumerate(residual):
        coarse = block_means(field, level.factor)
        valid = np.isfinite(coarse)
        filled = np.where(valid, coarse, 0.0).astype(np.float32)
        for lag, (dy, dx) in enumerate(zip(level.dy, level.dx, strict=True)):
            ahead, behind = _shifted(int(dy), int(dx))
            both = valid[ahead] & valid[behind]
            pairs = int(both.sum())
            if pairs >= MIN_PAIRS:
                change = (filled[ahead] - filled[behind]) * both
                out[epoch, lag] = float(np.vdot(change, change)) / pairs
    return out


def _shifted(dy: int, dx: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Slices of a field that lie (dy >= 0, dx) apart."""
    ahead = slice(dy, None), slice(max(dx, 0), None if dx >= 0 else dx)
    behind = slice(None, -dy or None), slice(max(-dx, 0), None if dx <= 0 else -dx)
    return ahead, behind


def block_means(field: NDArray[np.floating], factor: int) -> NDArray[np.floating]:
    """Means of blocks of `factor` cells a side (y, x); NaN where fewer than half of a block are valid."""
    if factor == 1:
        return field
    rows, columns = (n - n % factor for n in field.shape)
    blocks = field[:rows, :columns].reshape(rows // factor, factor, columns // factor, factor)
    count = np.isfinite(blocks).sum(axis=(1, 3))
    total = np.where(np.isfinite(blocks), blocks, 0.0).sum(axis=(1, 3))
    return np.where(2 * count >= factor**2, total / np.maximum(count, 1), np.nan)
