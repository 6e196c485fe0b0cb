"""The detector that asks the denoiser: every candidate of its field is tested in the raw data, with its own map.

A map is tested in data that it was not made from: that of the even epochs in the odd ones, and the other way round.
What a network draws into noise would else agree with that very noise. Null stacks go through the denoiser too. On a
coarse grid (see `detect.track`) the denoiser is asked again, so that data and nulls are treated alike.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from slipscan.denoise.run import denoise
from slipscan.detect.bands import filtered
from slipscan.detect.methods.scan import Scan
from slipscan.detect.ramp import Ramp
from slipscan.detect.scan import MAX_TRANSIENTS, Scanner
from slipscan.detect.statistic import filters_of, statistics
from slipscan.detect.track import Track
from slipscan.detect.transient import Transient
from slipscan.errors import SlipscanError
from slipscan.field import Denoiser, Observation
from slipscan.settings import DetectSettings

Float32 = NDArray[np.float32]

MAX_CANDIDATES: Final = 12
REGION: Final = 0.03
"""Of the energy of the strongest pixel: those near it with more belong to the candidate."""
FAINTEST: Final = 1e-3
"""Of the energy of the first candidate's pixel: fainter ones are the rest of others."""
EDGE_PX: Final = 4.0
"""Standard deviation of the edge of a candidate's map, pixels of the coarse grid."""
FOOTPRINT: Final = 0.3
"""Of a map's own peak: where the event is."""


@dataclass(frozen=True)
class FieldEvent:
    """A map (y, x) m and a ramp that a field is made of, and where (y, x), 0 to 1."""

    map: Float32
    taper: Float32
    ramp: Ramp


class FieldCandidates:
    """See the module."""

    needs_field = True

    def search(self, track: Track, settings: DetectSettings) -> FieldSearch:
        """Take the field of the product, or ask the denoiser on the coarse grid."""
        method = track.denoiser
        if method is None:
            raise SlipscanError("the detector 'field' reads what a denoiser says: give the denoised product too")
        scanner = Scan().search(track, settings)
        if track.factor == 1 and track.moved is not None:
            moved = np.nan_to_num(np.asarray(track.moved[:, :, :], np.float32))
        else:
            moved = transient_of(track.coarse, method)
        residual = track.cleaned.residual().reshape(-1, *track.coarse.shape).numpy()
        noise = np.where(track.cleaned.valid.numpy().reshape(residual.shape), residual, np.nan)
        return FieldSearch(scanner, moved, track.coarse, dataclasses.replace(track.coarse, displacement=noise), method)


def transient_of(seen: Observation, method: Denoiser) -> Float32:
    """What a denoiser says happened, (time, y, x) m."""
    return np.nan_to_num(denoise(seen, method).transient)


@dataclass(frozen=True)
class FieldSearch:
    """A track's field, ready to be searched.

    Attributes
    ----------
    scanner
        bands of the raw data, in which candidates are tested
    moved
        (time, y, x) what the denoiser says happened, m
    noise
        what null stacks are made of
    method
        the denoiser
    """

    scanner: Scanner
    moved: Float32
    seen: Observation
    noise: Observation
    method: Denoiser

    def find(self, floor: float, at_most: int = MAX_TRANSIENTS) -> list[Transient]:
        """Candidates of the field whose statistic in the raw data reaches `floor`, strongest first."""
        found = self._tested(self.moved, self.seen, None)
        strong = sorted((one for one in found if one.statistic >= floor), key=lambda one: -one.statistic)
        return strong[:at_most]

    def without(self, found: Sequence[Transient]) -> FieldSearch:
        """The same as noise: less transients that were found, estimated near their footprints."""
        scanner = self.scanner.without(found)
        values = self.scanner.epochs.design()
        noise = self.noise.values.copy()
        for transient in (part for whole in found for part in whole.parts):
            around = self.scanner.around(transient.footprint)
            filters = filters_of(self.scanner.epochs.columns([transient.ramp]), self.scanner.epochs, (), _equal(values))
            part = np.nan_to_num(noise[:, around])
            amplitude = (filters.matched[0].numpy() @ part) / float(filters.energy.sum())
            column = self.scanner.epochs.columns([transient.ramp]).numpy()
            design = values.numpy()
            rest = column - design @ np.linalg.lstsq(design, column, rcond=None)[0]
            noise[:, around] -= (rest * amplitude).astype(np.float32)
        count = np.isfinite(noise).sum(axis=0)
        freedom = count - values.shape[1]
        noise *= np.where(freedom > 0, np.sqrt(count / np.maximum(freedom, 1)), 1.0).astype(np.float32)
        return dataclasses.replace(self, scanner=scanner, noise=dataclasses.replace(self.noise, displacement=noise))

    def null_maximum(self, order: NDArray[np.intp]) -> float:
        """The strongest candidate of the denoiser in a null stack."""
        shuffled = dataclasses.replace(self.noise, displacement=self.noise.values[order])
        null = dataclasses.replace(self, scanner=self.scanner.shuffled(order))
        found = null._tested(transient_of(shuffled, self.method), shuffled, order)
        return max((one.statistic for one in found), default=0.0)

    def _tested(self, moved: Float32, seen: Observation, order: NDArray[np.intp] | None) -> list[Transient]:
        """The candidates of a field, each with its signal-to-noise ratio in data that its maps were not made from."""
        events = events_of(moved, self.scanner)
        if not events:
            return []
        numbers = np.arange(len(seen.time))
        halves = [numbers % 2 == 0, numbers % 2 == 1]
        fields = [transient_of(seen.at(half), self.method) for half in halves]
        out = []
        for event in events:
            column = self.scanner.epochs.columns([event.ramp])[:, 0].float()
            parts = []
            for half, other, field in zip(halves, halves[::-1], fields, strict=True):
                own = column[torch.from_numpy(half)]
                own = own - own.mean()
                amplitude = torch.tensordot(own, torch.from_numpy(field), 1) / own.square().sum().clamp(min=1e-6)
                parts.append(self._signal_to_noise(amplitude * torch.from_numpy(event.taper), event.ramp, other, order))
            size = np.abs(event.map)
            footprint = size >= FOOTPRINT * size.max()
            out.append(Transient(event.ramp, max(sum(parts), 0.0) / math.sqrt(2), footprint))
        return out

    def _signal_to_noise(
        self, pattern: Tensor, ramp: Ramp, epochs: NDArray[np.bool_], order: NDArray[np.intp] | None
    ) -> float:
        """Of the raw data of some epochs projected on a map (y, x) and a ramp, whitened by bands."""
        scanner = self.scanner
        columns = scanner.epochs.columns([ramp])
        common = energy = 0.0
        for band in scanner.bands:
            filters = filters_of(columns, scanner.epochs, (), band.weight, order, epochs)
            root = float(filters.energy.sum().clamp(min=0).sqrt())
            expected = filtered(pattern[None], band, scanner.pixel_km)[0].flatten() * root
            expected = torch.where(torch.isfinite(band.std), expected / band.std, 0.0)
            if band.noise_ratio is not None:
                expected *= band.noise_ratio
            cells = band.place_km2 / band.cell_km2
            common += cells * float(expected @ statistics(band, filters)[0])
            energy += cells * float(expected @ expected)
        return common / math.sqrt(energy) if energy > 0 else 0.0


def events_of(moved: Float32, scanner: Scanner) -> list[FieldEvent]:
    """What a field is made of: the strongest place and the ramp that fits around it, taken out, and again."""
    columns = scanner.columns.float()
    centred = columns - columns.mean(0)
    power = centred.square().sum(0)
    left = torch.from_numpy(moved - moved.mean(axis=0)).clone()
    rows, cols = scanner.shape
    reach = scanner.settings.join_distance_km / scanner.pixel_km
    out: list[FieldEvent] = []
    first = 0.0
    for _ in range(MAX_CANDIDATES):
        energy = left.square().sum(0)
        peak = float(energy.max())
        if peak <= FAINTEST * max(first, 1e-12):
            break
        first = first or peak
        at = int(energy.argmax())
        region = _region(energy, at, reach)
        series = left[:, region]
        explained = ((centred.T @ series).square().sum(1)) / power
        best = int(explained.argmax())
        # Without a hard edge, which fine scales would take for signal.
        taper = torch.from_numpy(ndimage.gaussian_filter(region.numpy().astype(np.float32), EDGE_PX, mode="nearest"))
        total = taper * (centred[:, best] @ left.flatten(1) / power[best]).reshape(rows, cols)
        left -= centred[:, best, None, None] * total
        out.append(FieldEvent(total.numpy(), taper.numpy(), scanner.tried[best]))
    return out


def _region(energy: Tensor, at: int, reach: float) -> Tensor:
    """Pixels (y, x) within reach of one, or connected to it, whose energy is a fair share of its own."""
    strong = (energy > REGION * energy.flatten()[at]).numpy()
    label, _ = ndimage.label(strong, structure=np.ones((3, 3), int))
    row, column = divmod(at, energy.shape[1])
    y, x = np.indices(strong.shape)
    near = np.hypot(y - row, x - column) <= reach
    return torch.from_numpy(strong & (near | (label == label[row, column])))


def _equal(design: Tensor) -> Tensor:
    return torch.ones(len(design), dtype=torch.float64)
