"""Which other transients are estimated beside one: those near it, the stronger ones as when it was found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from slipscan.detect.ramp import Ramp
from slipscan.detect.statistic import MIN_SHAPE
from slipscan.detect.track import Track
from slipscan.fit.ramps import projected
from slipscan.settings import DetectSettings

LEFT_BY_WEAKER: Final = 0.2
LEFT_BY_STRONGER: Final = 0.1
"""Share of a history's information that weaker and stronger ones must leave it, or they are not estimated beside it.
Beside a weaker one of nearly the same history the stronger would lose its map to noise; the weaker is the rest."""


def beside_each(
    track: Track, settings: DetectSettings, found: Sequence[tuple[NDArray[np.bool_], Ramp]]
) -> list[list[Ramp]]:
    """Of every transient the ramps of others that are estimated beside it, rate and season.

    Without them its map would hold what the others left in the fit of rate and season.

    Parameters
    ----------
    found
        footprints (y, x) on the coarse grid and ramps, strongest first; two are near where the footprints lie within
        the joining distance of the settings
    """
    return [_beside(track, settings, found, number) for number in range(len(found))]


def _beside(
    track: Track, settings: DetectSettings, found: Sequence[tuple[NDArray[np.bool_], Ramp]], number: int
) -> list[Ramp]:
    footprint, own = found[number]
    near_km = distance_transform_edt(~footprint) * track.coarse.pixel_m / 1e3
    weight = track.cleaned.weight.double()

    def information(others: Sequence[Ramp]) -> float:
        left = projected(track.epochs.columns([own]), track.epochs.design(others), weight)[:, 0]
        return float((weight * left.square()).sum())

    # Twice what is needed for an estimate where no epoch is missing.
    whole, faintest = information([]), 2 * MIN_SHAPE * float(weight.sum())
    out: list[Ramp] = []
    for other, (there, ramp) in enumerate(found):
        near = other != number and bool((near_km[there] <= settings.join_distance_km).any())
        least = LEFT_BY_STRONGER if other < number else LEFT_BY_WEAKER
        if near and information([*out, ramp]) >= max(least * whole, faintest):
            out.append(ramp)
    return out
