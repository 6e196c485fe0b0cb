"""The law of a real series' noise, from epochs in which nothing happens: what an SNR in it is reckoned with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from slipbench.baselines.histories import projected
from slipbench.baselines.prepare import Prepared
from slipbench.baselines.whitening import Told, noise_density
from slipbench.families import random_walk

Float = NDArray[np.float64]
Mask = NDArray[np.bool_]

STRETCHES = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0)
AZIMUTHS_DEG = tuple(range(0, 180, 15))
WALKS_PER_YEAR = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)
BLOCK_M = 2e3


def noise_law(prepared: Prepared, quiet: Mask) -> Told:
    """Spectrum in two dimensions, and covariance in time, of a stack without events in `quiet` (y, x).

    Space: differences of successive epochs, in all pixels; what moves slowly somewhere does little to them.
    Time: epochs of their own variance and a random walk, of the share that fits the means of blocks best (restricted
    likelihood beside rate and season; blocks count as independent, which leaves the estimate without bias).
    """
    rest = projected(prepared.cleaned.reshape(len(prepared.days), -1), prepared.design, prepared.weight)
    covariance = np.diag(prepared.epoch_std**2)
    blocks = _block_means(rest.reshape(prepared.cleaned.shape), prepared.pixel_m, quiet)
    walk = max(WALKS_PER_YEAR, key=lambda share: _likelihood(blocks, prepared, _in_time(prepared, share)))
    size = np.hypot(prepared.epoch_std[1:], prepared.epoch_std[:-1])
    fields = (np.diff(rest, axis=0) / size[:, None]).reshape(-1, *prepared.shape)
    density = noise_density(fields, prepared.pixel_m, _stretch(fields, prepared.pixel_m))
    return Told(density, 0.0, covariance if walk == 0 else _in_time(prepared, walk))


def _in_time(prepared: Prepared, walk: float) -> Float:
    variance = prepared.epoch_std**2
    return np.diag(variance) + float(np.median(variance)) * random_walk(prepared.days, walk)


def _block_means(fields: Float, pixel_m: float, mask: Mask) -> Float:
    """Means of blocks that lie in the mask by half or more (time, block)."""
    size = max(1, round(BLOCK_M / pixel_m))
    edges = [np.arange(0, n, size) for n in mask.shape]

    def sums(values: Float) -> Float:
        return np.asarray(np.add.reduceat(np.add.reduceat(values, edges[0], axis=-2), edges[1], axis=-1))

    count = sums(mask.astype(float))
    kept = count > size**2 / 2
    return (sums(np.where(mask, fields, 0.0)) / np.maximum(count, 1.0))[:, kept]


def _likelihood(blocks: Float, prepared: Prepared, covariance: Float) -> float:
    """Restricted log-likelihood of series (time, block) of any common size beside the design."""
    left, size, _ = np.linalg.svd(prepared.design, full_matrices=True)
    free = left[:, int((size > 1e-9 * size[0]).sum()) :]
    root = np.linalg.cholesky(free.T @ covariance @ free)
    white = np.linalg.solve(root, free.T @ blocks)
    count = white.shape[0]
    return -float(2 * np.log(np.diag(root)).sum() + count * np.log(np.mean(white**2)))


def _stretch(fields: Float, pixel_m: float) -> tuple[float, float]:
    """Ratio of axes and azimuth of the ellipses on which the spectrum of fields (n, y, x) is constant (Whittle)."""
    rows, columns = fields.shape[1:]
    taper = np.hanning(rows + 2)[1:-1, None] * np.hanning(columns + 2)[1:-1]
    power = np.mean(np.abs(fft.rfft2(fields * taper)) ** 2, axis=0) * (pixel_m**2 / float((taper**2).sum()))
    ky, kx = fft.fftfreq(rows, pixel_m)[:, None], fft.rfftfreq(columns, pixel_m)[None, :]
    used = np.hypot(ky, kx) > 2.5 / (max(rows, columns) * pixel_m)
    tried = [(1.0, 0.0), *((s, float(a)) for s in STRETCHES[1:] for a in AZIMUTHS_DEG)]

    def misfit(stretch: tuple[float, float]) -> float:
        density = noise_density(fields, pixel_m, stretch)(kx, ky)[used]
        ratio = power[used] / density
        # The level is left free: a median of periodograms lies below their mean.
        return float(np.mean(np.log(density)) + np.log(np.mean(ratio)))

    return min(tried, key=misfit)
