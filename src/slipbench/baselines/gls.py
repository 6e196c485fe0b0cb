"""Generalised least squares in space: solves with the covariance of stationary noise, nuisance projected out.

The covariance of a grid of pixels is block-Toeplitz, hence a block of the circulant covariance of a torus of
twice the size: a product with it costs two Fourier transforms, and its inverse on the torus, restricted to
the grid, is an excellent preconditioner for conjugate gradients. Nothing is windowed or tapered; what comes
out is the inverse of the covariance that `noise.simulate.turbulence` draws from.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from slipscan.errors import SlipscanError

Float = NDArray[np.float64]
Mask = NDArray[np.bool_]
Density = Callable[[Float, Float], Float]
Field = NDArray[np.floating]
"""Single precision is enough for data, double for bounds; the result has the precision of the field."""
Operator = Callable[[Field], Field]

TOLERANCE = 1e-4
"""Of the residual of a solve, relative to the right-hand side: information is then good to about 1e-7."""
MAX_ITERATIONS = 2000
_RANK_TOLERANCE = 1e-9
"""Nuisance columns with a smaller singular value, relative to the largest, are copies of the others."""


class StationaryNoise:
    """Gaussian noise whose covariance depends on the distance vector of two pixels only, plus white noise.

    Parameters
    ----------
    shape
        (y, x) pixels
    pixel_m
        side of a cell, m
    density
        power spectral density of the correlated part, a function of (kx, ky) in cycles per metre, arrays of
        one shape; m2 per (cycle/m)2, so that its integral over the plane is the variance; even in k. Where
        it is infinite at 0, the value of the lowest other mode stands in: an offset, usually a nuisance.
    white_std
        standard deviation of the white part, m

    Attributes
    ----------
    torus
        (y, x) pixels of the torus
    eigenvalues
        of the torus' covariance, m2, in the half plane of `scipy.fft.rfft2`

    Raises
    ------
    SlipscanError
        a negative or infinite density, or no noise at all
    """

    def __init__(self, shape: tuple[int, int], pixel_m: float, density: Density, white_std: float) -> None:
        self.shape = shape
        self.torus = rows, columns = torus_shape(shape)
        ky, kx = np.meshgrid(fft.fftfreq(rows, pixel_m), fft.fftfreq(columns, pixel_m), indexing="ij")
        with np.errstate(divide="ignore"):
            spectrum = np.array(density(kx, ky), dtype=float)
        if not np.isfinite(spectrum[0, 0]):
            spectrum[0, 0] = max(spectrum[0, 1], spectrum[1, 0])
        if not np.isfinite(spectrum).all() or spectrum.min() < 0:
            raise SlipscanError("the power spectral density of the noise is negative or infinite: give a valid one")
        # At the Nyquist wavenumbers an anisotropic density differs between k and -k, which are one mode there.
        even = (spectrum + np.roll(spectrum[::-1, ::-1], 1, (0, 1))) / 2
        self.eigenvalues = even[:, : columns // 2 + 1] / pixel_m**2 + white_std**2
        if self.eigenvalues.min() <= 0:
            raise SlipscanError("some wavenumbers hold no noise, so no bound exists: give a white_std above 0")

    def covariance(self, fields: Field) -> Field:
        """Multiply fields (n, y, x) by the covariance of the grid, m2."""
        return self._filtered(fields, self.eigenvalues)

    def solve(self, fields: Field, valid: Mask | None = None, tolerance: float = TOLERANCE) -> Field:
        """Apply the inverse covariance.

        Parameters
        ----------
        fields
            (n, y, x); what they hold outside `valid` is not used
        valid
            (y, x) pixels with data, or (n, y, x) for a mask per field; None = all
        tolerance
            of the residual, relative to the field

        Returns
        -------
        solved
            (n, y, x) the inverse of the covariance of the valid pixels, times the fields; 0 elsewhere
        """
        mask = self._mask(fields, valid)
        return _conjugate_gradients(
            lambda x: mask * self.covariance(x), lambda r: mask * self._approximate_inverse(r), fields, mask, tolerance
        )

    def filters(
        self, templates: Field, nuisance: Float, valid: Mask | None = None, tolerance: float = TOLERANCE
    ) -> Field:
        """Inverse covariance of what is orthogonal to the nuisance, times templates.

        With N the nuisance columns: C^-1 - C^-1 N (N' C^-1 N)^-1 N' C^-1, the weight matrix of generalised
        least squares after N is estimated beside. One projected solve per template (Gould, Hribar &
        Nocedal 2001, SIAM J. Sci. Comput. 23, algorithm 2) instead of one more for every column.

        Parameters
        ----------
        templates
            (n, y, x)
        nuisance
            (k, y, x) columns; dependent ones do no harm
        valid, tolerance
            see `solve`

        Returns
        -------
        filters
            (n, y, x); 0 outside `valid`; their products with every nuisance column are 0
        """
        mask = self._mask(templates, valid)
        parts = [slice(None)] if len(mask) == 1 else [slice(n, n + 1) for n in range(len(mask))]
        bases = [_orthonormal(nuisance, part).astype(templates.dtype) for part in mask]
        inverses = [self._approximate_inverse(basis) * part for basis, part in zip(bases, mask, strict=True)]
        normals = [np.linalg.inv(_products(b, i)) for b, i in zip(bases, inverses, strict=True)]

        def precondition(residual: Field) -> Field:
            out = mask * self._approximate_inverse(residual)
            for part, inverse, normal in zip(parts, inverses, normals, strict=True):
                out[part] -= np.tensordot(_products(residual[part], inverse) @ normal, inverse, 1)
            return out

        def without_nuisance(fields: Field) -> Field:
            out = mask * fields
            for part, basis in zip(parts, bases, strict=True):
                out[part] -= np.tensordot(_products(out[part], basis), basis, 1)
            return out

        # The residual's part along the nuisance means nothing to the constrained problem: it is taken out of
        # every residual, or it would grow and swamp the rest in rounding.
        return _conjugate_gradients(
            lambda x: without_nuisance(self.covariance(x)), precondition, without_nuisance(templates), mask, tolerance
        )

    def _mask(self, fields: Field, valid: Mask | None) -> Mask:
        """Valid pixels as (1 or n, y, x)."""
        if fields.shape[1:] != self.shape:
            raise SlipscanError(f"fields of {fields.shape[1:]} pixels do not fit noise of {self.shape} pixels")
        mask = np.ones((1, *self.shape), bool) if valid is None else valid.reshape(-1, *self.shape)
        if len(mask) not in (1, len(fields)):
            raise SlipscanError(f"{len(mask)} masks came with {len(fields)} fields: give one, or one for each")
        return mask

    def _approximate_inverse(self, fields: Field) -> Field:
        """The inverse on the torus, restricted to the grid."""
        return self._filtered(fields, 1 / self.eigenvalues)

    def _filtered(self, fields: Field, response: Float) -> Field:
        """Multiply the modes of the zero-padded fields; rows that are not needed are not transformed.

        One field after the other: its modes fit a core's cache, those of many do not (2 x faster under load).
        """
        rows, columns = self.torus
        cast = response.astype(fields.dtype)
        out = np.empty_like(fields)
        for n, field in enumerate(fields):
            modes = fft.fft(fft.rfft(field, columns, axis=1), rows, axis=0, overwrite_x=True)
            modes *= cast
            modes = fft.ifft(modes, axis=0, overwrite_x=True)[: self.shape[0]]
            out[n] = fft.irfft(modes, columns, axis=1)[:, : self.shape[1]]
        return out


def torus_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of the torus that a grid is embedded in: twice as many, or a few more."""
    return fft.next_fast_len(2 * shape[0], real=True), fft.next_fast_len(2 * shape[1], real=True)


def projected_information(
    noise: StationaryNoise, template: Float, nuisance: Float, valid: Mask | None = None
) -> tuple[Float, float]:
    """Best linear filter for a template's amplitude in one epoch, and its information.

    Parameters
    ----------
    noise
        of the epoch
    template
        (y, x) m for an amplitude of one
    nuisance
        (k, y, x) columns estimated beside the amplitude (offset, x, y, height)
    valid
        (y, x) pixels with data; None = all

    Returns
    -------
    filter, information
        (y, x) F = C_perp^-1 m, so that sum(F d) / information estimates the amplitude without bias, and
        m' C_perp^-1 m, the inverse of the estimate's variance
    """
    filters = noise.filters(np.asarray(template, float)[None], nuisance, valid)[0]
    return filters, float(np.sum(filters * template))


def _orthonormal(nuisance: Float, mask: Mask) -> Float:
    """Orthonormal basis (rank, y, x) of the columns over the valid pixels."""
    columns = (nuisance * mask).reshape(len(nuisance), mask.size)
    scale = np.sqrt((columns**2).sum(axis=1, keepdims=True))
    columns = columns[scale[:, 0] > 0] / scale[scale[:, 0] > 0]
    if len(columns) == 0:
        return np.zeros((0, *mask.shape))
    _, size, basis = np.linalg.svd(columns, full_matrices=False)
    return basis[size > _RANK_TOLERANCE * size[0]].reshape(-1, *mask.shape)


def _conjugate_gradients(
    operator: Operator, precondition: Operator, right: Field, mask: Mask, tolerance: float
) -> Field:
    """Solve operator(x) = right (n, y, x) on the valid pixels, every field on its own step lengths."""
    residual = mask * right
    goal = tolerance * _norm(residual)
    x = np.zeros_like(residual)
    search = preconditioned = precondition(residual)
    product = _dot(residual, preconditioned)
    for _ in range(MAX_ITERATIONS):
        if (_norm(residual) <= goal).all():
            return x
        image = operator(search)
        # A field that is solved (or zero) takes no further step.
        step = product / np.maximum(_dot(search, image), np.finfo(right.dtype).tiny)
        x += step * search
        residual = residual - step * image
        preconditioned = precondition(residual)
        product, previous = _dot(residual, preconditioned), product
        search = preconditioned + product / np.maximum(previous, np.finfo(right.dtype).tiny) * search
    raise SlipscanError(
        f"the covariance of the noise could not be inverted in {MAX_ITERATIONS} iterations: give a larger white_std"
    )


def _products(a: Field, b: Field) -> Field:
    """Products of every field (n, y, x) with every other (m, y, x), (n, m)."""
    pixels = a.shape[1] * a.shape[2]  # not -1: there may be no field
    return a.reshape(len(a), pixels) @ b.reshape(len(b), pixels).T


def _dot(a: Field, b: Field) -> Field:
    return np.einsum("nyx,nyx->n", a, b)[:, None, None]


def _norm(fields: Field) -> Field:
    return np.sqrt(_dot(fields, fields))
