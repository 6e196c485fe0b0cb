"""A search along mapped faults: sources of a bank, steps and ramps in time; the strongest first, beside what was found.

A source has one statistic, that of its own pattern: what the scan spreads over many places, of which none may stand
out, is one number here. Few sources are looked at, so that noise reaches less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slipscan.coarse import block_means
from slipscan.detect.clusters import Cluster, tile_of, tiles_of
from slipscan.detect.faults.band import FaultBand, fault_band
from slipscan.detect.faults.bank import sources_along
from slipscan.detect.method import Search
from slipscan.detect.places import groups_of
from slipscan.detect.pursuit import Near
from slipscan.detect.scan import CHUNK, Scanner
from slipscan.detect.statistic import Filters, filters_of, statistics
from slipscan.detect.track import Track
from slipscan.detect.transient import FAULT
from slipscan.settings import DetectSettings


@dataclass(frozen=True)
class FaultScanner(Scanner):
    """A scanner whose only band is that of sources along faults."""

    origin: ClassVar[str] = FAULT

    @property
    def band(self) -> FaultBand:
        """The only band."""
        band = self.bands[0]
        assert isinstance(band, FaultBand)
        return band

    def strongest(
        self,
        taken: Sequence[Near] = (),
        order: NDArray[np.intp] | None = None,
        known: Sequence[Filters] | None = None,
    ) -> Cluster | None:
        """The source and the history of the largest statistic, beside ramps near it that were found before."""
        values, candidates = self._best(taken, order)
        source = int(values.abs().argmax())
        value = values[source : source + 1].double().numpy()
        return Cluster(0, int(candidates[source]), np.array([source]), value, float(abs(value[0])))

    def null_maxima(self, kind: str, seed: int, index: int) -> list[tuple[float, bool]]:
        """The strongest of every tile of a null stack, 0 where there is none; it looks for nothing at edges.

        What the strongest source of a tile shares ground with is part of it, in whatever tile.
        """
        order, null = self.null_stack(kind, seed, index)
        values = null._best((), order)[0].abs()
        tiles = tiles_of(self.shape, self.pixel_km)
        tile = torch.from_numpy(tile_of(self.band.middles, tiles, self.shape))
        out = torch.zeros(int(tiles.prod()))
        while values.any():
            source = int(values.argmax())
            out[tile[source]] = torch.maximum(out[tile[source]], values[source])
            values[torch.from_numpy(self.band.touched(self._on_sources(source))) | (tile == tile[source])] = 0.0
        return [(float(value), False) for value in out]

    def _best(self, taken: Sequence[Near], order: NDArray[np.intp] | None) -> tuple[Tensor, Tensor]:
        """Of every source (source,) the statistic that is largest in size, and the number of its candidate."""
        band = self.band
        values, number = torch.zeros(len(band.std)), torch.zeros(len(band.std), dtype=torch.long)
        for places, beside in groups_of(taken, band):
            filters = filters_of(self.columns, self.epochs, beside, band.weight, order, red=band.red)
            every = torch.arange(len(band.std)) if places is None else places
            for some in torch.split(every, max(1, CHUNK // len(self.tried))):
                reached = statistics(band, filters, some)
                number[some] = reached.abs().argmax(0)
                values[some] = reached[number[some], torch.arange(len(some))]
        return values, number

    def statistic_at(self, cluster: Cluster, taken: Sequence[Near]) -> float:
        """The largest of any source that shares ground with that of a cluster, at about its time."""
        sources = np.flatnonzero(self.band.touched(self.on_pixels(cluster)))
        return float(self.about(cluster, sources, taken).abs().max())

    def on_pixels(self, cluster: Cluster) -> NDArray[np.bool_]:
        """The footprint of the source of a cluster on the coarse grid, (y, x)."""
        return self._on_sources(int(cluster.places[0]))

    def _on_sources(self, source: int) -> NDArray[np.bool_]:
        return self.band.footprints[source].on(self.shape)


def fault_search(track: Track, settings: DetectSettings, beside: Search | None = None) -> FaultScanner | None:
    """The search along the mapped faults of a track; None: it has none where there are data, or no line of sight.

    `beside` is the detector's own: its bands, where it has any, are as large as the series and are not made again.
    """
    los = line_of_sight(track)
    if not track.traces or los is None:
        return None
    bands = beside.bands if isinstance(beside, Scanner) else track.bands()
    band = fault_band(bands, sources_along(track.traces), los, track.coarse.pixel_m)
    if band is None:
        return None
    return FaultScanner([band], track.epochs, track.coarse.shape, track.coarse.pixel_m / 1e3, settings)


def line_of_sight(track: Track) -> Tensor | None:
    """(3, y, x) on the coarse grid; None: not known."""
    los = track.seen.los
    if los is None:
        return None
    if los.ndim == 1:
        return torch.from_numpy(los)[:, None, None].expand(3, *track.coarse.shape)
    means = torch.from_numpy(block_means(los, track.factor))
    middle = means.flatten(1).nanmean(1)[:, None, None]
    return torch.where(torch.isfinite(means), means, middle)
