"""Series of a residual in spatial bands at places so far apart that they are nearly independent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from slipscan.coarse import block_means
from slipscan.noise.estimate_bands import MIN_WEIGHT

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]

APART: Final = 3
"""Cells between places, 1.5 widths of the band: what they share is left to the bootstrap."""
MOST_PLACES: Final = 128
MIN_VALID: Final = 0.9
"""Of the epochs, in a place that counts."""
SECTORS: Final = 4
"""The scene is cut into so many parts in either direction for the bootstrap."""
REACH: Final = 6
"""Cells from the middle of a kernel to its edge."""


@dataclass(frozen=True)
class Places:
    """One band of a residual where it is looked at.

    Attributes
    ----------
    series
        (time, place) m, NaN = no data
    sector
        (place,) part of the scene
    """

    series: Float
    sector: NDArray[np.intp]

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.sector)


def band_places(residual: Float32, octaves: int, finest: bool) -> list[Places]:
    """Places of every band of a residual, of `estimate_bands`: differences of Gaussians of width s/2 and s.

    Parameters
    ----------
    residual
        (time, y, x) m, NaN = no data
    octaves
        bands beyond the finest
    finest
        whether the first band is what is finer than a pixel's Gaussian
    """
    out, field = [], residual
    for octave in range(octaves):
        out += _places(field, finest and octave == 0)
        if octave + 1 < octaves:
            field = _halved(field)
    return out


def joined(parts: list[Places]) -> Places:
    """Places of one band in several windows; every window is a sector."""
    sector = np.concatenate([np.full(part.count, number) for number, part in enumerate(parts)])
    return Places(np.concatenate([part.series for part in parts], axis=1), sector.astype(np.intp))


def _places(field: Float32, finest: bool) -> list[Places]:
    """The band of an octave (time, y, x), and before it the finest one where that is wanted."""
    rows, columns = _lattice(field)
    sector = rows * SECTORS // field.shape[1] * SECTORS + columns * SECTORS // field.shape[2]
    edges = ((0, 0), (REACH, REACH), (REACH, REACH))
    padded = np.pad(field, edges, constant_values=np.nan)
    side = 2 * REACH + 1
    patches = sliding_window_view(padded, (side, side), axis=(1, 2))[:, rows, columns].reshape(len(field), -1, side**2)
    one, two = _smoothed(patches)
    middle = patches[:, :, side**2 // 2]
    seen = np.isfinite(middle)
    bands = ([middle - one] if finest else []) + [one - two]
    every = [np.where(seen, band, np.nan).astype(float) for band in bands]
    # A place that is the same in all epochs (zeros where nothing was measured) has no noise.
    return [Places(band[:, enough], sector[enough]) for band in every for enough in [_enough(band)]]


def _halved(field: Float32) -> Float32:
    """Means of blocks of 2 x 2 cells (time, y/2, x/2); of what is there, if that is half of a block."""
    rows, columns = (n - n % 2 for n in field.shape[1:])
    even, odd = field[:, 0:rows:2, :columns], field[:, 1:rows:2, :columns]
    mean = (even[:, :, ::2] + even[:, :, 1::2] + odd[:, :, ::2] + odd[:, :, 1::2]) / 4
    if np.isfinite(mean).all():
        return np.asarray(mean, np.float32)
    return block_means(field[:, :rows, :columns], 2, min_share=0.5)


def _enough(band: Float) -> NDArray[np.bool_]:
    spread = np.nanmax(band, axis=0, initial=-np.inf) > np.nanmin(band, axis=0, initial=np.inf)
    return np.asarray(np.isfinite(band).mean(axis=0) >= MIN_VALID) & spread


def _lattice(field: Float32) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of places with data in most epochs, evenly thinned."""
    first = APART // 2
    nodes = np.isfinite(field[:, first::APART, first::APART]).mean(axis=0) >= MIN_VALID
    rows, columns = np.nonzero(nodes)
    if len(rows) > MOST_PLACES:
        step = math.sqrt(len(rows) / MOST_PLACES)
        # A lattice of step x step nodes: the first node of each of its cells.
        cells = (rows / step).astype(np.intp) * field.shape[2] + (columns / step).astype(np.intp)
        some = np.unique(cells, return_index=True)[1]
        rows, columns = rows[some], columns[some]
    return rows * APART + first, columns * APART + first


def _smoothed(patches: Float32) -> tuple[Float32, Float32]:
    """Gaussian means of width 1 and 2 cells, (time, place) each; NaN where most of a kernel is not on data."""
    known = np.isfinite(patches)
    complete = bool(known.all())
    values = patches if complete else np.where(known, patches, np.float32(0.0))
    kernels = _kernels()
    above = values @ kernels
    below = kernels.sum(axis=0) if complete else known.astype(np.float32) @ kernels
    mean = np.where(below > MIN_WEIGHT, above / np.maximum(below, np.float32(1e-6)), np.float32(np.nan))
    return mean[..., 0], mean[..., 1]


def _kernels() -> Float32:
    """Gaussians of width 1 and 2 cells, (cell, 2), each of sum 1 and cut at three widths."""
    at = np.arange(-REACH, REACH + 1)
    lines = [np.where(np.abs(at) <= 3 * width, np.exp(-(at**2) / (2 * width**2)), 0.0) for width in (1.0, 2.0)]
    return np.stack([np.outer(line, line).ravel() / line.sum() ** 2 for line in lines], axis=1).astype(np.float32)
