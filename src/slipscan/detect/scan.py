"""Scan bands for transients: the strongest cluster first, estimated beside rate and season from then on, and again."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Final, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from slipscan.detect import clusters
from slipscan.detect.bands import Band
from slipscan.detect.clusters import BandLobes, Cluster
from slipscan.detect.histories import near_histories
from slipscan.detect.lobes import Above, lobes_of
from slipscan.detect.nulls import BLOCKS, KINDS, SIMULATED, null_order, with_slow_shifted
from slipscan.detect.places import Group, at_places, groups_of
from slipscan.detect.pursuit import MAX_TRANSIENTS, Near, pursued
from slipscan.detect.ramp import Epochs, Ramp, candidates
from slipscan.detect.removal import as_noise, without_ramps
from slipscan.detect.statistic import Filters, filters_of, statistics
from slipscan.detect.timing import Course, Timing
from slipscan.detect.transient import MERGE_GAP_D, Transient
from slipscan.detect.walks import walk_of
from slipscan.fit.model import MIN_EPOCHS
from slipscan.fit.robust import temporal_std
from slipscan.fit.temporal import TemporalCovariance
from slipscan.settings import DetectSettings

Float = NDArray[np.float64]

CHUNK: Final = 1 << 23
"""Statistics that are in memory at once."""
LEAST_SCALE: Final = 1e-6
"""Of the noise of a series over that of its band."""


@dataclass(frozen=True)
class Scanner:
    """Bands, and what is looked for in them.

    Attributes
    ----------
    bands, epochs
        of one track
    shape, pixel_km
        of the coarse grid
    settings
        of detection
    """

    bands: Sequence[Band]
    epochs: Epochs
    shape: tuple[int, int]
    pixel_km: float
    settings: DetectSettings
    tried: list[Ramp] = field(init=False)
    columns: Tensor = field(init=False)
    origin: ClassVar[str] = "scan"

    def __post_init__(self) -> None:
        tried = candidates(self.epochs, self.settings.durations_d, self.settings.edge_epochs)
        object.__setattr__(self, "tried", tried)
        object.__setattr__(self, "columns", self.epochs.columns(tried))

    def near(self, bands: Sequence[Band], chosen: Sequence[int] | None = None) -> Self:
        """The same for other bands, and some of the candidates (numbers; None: all)."""
        out = copy.copy(self)  # the candidates are not made anew
        object.__setattr__(out, "bands", bands)
        if chosen is not None:
            object.__setattr__(out, "tried", [self.tried[number] for number in chosen])
            object.__setattr__(out, "columns", self.columns[:, list(chosen)])
        return out

    def find(self, floor: float, at_most: int = MAX_TRANSIENTS) -> list[Transient]:
        """Every transient whose statistic reaches `floor`, or the `at_most` strongest (see `pursuit.pursued`)."""
        return pursued([(self, floor)], at_most)

    def statistic_at(self, cluster: Cluster, taken: Sequence[Near]) -> float:
        """The statistic on the places of a cluster, at about its time, beside ramps that are out of the bands."""
        band = self.bands[cluster.band]
        values = self.about(cluster, cluster.places, taken)
        return float((values.square().sum(1).max() * band.place_km2 / band.cell_km2).sqrt())

    def about(self, cluster: Cluster, places: NDArray[np.integer], taken: Sequence[Near]) -> Tensor:
        """The statistic (candidate, place) of ramps at about the time of a cluster, at some places of its band."""
        band, middle = self.bands[cluster.band], self.ramp_of(cluster).middle_d
        near = [i for i, ramp in enumerate(self.tried) if abs(ramp.middle_d - middle) <= MERGE_GAP_D]
        groups, columns = groups_of(taken, band), self.columns[:, near]
        filters = [filters_of(columns, self.epochs, beside, band.weight, red=band.red) for _, beside in groups]
        return at_places(band, groups, filters, list(range(len(near))), places)

    def ramp_of(self, cluster: Cluster) -> Ramp:
        """The candidate that a cluster was found with."""
        return self.tried[cluster.candidate]

    def beside(self, taken: Sequence[Near]) -> Self:
        """The same less ramps near their pixels."""
        return self if not taken else self.near([without_ramps(band, self.epochs, taken)[0] for band in self.bands])

    def strongest(
        self,
        taken: Sequence[Near] = (),
        order: NDArray[np.intp] | None = None,
        known: Sequence[Filters] | None = None,
    ) -> Cluster | None:
        """The strongest cluster of any candidate in any band, beside ramps near it that were found before.

        Parameters
        ----------
        taken
            ramps, and the pixels (y, x) near which they are estimated along
        order
            of the epochs of a null stack (see `filters_of`)
        known
            filters of every band, where they are known and nothing is taken
        """
        return clusters.strongest(self._lobed(taken, order, known))

    def _lobed(
        self,
        taken: Sequence[Near],
        order: NDArray[np.intp] | None,
        known: Sequence[Filters] | None,
    ) -> list[BandLobes]:
        """The lobes of every band (see `strongest`)."""
        out = []
        for number, band in enumerate(self.bands):
            groups = groups_of(taken, band)
            if known is not None:
                filters = [known[number]]
            else:
                filters = [
                    filters_of(self.columns, self.epochs, beside, band.weight, order, red=band.red)
                    for _, beside in groups
                ]
            least = max(1, round(self.settings.min_area_km2 / band.place_km2))
            lobes = lobes_of(self._above(band, groups, filters), band.shape, least)
            distance = self.settings.join_distance_km / band.place_km2**0.5
            out.append(
                BandLobes(number, band, lobes, self.tried, groups, filters, distance, self.settings.join_correlation)
            )
        return out

    def _above(self, band: Band, groups: list[Group], filters: list[Filters]) -> Above:
        """Every place of every candidate above the threshold."""
        parts, count = [], band.values.shape[1]
        if band.is_made:
            # A null stack, beside nothing; the series of a place is made once for all candidates.
            for some in torch.split(torch.arange(count), max(1, CHUNK // len(self.tried))):
                parts.append(self._reached(statistics(band, filters[0], some), 0, some))
            groups = []
        for (places, _), own in zip(groups, filters[: len(groups)], strict=True):
            others: Tensor | None = None
            if places is not None and 2 * len(places) > count:
                # Most of them: all without a copy, but for the others, costs less.
                others = torch.ones(count, dtype=torch.bool).index_fill_(0, places, False)
                places = None
            step = max(1, CHUNK // max(count if places is None else len(places), 1))
            for first in range(0, len(self.tried), step):
                statistic = statistics(band, own.some(slice(first, first + step)), places)
                if others is not None:
                    statistic[:, others] = 0.0
                parts.append(self._reached(statistic, first, places))
        merged = (torch.cat([part[i] for part in parts]).numpy() for i in range(3))
        return Above(*merged)

    def _reached(self, statistic: Tensor, first: int, places: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Candidate, place and value where a statistic (candidate from `first` on, place) reaches the threshold."""
        candidate, place = torch.nonzero(statistic.abs() >= self.settings.pixel_threshold, as_tuple=True)
        value = statistic[candidate, place]
        return candidate + first, place if places is None else places[place], value

    def on_pixels(self, cluster: Cluster) -> NDArray[np.bool_]:
        """The footprint of a cluster on the coarse grid, (y, x)."""
        band = self.bands[cluster.band]
        mask = np.zeros(band.shape, bool)
        mask.ravel()[cluster.places] = True
        side = 2**band.level
        return mask.repeat(side, axis=0).repeat(side, axis=1)[: self.shape[0], : self.shape[1]]

    def around(self, footprint: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Pixels within the joining distance of a footprint."""
        distance = self.settings.join_distance_km / self.pixel_km
        return np.asarray(ndimage.distance_transform_edt(~footprint) <= distance)

    def fitted(self, best: Cluster, beside: Sequence[Near]) -> Ramp:
        """The ramp close to its candidate that fits the series of a cluster best, beside ramps near it."""
        first, course = self.ramp_of(best), self._course(best, beside)
        near = near_histories(self.epochs, first.middle_d)
        posterior = None if course is None else course.posterior(near, first)
        return first if posterior is None else posterior.likeliest

    def timed(self, best: Cluster, beside: Sequence[Near]) -> tuple[Ramp, Timing | None]:
        """The history of the series of a cluster, up to three years, beside ramps near it, and how well it is known."""
        first, course = self.ramp_of(best), self._course(best, beside)
        posterior = None if course is None else course.close_posterior(first.middle_d)
        return (first, None) if posterior is None else (posterior.typical, posterior.timing)

    def _course(self, best: Cluster, beside: Sequence[Near]) -> Course | None:
        """The series of a cluster, beside ramps near it; None where it has too few epochs."""
        footprint = self.on_pixels(best)
        others = [ramp for ramp, near in beside if bool((near & footprint).any())]
        band, places = self.bands[best.band], torch.from_numpy(best.places)
        pattern = torch.from_numpy(best.values).double()
        information = band.known(places).double() @ pattern.square()
        known = information > 0
        if known.sum() < MIN_EPOCHS + 5:
            return None
        safe = information.clamp(min=1e-30)
        series = torch.where(known, band.values[:, places].double() @ pattern / safe, 0.0)
        # Relative to one another the epochs' noise is that of the band; how large it is, their differences say.
        std = (band.weight.double() * safe).rsqrt()
        scale = float(temporal_std(series[:, None], known[:, None], std)[0])
        white = torch.where(known, (max(scale, LEAST_SCALE) * std).square(), math.inf)
        whitener = TemporalCovariance.relative(white, band.red).whitener(torch.from_numpy(self.epochs.days))
        return Course(self.epochs, series, whitener, self.epochs.design(others))

    @property
    def simulates(self) -> bool:
        """Whether the noise of any band is known to walk at random."""
        return any(band.red > 0 for band in self.bands)

    def null_maxima(self, kind: str, seed: int, index: int) -> list[tuple[float, bool]]:
        """Those of every tile of a null stack; it looks for nothing at edges."""
        order, null = self.null_stack(kind, seed, index)
        lobed = null._lobed((), order, None)
        return [(statistic, False) for statistic in clusters.strongest_of_tiles(lobed, self.shape, self.pixel_km)]

    def null_stack(self, kind: str, seed: int, index: int) -> tuple[NDArray[np.intp], Self]:
        """The order of the epochs of a null stack, and what is searched in that order; depends on (seed, index) alone.

        One that is simulated has a random walk, as the noise product has it, beside the epochs in another order.
        """
        order, days = null_order(kind, self.epochs.time, seed, index), self.epochs.days
        bands = self.bands
        if kind == BLOCKS:
            weights = [band.weight.double().numpy() for band in bands]
            made = [torch.from_numpy(with_slow_shifted(days, weight, order, seed, index)).float() for weight in weights]
            bands = [band.with_blocks(blocks) for band, blocks in zip(bands, made, strict=True)]
        elif kind == SIMULATED:
            generator, back = np.random.default_rng([seed, len(KINDS), index, 1]), torch.from_numpy(np.argsort(order))
            walks = [walk_of(generator, days, band.weight, band.red)[back] for band in bands]
            bands = [band.walking(walk) for band, walk in zip(bands, walks, strict=True)]
        return order, self.near(bands).shuffled(order)

    def maximum(self, order: NDArray[np.intp]) -> float:
        """The strongest statistic in an order of the epochs, 0 where there is no cluster."""
        cluster = self.strongest((), order)
        return cluster.statistic if cluster is not None else 0.0

    def shuffled(self, order: NDArray[np.intp]) -> Self:
        """For a null stack of the epochs in an order, with its own noise of the places."""
        return self.near([band.shuffled(order) for band in self.bands])

    def without(self, found: Sequence[Transient]) -> Self:
        """As noise: less transients and their remainders, estimated jointly with rate and season near them."""
        taken = [(ramp, self.around(footprint)) for transient in found for ramp, footprint in transient.fits]
        return replace(self, bands=[as_noise(band, self.epochs, taken) for band in self.bands])
