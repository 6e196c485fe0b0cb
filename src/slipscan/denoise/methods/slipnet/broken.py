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

from slipscan.denoise.methods.slipnet.bands import change_of
from slipscan.denoise.methods.slipnet.breaks import Break, grid_of, pattern_of, power_of
from slipscan.denoise.methods.slipnet.ruptures import Hit, strongest_rupture
from slipscan.denoise.methods.slipnet.search import random_signs
from slipscan.fit.spectrum import MARGIN, mirrored, whitening_of, wide

SIGNS: Final = 4
"""Times that the signs of epochs are changed to see what noise gives."""
FIRST_STEPS: Final = (1.5, 1.5, 5.0, 0.3, 0.4)
"""Of the middle, pixels, the strike, degrees, and the logarithms of length and depth."""
EVALUATIONS: Final = 150
LONGEST_PX, DEEPEST_PX = 90.0, 30.0
EXACT: Final = {"xatol": 0.05, "fatol": 0.3}
"""Of those, and of the squared signal-to-noise ratio."""


def rupture_map(own: Tensor, pixels: Tensor) -> Tensor | None:
    """Amplitude (y, x) of a surface rupture that has moved by a history; None where none rises above noise.

    Parameters
    ----------
    own
        (time,) filter whose sum with a series is the amplitude of the history
    pixels
        (time, y, x) series without holes
    """
    signs = random_signs(len(own))[:SIGNS].to(own.device)
    found = strongest_rupture(own[None], [(own * sign)[None] for sign in signs], pixels)
    if found is None:
        return None
    image = torch.tensordot(own, pixels, 1)
    return _fitted(image, power_of(whitening_of(change_of(pixels)), image.shape), found[0])


def _fitted(image: Tensor, power: Tensor, start: Hit) -> Tensor:
    """Displacement (y, x) of the fault that explains most of an image (y, x) in noise of a power."""
    size, grid = wide(image.shape), grid_of(image.shape, image.device)
    seen = torch.fft.rfft2(mirrored(image[None]))[0] / power

    def amplitude(fault: Break) -> tuple[Tensor, float, float]:
        """Of a fault its pattern, slip, and squared signal-to-noise ratio but for a factor."""
        pattern = pattern_of(fault, *grid)
        waves = torch.fft.rfft2(pattern)
        common, own = (
            float(torch.fft.irfft2(part, s=size)[0, 0]) for part in (seen * waves.conj(), waves.abs() ** 2 / power)
        )
        return pattern, common / own, common**2 / own

    fault = start.fault
    first = np.array([fault.y, fault.x, fault.strike_deg, math.log(fault.length_px), math.log(fault.depth_px)])
    scale = start.size**2 / amplitude(fault)[2]
    simplex = first + np.vstack([0 * first, np.diag(FIRST_STEPS)])
    best = minimize(
        lambda unknowns: -scale * amplitude(_fault_of(unknowns))[2],
        first,
        method="Nelder-Mead",
        options={"maxfev": EVALUATIONS, "initial_simplex": simplex, **EXACT},
    )
    pattern, slip, _ = amplitude(_fault_of(best.x))
    return slip * pattern[MARGIN : MARGIN + image.shape[0], MARGIN : MARGIN + image.shape[1]]


def _fault_of(unknowns: NDArray[np.float64]) -> Break:
    y, x, strike, length, depth = (float(value) for value in unknowns)
    return Break(y, x, strike, min(math.exp(length), LONGEST_PX), min(math.exp(depth), DEEPEST_PX))
