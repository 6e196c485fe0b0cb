"""The map of slip that breaks the surface: a fault that is fitted to the image, and the rest, which the network cleans.

A line of pixels is little to a network, and stays empty in its maps; a fault of a few unknowns gathers what all of it
tells. What is not like that fault - slip that varies along it, or goes deeper - is left to the network.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from slipscan.denoise.methods.slipnet.bands import random_signs
from slipscan.denoise.methods.slipnet.rupture_patterns import Rupture, grid_of, pattern_of
from slipscan.denoise.methods.slipnet.ruptures import strongest_rupture
from slipscan.fit.spectrum import MARGIN, mirrored, wide

SIGNS: Final = 4
"""Times that the signs of epochs are changed to see what noise gives."""
FIRST_STEPS: Final = (1.5, 1.5, 5.0, 0.3, 0.4)
"""Of the middle, pixels, the strike, degrees, and the logarithms of length and depth."""
EVALUATIONS: Final = 150
LEAST_SHARE: Final = 0.4
"""Of the squared signal-to-noise ratio of the map without a fault, in waves that tell of a fault."""
LONGEST_PX, DEEPEST_PX = 90.0, 30.0
EXACT: Final = {"xatol": 0.05, "fatol": 0.3}
"""Of those, and of the squared signal-to-noise ratio."""


def rupture_map(own: Tensor, pixels: Tensor, otherwise: Tensor) -> Tensor | None:
    """What a surface rupture has moved by a history, (y, x); None where none rises above noise, or tells enough.

    Parameters
    ----------
    own
        (time,) filter whose sum with a series is the amplitude of the history
    pixels
        (time, y, x) series without holes
    otherwise
        (y, x) map without a fault: a rupture that explains less than LEAST_SHARE of what this does is none, but the
        steepest part of something else
    """
    signs = random_signs(SIGNS, len(own)).to(own.device)
    found = strongest_rupture(own[None], [(own * sign)[None] for sign in signs], pixels)
    if found is None:
        return None
    start = found[0]
    fit = _Fit(torch.tensordot(own, pixels, 1), start.power)
    pattern = pattern_of(start.fault, *fit.grid)
    common, energy = fit.projection(pattern)
    scale = start.size**2 * energy / common**2
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

    def best(self, start: Rupture, scale: float) -> Tensor:
        """Displacement (y, x) of the fault that explains most; `scale` makes energies those of noise 1."""

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
        return (common / energy) * pattern[MARGIN : MARGIN + rows, MARGIN : MARGIN + columns]


def _fault_of(unknowns: NDArray[np.float64]) -> Rupture:
    y, x, strike, length, depth = (float(value) for value in unknowns)
    return Rupture(y, x, strike, min(math.exp(length), LONGEST_PX), min(math.exp(depth), DEEPEST_PX))
