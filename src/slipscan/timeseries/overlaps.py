"""How connected components of interferograms overlap, counted in a pass over them, or over what is new of them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from slipscan.settings import TimeseriesSettings
from slipscan.timeseries.components import Overlaps, count_overlaps
from slipscan.timeseries.grid import tiles
from slipscan.timeseries.network import Index
from slipscan.timeseries.reading import labels, masked, pair_groups, tile_side, window
from slipscan.workers import in_order

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class KnownOverlaps:
    """What was counted of the first interferograms.

    Attributes
    ----------
    pairs
        their number
    pixels
        (interferogram, label, pixels) of their components
    cycles
        the three interferograms of a triangle, the labels in them, and its misclosures in cycles with their pixels
    """

    pairs: int
    pixels: Sequence[Sequence[int]]
    cycles: Sequence[tuple[Sequence[int], Sequence[int], Sequence[Sequence[int]]]]

    @classmethod
    def of(cls, overlaps: Overlaps, triangles: Index, pairs: int) -> KnownOverlaps:
        """What is counted of the first `pairs` interferograms alone."""
        inside = np.asarray((triangles < pairs).all(axis=1))
        return cls(
            pairs,
            [[pair, label, count] for (pair, label), count in sorted(overlaps.pixels.items()) if pair < pairs],
            [
                (triangles[triangle].tolist(), list(own), [[int(n), int(count)] for n, count in counts.items()])
                for (triangle, *own), counts in sorted(overlaps.cycles.items())
                if inside[triangle]
            ],
        )

    def overlaps(self, triangles: Index) -> Overlaps:
        """The same for all triangles (triangle, 3) of a network that begins with these interferograms."""
        position = {tuple(pairs): index for index, pairs in enumerate(triangles.tolist())}
        out = Overlaps(Counter({(pair, label): count for pair, label, count in self.pixels}))
        for pairs, (one, two, three), counts in self.cycles:
            own = out.cycles[position[tuple(pairs)], one, two, three]
            for cycles, pixels in counts:
                own[cycles] += pixels
        return out

    def described(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {"pairs": self.pairs, "pixels": self.pixels, "cycles": self.cycles}


def overlaps_of(
    dataset: xr.Dataset,
    settings: TimeseriesSettings,
    offset: NDArray[np.float64],
    main: NDArray[np.intp],
    closed: Index,
    half_wavelength_m: float,
    threads: int,
    known: KnownOverlaps | None = None,
) -> Overlaps:
    """Count the overlaps of connected components in one pass over the interferograms, or over what is new of them.

    Where nothing is referenced the largest component of each interferogram is made its main one, in place.
    """
    referenced = bool((main > 0).all())
    if not referenced:
        log.warning("nothing is referenced, so that components cannot be joined: the largest of each pair is kept")
        known = None
    used = np.arange(len(closed) if referenced else 0)
    start, overlaps = 0, Overlaps()
    if known is not None:
        used = np.flatnonzero((closed >= known.pairs).any(axis=1))
        start, overlaps = int(min(closed[used].min(initial=known.pairs), known.pairs)), known.overlaps(closed)
    part = dataset.isel(pair=slice(start, None))
    count = partial(
        _overlaps, part, settings.min_coherence, offset[start:], main[start:], closed[used] - start, half_wavelength_m
    )
    shape = (dataset.sizes["y"], dataset.sizes["x"])
    for found in in_order(count, tiles(shape, tile_side(len(offset) - start)), threads, "overlaps of components"):
        first = 0 if known is None else known.pairs
        pixels = {(pair + start, label): n for (pair, label), n in found.pixels.items() if pair + start >= first}
        new = Overlaps(Counter(pixels))
        for (triangle, one, two, three), counts in found.cycles.items():
            new.cycles[int(used[triangle]), one, two, three] = counts
        overlaps.merge(new)
    if not referenced:
        for pair in range(len(main)):
            sizes = {label: n for (own, label), n in overlaps.pixels.items() if own == pair and label > 0}
            main[pair] = max(sizes, key=lambda label: (sizes[label], -label), default=-1)
    return overlaps


def _overlaps(
    dataset: xr.Dataset,
    min_coherence: float,
    offset: NDArray[np.float64],
    main: NDArray[np.intp],
    used: Index,
    half_wavelength_m: float,
    tile: tuple[slice, slice],
) -> Overlaps:
    """How components of interferograms meet in one tile."""
    values, label = [], []
    for pairs in pair_groups(len(offset)):
        part = window(dataset, pairs, *tile)
        layers = masked(part, min_coherence)
        values.append(layers.reshape(len(layers), -1) - offset[pairs, None].astype(np.float32))
        label.append(labels(part).reshape(len(layers), -1))
    return count_overlaps(np.concatenate(values), np.concatenate(label), main, used, half_wavelength_m)
