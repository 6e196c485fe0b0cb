"""The noise spectrum of a scene from its own epochs, and data with it taken out: what linear detectors search in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage
from scipy.linalg import solve_triangular

from slipbench.baselines.gls import Density, Field, StationaryNoise
from slipbench.baselines.histories import Candidates, candidates, filters_of
from slipbench.baselines.prepare import Prepared
from slipscan.noise.simulate import TurbulenceSpectrum

Float = NDArray[np.float64]
Mask = NDArray[np.bool_]

KEPT_ENERGY = 0.98
"""Share of the candidates' energy that the courses which stand for them all must hold."""
TOLERANCE = 0.1
"""Of the solves: the statistic of any template is then good to 0.05 of its standard deviation."""
RED_EXPONENT = 8 / 3
"""Of the two-dimensional spectrum at scales that the scene is too small to show (Hanssen 2001)."""
_LOWEST_CYCLES = 2.5
"""Per scene: at fewer, the taper and the removal of ramps bend the spectrum."""
_FLOOR = 1e-6
"""Of the largest density: keeps the spectrum of a smooth (or empty) stack invertible."""


@dataclass(frozen=True)
class Told:
    """The law of a scene's noise, for methods that are told it.

    Attributes
    ----------
    density, white_std
        power spectral density of the correlated noise of an epoch of variance 1, orientation included, see
        `gls.StationaryNoise`; standard deviation of its white pixels, m
    covariance
        (time, time) of the epochs' noise relative to that
    """

    density: Density
    white_std: float
    covariance: Float


@dataclass(frozen=True)
class Whitened:
    """A stack as a matched filter wants it.

    Attributes
    ----------
    noise
        covariance in space, in units of an epoch's variance
    valid
        (y, x) pixels that are used
    tried
        candidate histories
    mixing
        (candidate, course) the statistic of a candidate is the mixture of those of the courses
    size
        (candidate,) root of the information in time: 1/m
    data
        (course, y, x) inverse covariance times the data of each course, nuisance projected out
    nuisance, coupling
        (column, y, x) inverse covariance times the nuisance columns; (column, column) inverse of their
        information
    """

    noise: StationaryNoise
    valid: Mask
    tried: Candidates
    mixing: Float
    size: Float
    data: Field
    nuisance: Field
    coupling: Float

    @property
    def mask(self) -> Mask | None:
        """`valid` where a pixel is left out, else None."""
        return None if self.valid.all() else self.valid


def whiten(prepared: Prepared, told: Told | None = None) -> Whitened:
    """Reduce a stack to a few courses in time, estimate the noise spectrum from them (or be told it) and take it out.

    The statistics of all candidates are mixtures of a few orthogonal courses (their principal components), in
    which the noise is independent and of equal strength: one expensive solve per course, not per candidate.
    """
    tried = candidates(prepared.days)
    responses = filters_of(prepared, tried.columns) @ prepared.root
    courses, mixing = _principal_courses(responses)
    flat = solve_triangular(prepared.root, prepared.cleaned.reshape(len(prepared.days), -1), lower=True)
    fields = (courses @ flat).reshape(-1, *prepared.shape).astype(np.float32)
    valid = usable_pixels(prepared)
    density, white_std = (
        (noise_density(fields, prepared.pixel_m), 0.0) if told is None else (told.density, told.white_std)
    )
    noise = StationaryNoise(prepared.shape, prepared.pixel_m, density, white_std)
    mask = None if valid.all() else valid
    data = noise.filters(fields, prepared.nuisance, mask, TOLERANCE)
    nuisance = noise.solve(prepared.nuisance.astype(np.float32), mask, TOLERANCE / 2)
    information = np.tensordot(nuisance, prepared.nuisance * valid, ((1, 2), (1, 2)))
    return Whitened(
        noise=noise,
        valid=valid,
        tried=tried,
        mixing=mixing,
        size=information_root(tried, prepared),
        data=data,
        nuisance=nuisance,
        coupling=np.asarray(np.linalg.pinv((information + information.T) / 2, rcond=1e-4, hermitian=True), float),
    )


def information_root(tried: Candidates, prepared: Prepared) -> Float:
    """Statistic of every candidate for a series that is that candidate itself, (candidate,), 1/m."""
    unit = filters_of(prepared, tried.columns)
    return np.einsum("ct,tc->c", unit, tried.columns)


def _principal_courses(responses: Float) -> tuple[Float, Float]:
    """Orthonormal courses (course, time) that hold most of the responses (candidate, time), and their mixing."""
    left, size, courses = np.linalg.svd(responses, full_matrices=False)
    kept = int(np.searchsorted(np.cumsum(size**2), KEPT_ENERGY * (size**2).sum())) + 1
    mixing = left[:, :kept] * size[:kept]
    length = np.sqrt((mixing**2).sum(axis=1, keepdims=True))
    return courses[:kept], mixing / np.where(length > 0, length, 1.0)


def usable_pixels(prepared: Prepared) -> Mask:
    """Pixels with data in most epochs, and lone holes between such (they are filled), (y, x)."""
    most = prepared.valid.mean(axis=0) > 0.5
    if not most.any():
        most = prepared.covered
    around = ndimage.uniform_filter(most.astype(float), 3, mode="nearest")
    return np.asarray(most | (around > 0.4))


def noise_density(fields: NDArray[np.floating], pixel_m: float, stretch: tuple[float, float] = (1.0, 0.0)) -> Density:
    """Power spectral density of fields that share one covariance, constant on circles or ellipses of wavenumbers.

    Periodograms under a Hann taper, averaged over rings of wavenumbers; the median over the fields, since an
    event sits in few of them. Below two and a half cycles per scene Hanssen's power law continues it.

    Parameters
    ----------
    fields
        (n, y, x) without ramps
    pixel_m
        m
    stretch
        ratio of the ellipses' axes, and the azimuth (degrees) along which the fields are longest

    Returns
    -------
    density
        function of (kx, ky) in cycles per metre
    """
    shape = TurbulenceSpectrum(anisotropy=stretch[0], azimuth_deg=stretch[1])
    _, rows, columns = fields.shape
    taper = (_taper(rows)[:, None] * _taper(columns)).astype(fields.dtype)
    power = np.abs(fft.rfft2(fields * taper)) ** 2 * (pixel_m**2 / float((taper**2).sum()))
    if max(rows, columns) <= 2 * _LOWEST_CYCLES:
        return _constant(max(float(np.mean(power)), _FLOOR * pixel_m**2))
    k = shape.stretched(fft.fftfreq(rows, pixel_m)[:, None], fft.rfftfreq(columns, pixel_m)[None, :]).ravel()
    fundamental = 1 / (max(rows, columns) * pixel_m)
    edges = fundamental * np.concatenate([[0.5], np.geomspace(_LOWEST_CYCLES, max(rows, columns), 15)])
    ring = np.digitize(k, edges)
    count = np.bincount(ring, minlength=len(edges) + 1)
    rings = np.array([np.bincount(ring, p.ravel(), len(edges) + 1) for p in power]) / np.maximum(count, 1)
    centre = np.bincount(ring, k, len(edges) + 1) / np.maximum(count, 1)
    used = (count > 0) & (np.arange(len(count)) > 1)
    level = np.median(rings[:, used], axis=0)
    level = np.maximum(level, max(_FLOOR * float(level.max()), _FLOOR * pixel_m**2))
    log_k, log_level = np.log(centre[used]), np.log(level)

    def density(kx: Float, ky: Float) -> Float:
        at = np.log(np.maximum(shape.stretched(ky, kx), fundamental / 4))
        return np.exp(np.interp(at, log_k, log_level) + RED_EXPONENT * np.maximum(log_k[0] - at, 0.0))

    return density


def _constant(level: float) -> Density:
    """White noise, for scenes that are too small to show a spectrum."""
    return lambda kx, ky: np.full(np.broadcast(kx, ky).shape, level)


def _taper(n: int) -> Float:
    """Hann window without zeros at its ends; flat for what is too short for one."""
    return np.hanning(n + 2)[1:-1] if n > 3 else np.ones(n)
