"""Which other transients are estimated beside one: those that leave more in its map than they add to its noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from slipscan.detect.maps import coarse_amplitude
from slipscan.detect.ramp import Ramp
from slipscan.detect.statistic import MIN_SHAPE, filters_of
from slipscan.detect.track import Track
from slipscan.settings import DetectSettings

Float = NDArray[np.float64]

FAINTEST: Final = 2 * MIN_SHAPE
"""Share of the series' information that must be left: twice what is needed where no epoch is missing."""
LEFT_BY_WEAKER: Final = 0.2
"""Share of its own information that weaker ones leave a transient. One of nearly the same history that was found
beside it is what one ramp does not explain of it, and no reason to lose its map to noise."""


@dataclass(frozen=True)
class _Own:
    """A transient beside the stronger ones around it.

    Attributes
    ----------
    ramp
        its history
    around
        (y, x) bool, near its footprint
    power
        (y, x) square of its displacement, less that of the noise, m2; 0 elsewhere
    noise
        mean variance of its map, times the information that it was estimated with
    """

    ramp: Ramp
    around: NDArray[np.bool_]
    power: Float
    noise: float


def beside_each(
    track: Track, settings: DetectSettings, found: Sequence[tuple[NDArray[np.bool_], Ramp]]
) -> list[list[Ramp]]:
    """Of every transient the ramps of others that are estimated beside it, rate and season.

    Without them its map would hold what they leave in the fit of rate and season; with all of them it would be lost in
    noise where histories are alike. So one is taken along if the mean square of what it would leave in the map, near
    the footprint, is larger than the variance that it adds.

    Parameters
    ----------
    found
        footprints (y, x) on the coarse grid and ramps, in the order in which they were found
    """
    alone: list[_Own] = []
    for footprint, ramp in found:
        around = distance_transform_edt(~footprint) * track.coarse.pixel_m / 1e3 <= settings.join_distance_km
        stronger = [other.ramp for other in alone if (other.around & around).any()]
        alone.append(_own(track, ramp, around, stronger))
    return [_beside(track, own, alone[:number], alone[number + 1 :]) for number, own in enumerate(alone)]


def _own(track: Track, ramp: Ramp, around: NDArray[np.bool_], stronger: Sequence[Ramp]) -> _Own:
    kept: list[Ramp] = []
    for other in stronger:
        if _information(track, ramp, [*kept, other]) > 0:
            kept.append(other)
    amplitude, std = coarse_amplitude(track, ramp, around, kept)
    power = np.zeros(around.shape)
    power[around] = np.maximum(amplitude**2 - std**2, 0.0)
    variance = float(np.mean(std[std > 0] ** 2)) if (std > 0).any() else 0.0
    return _Own(ramp, around, power, variance * _information(track, ramp, kept))


def _beside(track: Track, own: _Own, stronger: Sequence[_Own], weaker: Sequence[_Own]) -> list[Ramp]:
    out: list[Ramp] = []
    least = 0.0
    for number, other in enumerate([*stronger, *weaker]):
        if number == len(stronger):
            least = LEFT_BY_WEAKER * _information(track, own.ramp, out)
        information, less = (_information(track, own.ramp, ramps) for ramps in (out, [*out, other.ramp]))
        if less <= 0 or less < least:
            continue
        left = _leak(track, own.ramp, out, other.ramp) ** 2 * float(other.power[own.around].mean())
        if left > own.noise * (1 / less - 1 / information):
            out.append(other.ramp)
    return out


def _information(track: Track, ramp: Ramp, beside: Sequence[Ramp]) -> float:
    """That a complete series has of a ramp beside others, 1/m2; 0 where it is too little for an estimate."""
    weight = track.cleaned.weight
    energy = float(filters_of(track.epochs.columns([ramp]), track.epochs, beside, weight).energy.sum())
    return energy if energy > FAINTEST * float(weight.sum()) else 0.0


def _leak(track: Track, ramp: Ramp, beside: Sequence[Ramp], other: Ramp) -> float:
    """What the estimate of a ramp's amplitude holds of another's."""
    filters = filters_of(track.epochs.columns([ramp]), track.epochs, beside, track.cleaned.weight)
    column: Tensor = track.epochs.columns([other])[:, 0].float()
    return float(filters.matched[0] @ column / filters.energy.sum())
