"""A stack of interferograms whose displacement is known: motion, delay, decorrelation, gaps and unwrapping errors.

95 interferograms of 22 epochs, 12 days apart, each with its five next neighbours. Motion and delay close in every
triangle, decorrelation and unwrapping errors do not. The noise follows from the coherence (Rodriguez & Martin 1992).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

WAVELENGTH_M = 0.05546576
EPOCHS, REPEAT_D, NEIGHBOURS, LOOKS = 22, 12, 5, 64
MISSING_SHARE, MISSING_COHERENCE, UNWRAPPING_SHARE = 0.15, 0.05, 0.015
VARIANTS = {
    "full": "all valid, one coherence for an interferogram",
    "missing": "15 % missing in smooth areas of low coherence, other ones in every interferogram",
    "speckled": "15 % missing with ragged edges: nearly every pixel has a set of interferograms of its own",
    "varied": "all valid, coherence varies in space",
    "unwrapping": "all valid, 1.5 % of an interferogram's pixels are off by a cycle, in areas",
}

Float = NDArray[np.float32]


@dataclass(frozen=True)
class Interferogram:
    """One pair: positions of its epochs, phase (y, x) rad positive away from the satellite, coherence (y, x)."""

    reference: int
    secondary: int
    phase: Float
    coherence: Float


def dates() -> NDArray[np.datetime64]:
    """Return the epochs, (time,)."""
    return np.datetime64("2020-01-03", "D") + REPEAT_D * np.arange(EPOCHS)


def pairs() -> list[tuple[int, int]]:
    """Return the sequential network, sorted."""
    return [(i, j) for i in range(EPOCHS) for j in range(i + 1, min(i + NEIGHBOURS, EPOCHS - 1) + 1)]


def reference_pixel(pixels: int) -> tuple[int, int]:
    """Return row and column of the reference: valid everywhere and without noise."""
    return pixels // 8, pixels // 8


def truth(pixels: int, seed: int) -> Float:
    """Displacement and delay, (time, y, x) m toward the satellite, zero at the first epoch and the reference."""
    generator = np.random.default_rng([seed, 0])
    row, column = np.meshgrid(*2 * [np.arange(pixels) / pixels], indexing="ij")
    bell = np.exp(-(((row - 0.6) / 0.12) ** 2 + ((column - 0.55) / 0.18) ** 2))
    days = REPEAT_D * np.arange(EPOCHS)
    history = 0.03 * days / 365.25 + 0.025 / (1 + np.exp(-(days - 130) / 12))
    series = history[:, None, None] * bell + np.stack([_turbulence(pixels, generator) for _ in days])
    series -= series[0]
    row0, column0 = reference_pixel(pixels)
    return (series - series[:, row0, column0][:, None, None]).astype(np.float32)


def interferograms(series: Float, variant: str, seed: int) -> Iterator[Interferogram]:
    """Draw the interferograms of a displacement series, one after another.

    Parameters
    ----------
    series
        (time, y, x) m toward the satellite
    variant
        of VARIANTS
    seed
        the same pair has the same noise in all variants

    Yields
    ------
    interferogram
        phase with a constant of its own; NaN where it is missing
    """
    pixels = series.shape[1]
    cover = _smooth(pixels, 16, np.random.default_rng([seed, 1]))
    for number, (i, j) in enumerate(pairs()):
        generator = np.random.default_rng([seed, 2, number])
        g = 0.2 + 0.6 * np.exp(-REPEAT_D * (j - i) / 40) + generator.uniform(-0.05, 0.05)
        coherence = np.full((pixels, pixels), g, np.float32)
        own = 0.8 * cover + 0.6 * _smooth(pixels, 10, generator)
        if variant == "varied":
            coherence = np.clip(g + 0.12 * own, 0.08, 0.95).astype(np.float32)
        noise = generator.standard_normal((pixels, pixels)) * np.sqrt((1 - coherence**2) / (2 * LOOKS * coherence**2))
        at = reference_pixel(pixels)
        noise[at] = 0
        phase = -4 * np.pi / WAVELENGTH_M * (series[j] - series[i]) + noise + generator.uniform(-20, 20)
        near = _near(pixels, at)
        if variant in ("missing", "speckled"):
            ragged = own + (0.5 * generator.standard_normal(own.shape) if variant == "speckled" else 0)
            lost = (ragged < np.quantile(ragged, MISSING_SHARE)) & ~near
            phase[lost], coherence[lost] = np.nan, MISSING_COHERENCE
        if variant == "unwrapping":
            field = _smooth(pixels, 10, generator)
            sign = generator.choice([-1, 1])
            phase[(field > np.quantile(field, 1 - UNWRAPPING_SHARE)) & ~near] += sign * 2 * np.pi
        yield Interferogram(i, j, phase.astype(np.float32), coherence)


def _near(pixels: int, at: tuple[int, int]) -> NDArray[np.bool_]:
    row, column = np.ogrid[:pixels, :pixels]
    return np.asarray(np.hypot(row - at[0], column - at[1]) < pixels / 40)


def _smooth(pixels: int, width: float, generator: np.random.Generator) -> Float:
    """Draw a smooth field of unit variance, `width` pixels wide, (y, x)."""
    field = gaussian_filter(generator.standard_normal((pixels, pixels)).astype(np.float32), width, mode="wrap")
    return np.asarray((field - field.mean()) / field.std(), np.float32)


def _turbulence(pixels: int, generator: np.random.Generator, std_m: float = 0.008) -> NDArray[np.float64]:
    """Draw a delay whose power falls as k^-8/3, (y, x) m."""
    k = np.hypot(*np.meshgrid(*2 * [np.fft.fftfreq(pixels)]))
    k[0, 0] = np.inf
    field = np.fft.ifft2(np.fft.fft2(generator.standard_normal((pixels, pixels))) * k ** (-8 / 6)).real
    return np.asarray(std_m * field / field.std())
