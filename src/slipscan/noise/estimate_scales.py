"""Strength of a scene per epoch and scale: small scales from windows of a sample, large ones from its block means."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slipscan.coarse import block_means
from slipscan.noise.estimate_bands import BATCH, band_sums, band_widths, epoch_rms, mean_of, squares
from slipscan.noise.estimate_power import Power, power
from slipscan.noise.estimate_residual import completed, left_over
from slipscan.noise.estimate_structure import MIN_PAIRS, levels, structure_sums
from slipscan.noise.sample import Sample

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]
Bool = NDArray[np.bool_]


@dataclass(frozen=True)
class HeightPart:
    """What of every epoch follows height.

    Attributes
    ----------
    slope
        (time,) m per m
    height
        (y, x) m, of the blocks of the sample, NaN = unknown; None: nothing follows it
    """

    slope: Float
    height: Float | None

    def without(self, residual: Float32, used: Bool, height: NDArray[np.floating] | None) -> Float32:
        """The used epochs (used, y, x) of a part of the scene less what follows its heights (y, x)."""
        if self.height is None or height is None:
            return residual[used]
        above = (height - np.nanmean(self.height)).astype(np.float32)
        return np.asarray(residual[used] - self.slope[used, None, None].astype(np.float32) * above)


@dataclass(frozen=True)
class Scales:
    """Strength of a scene's residual per epoch and scale.

    Attributes
    ----------
    rms
        (time,) over space, about the epoch's mean, m
    power
        of Fourier cells, each wavenumber from the part that shows it best
    band_m, bands
        (band,) of `band_widths`; (used, band) mean squares, height's part removed, m2; NaN = unknown
    squared
        per level (used, lag) mean squared differences, height's part removed, m2; NaN = unknown
    """

    rms: Float
    power: list[Power]
    band_m: Float
    bands: Float
    squared: list[Float]


def measure_scales(
    sample: Sample, broad: Float32, matrix: Float, used: Bool, pixel_m: tuple[float, float], follows: HeightPart
) -> Scales:
    """Measure all scales of a sample.

    Parameters
    ----------
    broad
        (time, y, x) residual of the sample's block means, gaps cared for (`estimate_residual.completed`), m
    matrix
        (time, column) of the background
    used
        (time,) epochs of which bands and differences are taken
    pixel_m
        height and width of a cell
    follows
        what is taken out first of bands and differences
    """
    shape, factor = sample.seen.shape, sample.factor
    grids = levels(shape, pixel_m)
    rms = epoch_rms(broad.reshape(len(broad), -1))
    widths = band_widths((broad.shape[1], broad.shape[2]), pixel_m, factor)
    spectra = [power(broad, pixel_m, factor)]
    turbulent = follows.without(broad, used, follows.height)
    if factor == 1:
        bands, squared = [band_sums(turbulent)], [structure_sums(turbulent, grid) for grid in grids]
    else:
        bands, squared = [band_sums(turbulent, finest=False)], [structure_sums(turbulent, grids[1], factor)]
        windows = [*_windows(sample, matrix, used, pixel_m, follows)]
        bands.insert(0, _added(window.bands for window in windows))
        squared.insert(0, _added(window.squared for window in windows))
        total, count = _added(window.detail for window in windows)
        rms = np.sqrt(rms**2 + total / np.maximum(count, 1))
        half = 0.25e3 / (factor * max(pixel_m))  # of the highest wavenumber of block means: above it they are aliased
        spectra = [part and part.between(0, half) for part in spectra]
        spectra += [window.power and window.power.between(half, np.inf) for window in windows]
    return Scales(
        rms=rms,
        power=[part for part in spectra if part is not None],
        band_m=widths,
        bands=np.concatenate([mean_of(*sums) for sums in bands], axis=1),
        squared=[mean_of(*sums, MIN_PAIRS) for sums in squared],
    )


Sums = tuple[Float, Float]
"""Sums of squares and what they are over."""


@dataclass(frozen=True)
class _Window:
    """A window of single pixels: `detail` is the (time,) rest beside block means."""

    detail: Sums
    bands: Sums
    squared: Sums
    power: Power | None


def _windows(
    sample: Sample, matrix: Float, used: Bool, pixel_m: tuple[float, float], follows: HeightPart
) -> Iterable[_Window]:
    fine = levels(sample.seen.shape, pixel_m)[0]
    for rows, columns in sample.windows:
        seen = sample.seen.tile(rows, columns)
        residual = completed(left_over(seen.values, matrix)[0], matrix, used)
        turbulent = follows.without(residual, used, seen.height)
        octaves = sample.factor.bit_length() - 1
        yield _Window(
            _detail(residual, sample.factor),
            band_sums(turbulent, octaves),
            structure_sums(turbulent, fine),
            power(residual, pixel_m),
        )


def _detail(residual: Float32, factor: int) -> Sums:
    """Sums of squares about the means of blocks of `factor` cells, and the cells that they are over, both (time,)."""
    columns = residual.shape[2]
    total, count = np.zeros((2, len(residual)))
    for first in range(0, len(residual), BATCH):
        few = slice(first, first + BATCH)
        fields = residual[few]
        means = block_means(fields, factor).repeat(factor, axis=2)[:, :, :columns]
        for row in range(factor):
            part = fields[:, row::factor]
            rest = part - means[:, : part.shape[1]]
            known = np.isfinite(rest)
            if not known.all():
                rest = np.where(known, rest, np.float32(0.0))
            total[few] += squares(rest)
            count[few] += squares(known.astype(np.float32))
    return total, count


def _added(parts: Iterable[Sums]) -> Sums:
    """The sums of several windows, in the order of the windows."""
    totals, counts = zip(*parts, strict=True)
    return np.sum(totals, axis=0), np.sum(counts, axis=0)
