"""Structure function of turbulence as the simulator has it, at a few lags: the fit of a spectrum asks for hundreds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slipscan.noise.simulate_turbulence import TurbulenceSpectrum

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Waves:
    """Waves of one half of the wavenumbers of a torus, at lags; the other half mirrors it.

    Attributes
    ----------
    cell
        share of the plane of wavenumbers, (cycle/m)2
    square, difference, product
        (ky, kx) kx^2 + ky^2, ky^2 - kx^2 and 2 kx ky, (cycle/m)2; kx >= 0, both ends of ky
    count
        (ky, kx) how often a mode counts
    left
        (ky, kx) the same times what block means leave of its variance
    along_x
        (kx, 2 length) cosines, then sines, of the lengths of the lags along x
    which
        (lag,) the length of a lag
    cosine_y, sine_y
        (ky, lag); the sines with the sign of the lag along x
    """

    cell: float
    square: Float
    difference: Float
    product: Float
    count: Float
    left: Float
    along_x: Float
    which: NDArray[np.intp]
    cosine_y: Float
    sine_y: Float

    @classmethod
    def of(
        cls,
        torus: tuple[int, int],
        pixel_m: tuple[float, float],
        factor: int,
        lags: tuple[NDArray[np.intp], NDArray[np.intp]],
    ) -> Waves:
        """Waves of a torus (y, x) of blocks of `factor` cells, their height and width m, at lags (dy, dx) in blocks."""
        ky, kx = np.fft.fftfreq(torus[0]), np.fft.rfftfreq(torus[1])
        if torus[0] % 2 == 0:  # stretched, the shortest wave is not what it is mirrored
            ky = np.append(ky, 0.5)
        count = np.where(np.abs(ky) == 0.5, 0.5, 1.0)[:, None] * np.where((kx == 0) | (kx == 0.5), 1.0, 2.0)
        # Of a mean over cells, not over a continuum; 1 where nothing was averaged.
        mean_y, mean_x = (np.sinc(k) / np.sinc(k / factor) for k in (ky, kx))
        length, which = np.unique(np.abs(lags[1]), return_inverse=True)
        phase_y, phase_x = 2 * math.pi * np.outer(ky, lags[0]), 2 * math.pi * np.outer(kx, length)
        metric_y, metric_x = ky[:, None] / pixel_m[0], kx / pixel_m[1]
        return cls(
            cell=1 / (math.prod(torus) * math.prod(pixel_m)),
            square=metric_x**2 + metric_y**2,
            difference=metric_y**2 - metric_x**2,
            product=2 * metric_x * metric_y,
            count=count,
            left=count * (mean_y[:, None] * mean_x) ** 2,
            along_x=np.concatenate([np.cos(phase_x), np.sin(phase_x)], axis=1),
            which=which.ravel(),
            cosine_y=np.cos(phase_y),
            sine_y=np.sin(phase_y) * np.sign(lags[1]),
        )

    def structure(self, spectrum: TurbulenceSpectrum) -> Float:
        """D(lag) (lag,) of turbulence of unit variance: the squares of `TurbulenceSpectrum.mode_std`, summed."""
        variance = self._variance(spectrum)
        total = np.vdot(variance, self.count)
        variance *= self.left
        cosine, sine = np.split(variance @ self.along_x, 2, axis=1)
        alike = self.cosine_y * cosine[:, self.which] - self.sine_y * sine[:, self.which]
        return np.asarray(2 * (variance.sum() - alike.sum(axis=0)) / total)

    def _variance(self, spectrum: TurbulenceSpectrum) -> Float:
        """Variance of the modes (ky, kx), from its logarithm: powers take most of the time otherwise."""
        large, middle, small = spectrum.exponents
        outer = spectrum.outer_scale_m**-2
        k_sq = self.square
        if spectrum.anisotropy != 1:
            stretch, azimuth = math.log(spectrum.anisotropy), 2 * math.radians(spectrum.azimuth_deg)
            turned = math.cos(azimuth) * self.difference - math.sin(azimuth) * self.product
            k_sq = math.cosh(stretch) * self.square + math.sinh(stretch) * turned
        power = np.log(k_sq + outer)
        power *= -large / 2
        for wavelength, change in zip(spectrum.breaks_m, (large - middle, middle - small), strict=True):
            if (beyond := k_sq * wavelength**2).max() > 1:
                power += change / 2 * np.log(np.maximum(beyond, 1.0, out=beyond), out=beyond)
        power += math.log(self.cell * (large - 2) / (2 * math.pi)) + (large / 2 - 1) * math.log(outer)
        variance = np.exp(power, out=power)
        # The mean: the integral over a disc, as in the simulator.
        variance[0, 0] = 1 - (outer / (outer + self.cell / math.pi)) ** (large / 2 - 1)
        return variance
