"""What a source of one size looks like to the scan: its displacement in the bands near it, in units of their noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slipscan.completeness.ground import Ground
from slipscan.completeness.sources import Node, los_change
from slipscan.detect.bands import Band, filtered
from slipscan.source.sources import Fault, Source

Box = tuple[slice, slice]

BEYOND_KM: Final = 25.0
"""Around a source that is looked at, besides its own size and three times its depth."""
NEIGHBOURHOOD_KM: Final = 5.0
MIN_COVERED: Final = 0.3
"""Share of the pixels so near that must have data, or nothing is said of a place."""
NEAR: Final = 0.3
"""Of the largest displacement in a band: the places that a search looks at hold all that is larger."""
SAMPLED: Final = 400
"""Places by which the noise of an epoch is measured with an event in it, about."""
WITHIN: Final = 0.3
"""Of it: a cluster that holds a place with more lies where the event is."""
WORTH: Final = 0.7
"""Of the largest statistic of any band: bands in which it is smaller find nothing that others do not."""


@dataclass(frozen=True)
class Part:
    """A source in one band.

    Attributes
    ----------
    number
        of the band
    box
        rows and columns of its places
    change, delay
        (place,) of the source, and of what the fit of an epoch's delay takes of it, in units of the place's noise, m
    within
        (place,) where the event is
    sampled
        numbers of places all over the band, by which the noise of its epochs is measured
    sampled_change, sampled_delay
        (sampled,) the same as change and delay there, not over the noise of the place
    """

    number: int
    box: Box
    change: Tensor
    delay: Tensor
    within: NDArray[np.bool_]
    sampled: Tensor
    sampled_change: Tensor
    sampled_delay: Tensor


@dataclass(frozen=True)
class Pattern:
    """A source in the bands that see it best.

    Attributes
    ----------
    parts
        a band each
    peak_m
        largest displacement in the line of sight, toward or away from the satellite
    """

    parts: Sequence[Part]
    peak_m: float


@dataclass(frozen=True)
class Place:
    """A place in a track: what sources of any kind and depth there have in common.

    Attributes
    ----------
    ground
        the track
    pixel
        row and column of the coarse grid
    east, north
        (y, x) of the coarse grid in the place's local frame, m
    """

    ground: Ground
    pixel: tuple[int, int]
    east: NDArray[np.float64]
    north: NDArray[np.float64]

    @property
    def los(self) -> NDArray[np.float64]:
        """Unit vector east, north, up, to the satellite."""
        return np.asarray(self.ground.los[:, self.pixel[0], self.pixel[1]], float)

    def pattern(self, node: Node, mw: float) -> Pattern | None:
        """The pattern of a source of a magnitude; None where the track has no data around it."""
        source = node.source(mw)
        rows, cols = self._window(node.depth_km, source)
        change = los_change(source, self.east[rows, cols], self.north[rows, cols], self.ground.los[:, rows, cols])
        known = self.ground.covered[rows, cols] & np.isfinite(change)
        if not known.any():
            return None
        delay = self._delay(source, rows, cols)
        fields = torch.from_numpy(np.stack([np.where(known, change, 0.0), delay * known]).astype(np.float32))
        noise, start = self.ground.noise, (rows.start, cols.start)
        found = [
            _part(number, band, fields, torch.from_numpy(known), start, noise.pixel_km)
            for number, band in enumerate(noise.bands)
        ]
        least = WORTH * max(strength for _, strength in found)
        kept = [part for part, strength in found if strength >= least and strength > 0]
        return Pattern(kept, float(np.abs(change[known]).max())) if kept else None

    def _window(self, depth_km: float, source: Source) -> Box:
        """Rows and columns of the coarse grid around a source, that begin where places of every band begin."""
        ground = self.ground
        longest = max(source.length, source.width) / 2e3 if isinstance(source, Fault) else 0.0
        reach = math.ceil((BEYOND_KM + longest + 3 * depth_km) / ground.noise.pixel_km)
        side = 2 ** max(band.level for band in ground.noise.bands)
        rows, cols = (
            slice(max(0, middle - reach) // side * side, min(count, middle + reach + 1))
            for middle, count in zip(self.pixel, ground.covered.shape, strict=True)
        )
        return rows, cols

    def _delay(self, source: Source, rows: slice, cols: slice) -> NDArray[np.float64]:
        """(y, x) offset, ramp and slope with height that the fit of an epoch's delay makes of a source."""
        ground = self.ground
        east, north = (field.ravel()[ground.sampled] for field in (self.east, self.north))
        seen = los_change(source, east, north, ground.los.reshape(3, -1)[:, ground.sampled])
        coefficients = ground.fit @ torch.from_numpy(np.nan_to_num(seen))
        return np.asarray(torch.tensordot(coefficients, ground.columns[:, rows, cols].double(), dims=1).numpy())


def place_of(ground: Ground, longitude: float, latitude: float) -> Place | None:
    """A place in a track; None where it has no data."""
    row, col = ground.pixel_of(longitude, latitude)
    if not (0 <= row < ground.covered.shape[0] and 0 <= col < ground.covered.shape[1]):
        return None
    side = math.ceil(NEIGHBOURHOOD_KM / ground.noise.pixel_km)
    near = ground.covered[max(0, row - side) : row + side + 1, max(0, col - side) : col + side + 1]
    if near.mean() < MIN_COVERED:
        return None
    return Place(ground, (row, col), *ground.metres(longitude, latitude))


def _part(
    number: int, band: Band, fields: Tensor, known: Tensor, start: tuple[int, int], pixel_km: float
) -> tuple[Part, float]:
    """A band's part of a pattern, and how strong its cluster would be there, up to what the history makes of it."""
    seen = filtered(fields, band, pixel_km, known)
    top, left = (first // 2**band.level for first in start)
    around = slice(top, top + seen.shape[1]), slice(left, left + seen.shape[2])
    sampled = _sampled(band)
    whole = seen.new_zeros(2, *band.shape)
    whole[(slice(None), *around)] = seen
    sampled_change, sampled_delay = whole.flatten(1)[:, sampled]
    seen = seen / band.std.reshape(band.shape)[around]
    size = seen[0].abs()
    largest = float(size.max())
    held = torch.nonzero(size >= NEAR * largest)
    low, high = (held.min(0).values - 1).clamp(min=0), held.max(0).values + 2
    inner = slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))
    rows, cols = (
        slice(part.start + own.start, part.start + min(own.stop, count))
        for part, own, count in zip(around, inner, size.shape, strict=True)
    )
    change, delay = (field[inner].flatten() for field in seen)
    within = (change.abs() >= WITHIN * largest).numpy()
    part = Part(number, (rows, cols), change, delay, within, sampled, sampled_change, sampled_delay)
    return part, float((change[part.within].square().sum() * band.place_km2 / band.cell_km2 * band.weight.sum()).sqrt())


def _sampled(band: Band) -> Tensor:
    known = torch.nonzero(torch.isfinite(band.std))[:, 0]
    return known[:: max(1, len(known) // SAMPLED)]
