"""Covariance of the noise of a change map: in space from the noise product or the map itself, in time from the history.

The change of a pixel is a sum of its epochs with weights w, those of least squares beside offset, rate and season. What
is white in time leaves w' diag(v) w of an epoch's variance in it, a random walk w' R w: the spectrum of the map is that
of an epoch times a factor that grows with the wavelength where the red part does.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from scipy import fft
from scipy.linalg import cho_factor, cho_solve

from slipscan.fit.model import days_since_2014, design_matrix
from slipscan.fit.scatter import MAD_TO_STD
from slipscan.fit.temporal import random_walk
from slipscan.noise.parameters import UNKNOWN, model_of
from slipscan.noise.simulate import NoiseModel, TurbulenceSpectrum
from slipscan.noise.temporal import with_shrunk_red

Float = NDArray[np.float64]
Pixels = NDArray[np.integer]

OUTER_SCALES_M: Final = (4e3, 8e3, 16e3, 32e3, 80e3)
EXPONENT: Final = 8 / 3
"""Of the 2-D spectrum (Hanssen 2001); with the outer scale free, another one changes little."""
WHITE_SHARES: Final = (0.003, 0.03, 0.12, 0.4, 1.0)
STRETCHES: Final = (1.8, 3.5)
AZIMUTHS_DEG: Final = (0.0, 30.0, 60.0, 90.0, 120.0, 150.0)
PAIRS: Final = 200
"""Of quiet neighbours that tell what is white in space."""
FEWEST: Final = 60
"""Points far from an event that tell the spectrum of its map."""
SHRUNK_BY: Final = 30.0
"""Points that the level of the map's own standard deviations counts as, beside what the far points say."""
_ASSUMED: Final = (16e3, 0.1)


@dataclass(frozen=True)
class MapNoise:
    """Noise of a change map.

    Attributes
    ----------
    spectrum
        of the part that is correlated in space
    variance
        of that part, m2
    white
        variance of the part that is white in space, of a typical pixel, m2
    gains
        (wavelength m, factor) of the red part in time over `variance`, by wavelength; (): none
    told_by
        'noise product', 'map' or 'assumed'
    """

    spectrum: TurbulenceSpectrum
    variance: float
    white: float
    gains: tuple[tuple[float, float], ...] = ()
    told_by: str = "map"

    def with_white_of(self, value: Float, quiet: NDArray[np.bool_], pixel_m: tuple[float, float]) -> MapNoise:
        """The same, with what is white in space told by what neighbours in a map (y, x) differ by where it is `quiet`.

        What walks in time at the scale of pixels (phase bias over vegetation) is more than the white part of the epochs
        leaves. Where few neighbours tell, it is as it was.
        """
        rows, columns = np.array([0, 0]), np.array([0, 1])
        smooth = replace(self, white=0.0).covariance(rows, columns, pixel_m, np.ones(2))
        step = np.diff(value, axis=1)[quiet[:, 1:] & quiet[:, :-1]]
        step = step[np.isfinite(step)]
        if len(step) < PAIRS:
            return self
        variance = (MAD_TO_STD * float(np.median(np.abs(step - np.median(step))))) ** 2
        apart = float(smooth[0, 0] + smooth[1, 1] - 2 * smooth[0, 1])
        return replace(self, white=max((variance - apart) / 2, 0.1 * self.white))

    def covariance(self, rows: Pixels, columns: Pixels, pixel_m: tuple[float, float], std: Float) -> Float:
        """Covariance (point, point) of pixels, m2.

        Parameters
        ----------
        rows, columns
            (point,) of the grid; rows run from north to south
        pixel_m
            height and width of a cell
        std
            (point,) standard deviation of the map: what is white follows it from pixel to pixel
        """
        reach = int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
        # A torus that reaches as far as the outer scale: a smaller one lacks the long waves.
        wanted = [max(2 * n, int(2 * self.spectrum.outer_scale_m / p)) for n, p in zip(reach, pixel_m, strict=True)]
        shape = tuple(fft.next_fast_len(min(n, 2048) if n > 2 * r else n) for n, r in zip(wanted, reach, strict=True))
        ky, kx = fft.fftfreq(shape[0], pixel_m[0])[:, None], fft.fftfreq(shape[1], pixel_m[1])[None, :]
        power = self.spectrum.mode_std(shape, pixel_m).astype(float) ** 2 * self._gain(np.hypot(ky, kx))
        power[0, 0] = 0.0  # an offset is a nuisance of its own
        table = self.variance * fft.ifft2(power, norm="forward").real
        out = table[rows[:, None] - rows[None, :], columns[:, None] - columns[None, :]]
        relative = std / float(np.median(std))
        out[np.diag_indices(len(rows))] += self.white * np.clip(relative, 0.3, 3.0) ** 2
        return np.asarray(out)

    def _gain(self, k: Float) -> Float:
        if not self.gains:
            return np.ones_like(k)
        wavelength, factor = (np.array(v) for v in zip(*sorted(self.gains), strict=True))
        at = np.log(1 / np.maximum(k, 1e-9))
        return 1.0 + np.interp(at, np.log(wavelength), factor)


def noise_of_product(
    noise: xr.Dataset, time: NDArray[np.datetime64], history: Float, weight: Float | None = None
) -> MapNoise | None:
    """The noise of a change from the noise product of its stack; None where the product knows too little.

    Parameters
    ----------
    time, history
        (time,) epochs of the change, and the fraction of it that each has seen
    weight
        (time,) of the epochs whose sum is the change; None: those that give the history's size beside rate and season
    """
    if noise.attrs.get(UNKNOWN) or not np.isfinite(float(noise["white_std"])):
        return None
    model = model_of(with_shrunk_red(noise))
    strength = _strengths(noise, model, time)
    if weight is None:
        weight = change_weights(time, history, strength)
    if weight is None or not weight.any():
        return None
    white = float((weight**2 * strength**2).sum())
    walk = random_walk(torch.from_numpy(days_since_2014(time))).numpy()
    red = float(weight @ walk @ weight) / white
    gains = tuple((wavelength, gain * red) for wavelength, gain in model.red)
    pixel = model.white_std_m**2 * float((weight**2).sum())
    return MapNoise(model.spectrum, model.turbulence_std_m**2 * white, max(pixel, 1e-8), gains, "noise product")


def _strengths(noise: xr.Dataset, model: NoiseModel, time: NDArray[np.datetime64]) -> Float:
    """Strength of every epoch over the median one (time,), 1 where the product does not know it."""
    out = np.ones(len(time))
    if "turbulence_epoch_std" not in noise or model.turbulence_std_m <= 0:
        return out
    epochs = noise["time"].values.astype("datetime64[ns]").astype("int64")
    known = {int(t): float(v) for t, v in zip(epochs, noise["turbulence_epoch_std"].values, strict=True)}
    found = np.array([known.get(int(t), math.nan) for t in time.astype("datetime64[ns]").astype("int64")])
    strength = found / model.turbulence_std_m
    return np.where(np.isfinite(strength) & (strength > 0.05), strength, out)


def change_weights(time: NDArray[np.datetime64], history: Float, strength: Float) -> Float | None:
    """Weights (time,) that give a history's size beside offset, rate and season; None: they leave nothing of it."""
    scaled = design_matrix(time)[0] / strength[:, None]
    column = history / strength
    basis, size, _ = np.linalg.svd(scaled, full_matrices=False)
    basis = basis[:, size > 1e-9 * size[0]]
    left = column - basis @ (basis.T @ column)
    energy = float(left @ left)
    return None if energy < 1e-6 else left / energy / strength


def noise_of_map(
    value: Float, std: Float, rows: Pixels, columns: Pixels, pixel_m: tuple[float, float], nuisance: Float
) -> MapNoise:
    """The noise of a change from points of its map where nothing happened, by restricted likelihood.

    Parameters
    ----------
    value, std
        (point,) of the map, m
    rows, columns, pixel_m
        (point,) of the grid, and its cell
    nuisance
        (point, column) that is unknown beside
    """
    level = float(np.median(std)) ** 2
    if len(value) < FEWEST:
        outer, share = _ASSUMED
        return MapNoise(_spectrum(EXPONENT, outer), (1 - share) * level, share * level, told_by="assumed")
    best = (-math.inf, _spectrum(EXPONENT, _ASSUMED[0]), _ASSUMED[1], level)

    def better(spectrum: TurbulenceSpectrum, share: float) -> tuple[float, TurbulenceSpectrum, float, float]:
        covariance = MapNoise(spectrum, 1 - share, share).covariance(rows, columns, pixel_m, std)
        found = _restricted(covariance, value, nuisance)
        if found is None or found[0] <= best[0]:
            return best
        likelihood, variance, count = found
        # Points that are correlated say less of the level than their number.
        variance = math.exp((count * math.log(variance) + SHRUNK_BY * math.log(level)) / (count + SHRUNK_BY))
        return likelihood, spectrum, share, variance

    for outer, share in itertools.product(OUTER_SCALES_M, WHITE_SHARES):
        best = better(_spectrum(EXPONENT, outer), share)
    round_, share = best[1], best[2]
    if share < 1:
        for ratio, azimuth in itertools.product(STRETCHES, AZIMUTHS_DEG):
            best = better(replace(round_, anisotropy=ratio, azimuth_deg=azimuth), share)
    return MapNoise(best[1], (1 - best[2]) * best[3], best[2] * best[3])


def _spectrum(exponent: float, outer_scale_m: float) -> TurbulenceSpectrum:
    return TurbulenceSpectrum(exponents=(exponent, exponent + 1.0, 5 / 3), outer_scale_m=outer_scale_m)


def _restricted(covariance: Float, value: Float, nuisance: Float) -> tuple[float, float, int] | None:
    """Restricted log-likelihood of a covariance up to its level, that level, and degrees of freedom."""
    try:
        factor = cho_factor(covariance + 1e-9 * np.trace(covariance) / len(value) * np.eye(len(value)), lower=True)
    except np.linalg.LinAlgError:
        return None
    solved = cho_solve(factor, np.column_stack([nuisance, value]))
    information = nuisance.T @ solved[:, :-1]
    left = solved[:, -1] - solved[:, :-1] @ np.linalg.lstsq(information, nuisance.T @ solved[:, -1], rcond=None)[0]
    count = len(value) - nuisance.shape[1]
    variance = float(value @ left) / count
    if not variance > 0:
        return None
    log_determinant = 2 * float(np.log(np.diag(factor[0])).sum()) + float(np.linalg.slogdet(information)[1])
    return -0.5 * (log_determinant + count * math.log(variance)), variance, count
