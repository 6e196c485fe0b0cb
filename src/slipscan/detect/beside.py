"""What other transients may leave in the map of one: how large they are near it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from slipscan.detect.maps import Other, coarse_amplitude
from slipscan.detect.ramp import Ramp
from slipscan.detect.track import Track
from slipscan.fit.masks import any_valid

NEAR_PX: Final = 3.0
"""And half the diameter of a footprint: so far from it displacement matters for a map."""
ROUNDS: Final = 2


def beside_each(track: Track, found: Sequence[tuple[NDArray[np.bool_], Ramp]]) -> list[list[Other]]:
    """Of every transient the ramps of all others, with the power that they have near it.

    The power is the mean square of the other's displacement, less that of its noise. The maps that say it hold what
    the others leave in them; those of the second round hold less.

    Parameters
    ----------
    found
        footprints (y, x) on the coarse grid and ramps
    """
    covered = any_valid(track.cleaned.valid).numpy().reshape(track.coarse.shape)
    near = [_around(footprint) & covered for footprint, _ in found]
    looked = np.any(near, axis=0) if found else covered
    power = np.zeros((len(found), len(found)))
    for _ in range(ROUNDS):
        squares = []
        for number, (_, ramp) in enumerate(found):
            amplitude, std = coarse_amplitude(track, ramp, looked, _others(found, power[number], number))
            squares.append(amplitude**2 - std**2)
        each = [[max(float(one[part[looked]].mean()), 0.0) if part.any() else 0.0 for one in squares] for part in near]
        power = np.array(each).reshape(power.shape)
    return [_others(found, power[number], number) for number in range(len(found))]


def _others(found: Sequence[tuple[NDArray[np.bool_], Ramp]], power: NDArray[np.float64], number: int) -> list[Other]:
    return [Other(ramp, float(own)) for i, ((_, ramp), own) in enumerate(zip(found, power, strict=True)) if i != number]


def _around(footprint: NDArray[np.bool_]) -> NDArray[np.bool_]:
    reach = NEAR_PX + np.sqrt(footprint.sum() / np.pi)
    return np.asarray(distance_transform_edt(~footprint) <= reach)
