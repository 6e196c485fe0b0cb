"""The map of slip that breaks the surface: a fault that is fitted to the image, and the rest, which the network cleans.

A line of pixels is little to a network, and stays empty in its maps; a fault of a few unknowns gathers what all of it
tells. What is not like that fault - slip that varies along it, or goes deeper - is left to the network.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from slipscan.denoise.methods.slipnet.bands import BandSeries
from slipscan.denoise.methods.slipnet.candidates import only
from slipscan.denoise.methods.slipnet.rupture_patterns import Rupture, grid_of, pattern_of
from slipscan.denoise.methods.slipnet.ruptures import noise_of, strongest_rupture
from slipscan.denoise.methods.slipnet.search import units_of
from slipscan.fit.spectrum import MARGIN, mirrored, wide

FIRST_STEPS: Final = (1.5, 1.5, 5.0, 0.3, 0.4)
"""Of the middle, pixels, the strike, degrees, and the logarithms of length and depth."""
EVALUATIONS: Final = 150
LEAST_SHARE: Final = 0.4
"""Of the squared signal-to-noise ratio of the map without a fault, in waves that tell of a fault."""
LONGEST_PX: Final = 90.0
DEEPEST: Final = 0.5
"""Of its length: noise in broad waves makes a fault deep, and what goes deeper is the network's."""
EXACT: Final = {"xatol": 0.05, "fatol": 0.3}
"""Of those, and of the squared signal-to-noise ratio."""


class Fault(NamedTuple):
    """A surface rupture in a map.

    Attributes
    ----------
    map
        (y, x) what it has moved, units
    kernel
        (y, x) whose sum with a mirrored field is its amplitude there, but for a factor
    """

    map: Tensor
    kernel: Tensor


def rupture_map(
    course: Tensor, bands: BandSeries, beside: Tensor, pixels: Tensor, otherwise: Tensor | None
) -> Fault | None:
    """What a surface rupture has moved by a history; None where none rises above noise, or tells enough.

    Parameters
    ----------
    course
        (time,) history
    bands
        the tile, for its noise in time
    beside
        (time, event) other histories that are fitted with it
    pixels
        (time, y, x) series without holes
    otherwise
        (y, x) map without a fault: a rupture that explains less than LEAST_SHARE of what this does is none, but the
        steepest part of something else; None: there is no such map
    """
    units = units_of(bands, only(course), beside, 0.0)[0][0]
    filters = units @ bands.whiteners[0]
    found = strongest_rupture(filters, noise_of(units, bands), pixels)
    if found is None:
        return None
    start = found[0]
    own = filters[0] / (filters[0] @ course)
    fit = _Fit(torch.tensordot(own, pixels, 1), start.power)
    pattern = pattern_of(start.fault, *fit.grid)
    common, energy = fit.projection(pattern)
    scale = start.size**2 * energy / common**2
    if otherwise is not None:
        common, energy = fit.projection(mirrored(otherwise[None])[0])
        if start.size**2 < LEAST_SHARE * scale * (2 * common - energy):
            return None
    return fit.best(start.fault, scale)


class _Fit:
    """Faults in an image (y, x), in noise of a power (ky, kx)."""

    def __init__(self, image: Tensor, power: Tensor) -> None:
        self.shape, self.power = image.shape, power
        self.grid = grid_of(image.shape, image.device)
        self.seen = torch.fft.rfft2(mirrored(image[None]))[0]

    def projection(self, pattern: Tensor) -> tuple[float, float]:
        """Whitened, the product of a pattern on the mirrored grid with the image, and with itself."""
        waves = torch.fft.rfft2(pattern)
        products = (self.seen * waves.conj() / self.power, waves.abs().square() / self.power)
        common, energy = (float(torch.fft.irfft2(part, s=wide(self.shape))[0, 0]) for part in products)
        return common, energy

    def best(self, start: Rupture, scale: float) -> Fault:
        """The fault that explains most; `scale` makes energies those of noise 1."""

        def missed(unknowns: NDArray[np.float64]) -> float:
            common, energy = self.projection(pattern_of(_fault_of(unknowns), *self.grid))
            return -scale * common**2 / energy

        first = np.array([start.y, start.x, start.strike_deg, math.log(start.length_px), math.log(start.depth_px)])
        simplex = first + np.vstack([0 * first, np.diag(FIRST_STEPS)])
        options = {"maxfev": EVALUATIONS, "initial_simplex": simplex, **EXACT}
        found = minimize(missed, first, method="Nelder-Mead", options=options)
        pattern = pattern_of(_fault_of(found.x), *self.grid)
        common, energy = self.projection(pattern)
        rows, columns = self.shape
        kernel = torch.fft.irfft2(torch.fft.rfft2(pattern) / self.power, s=wide(self.shape))
        return Fault((common / energy) * pattern[MARGIN : MARGIN + rows, MARGIN : MARGIN + columns], kernel)


def _fault_of(unknowns: NDArray[np.float64]) -> Rupture:
    y, x, strike, length, depth = (float(value) for value in unknowns)
    longest = min(math.exp(length), LONGEST_PX)
    return Rupture(y, x, strike, longest, min(math.exp(depth), DEEPEST * longest))
