"""The detector that tests every candidate of the field in the raw data.

Beside them stands what a scan of the data proposes that needs no network. A test is cross-fitted and white in space
and time (`detect.crossfit`), beside offset, rate, season and the events that were found before. Null stacks go through
denoiser and detector as the data do; where the smallest scale allows a coarser grid than the stack's, the denoiser is
asked again on that, for the data as for the nulls.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from slipscan.denoise.run import denoise
from slipscan.detect.histories import Histories, spaced, tried_histories
from slipscan.detect.nulls import BLOCKS, SIMULATED, null_order, with_slow_shifted
from slipscan.detect.proposals import Judged, Proposal, footprint_of, judged, timed
from slipscan.detect.pursuit import MAX_TRANSIENTS
from slipscan.detect.ramp import Epochs, Ramp
from slipscan.detect.seeds import SCANNED_D, seeds
from slipscan.detect.simulated import simulated, simulator_of
from slipscan.detect.temporal import TemporalModel, temporal_model_of
from slipscan.detect.track import Track
from slipscan.detect.transient import Transient, joined_parts
from slipscan.detect.window import Window, window_of
from slipscan.errors import SlipscanError
from slipscan.field import Candidate, Denoiser
from slipscan.fit.background import fitted
from slipscan.noise.simulate import NoiseModel
from slipscan.settings import DetectSettings

Float32 = NDArray[np.float32]

SIDE: Final = 256
STEP: Final = 192
"""Pixels of the coarse grid: what is looked at together, and from one window to the next."""
SEEDS: Final = 6
"""That the scan of a window proposes at a time."""
FAINTEST: Final = 4.0
"""Statistic below which nothing is looked for but what is strongest."""


class FieldCandidates:
    """See the module."""

    needs_field = True

    def search(self, track: Track, settings: DetectSettings) -> FieldSearch:
        """Take the candidates of the product, or ask the denoiser on the coarse grid."""
        cleaned, coarse = track.cleaned, track.coarse
        temporal = temporal_model_of(track.epochs.days, cleaned.design, cleaned.valid, cleaned.delay.std, coarse.noise)
        residual = cleaned.residual().reshape(-1, *coarse.shape)
        candidates: tuple[Candidate, ...] = ()
        if track.factor == 1 and track.candidates is not None:
            candidates = track.candidates
        elif track.denoiser is not None:
            candidates = denoise(coarse, track.denoiser).candidates
        return FieldSearch(track, settings, temporal, residual, candidates)


@dataclass(frozen=True)
class FieldSearch:
    """A track, ready to be searched.

    Attributes
    ----------
    track, settings
        what is searched, and how
    temporal
        of the noise in time
    residual
        (time, y, x) of the coarse grid, less delay, rate and season, m; 0 where there is no data
    candidates
        of the field, on the coarse grid
    """

    track: Track
    settings: DetectSettings
    temporal: TemporalModel
    residual: Tensor
    candidates: tuple[Candidate, ...]
    tried: Histories = field(init=False)
    scanned: list[Ramp] = field(init=False)

    def __post_init__(self) -> None:
        epochs = self.track.epochs
        object.__setattr__(self, "tried", tried_histories(epochs))
        between = (epochs.days[1:] + epochs.days[:-1]) / 2
        scanned = [Ramp(float(day), own) for own in SCANNED_D for day in spaced(between, own / 4)]
        object.__setattr__(self, "scanned", scanned)

    @property
    def epochs(self) -> Epochs:
        """Dates."""
        return self.track.epochs

    def find(self, floor: float, at_most: int = MAX_TRANSIENTS) -> list[Transient]:
        """Transients whose statistic reaches `floor`, strongest first."""
        found: list[Transient] = []
        for place, own in self._windows():
            found += self._pursued(place, own, max(floor, FAINTEST if at_most > 1 else 0.0), at_most)
        whole = joined_parts(found, self.around)
        return sorted((one for one in whole if one.statistic >= floor), key=lambda one: -one.statistic)[:at_most]

    def around(self, footprint: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Pixels near a footprint: within its own size, and the joining distance."""
        size = np.sqrt(footprint.sum())
        distance = min(self.settings.join_distance_km / (self.track.coarse.pixel_m / 1e3), max(size, 2.0))
        return np.asarray(ndimage.distance_transform_edt(~footprint) <= distance)

    def without(self, found: Sequence[Transient]) -> FieldSearch:
        """The same as noise: less transients that were found, estimated with the background near their footprints."""
        values = self.residual.flatten(1).clone()
        valid, weight = self.track.cleaned.valid, self.track.cleaned.weight
        parameters = torch.full((values.shape[1],), float(self.temporal.design.shape[1]))
        near = np.stack([np.zeros(values.shape[1], bool), *(
            self.around(part.footprint).ravel() for one in found for part in one.parts
        )])  # fmt: skip
        ramps = [part.ramp for one in found for part in one.parts]
        for combination in np.unique(near[1:], axis=1).T if ramps else ():
            if not combination.any():
                continue
            pixels = torch.from_numpy(np.flatnonzero((near[1:] == combination[:, None]).all(axis=0)))
            beside = [ramp for ramp, chosen in zip(ramps, combination, strict=True) if chosen]
            design = self.epochs.design(beside).float()
            parameters[pixels] = float(design.shape[1])
            own = values[:, pixels]
            values[:, pixels] = (own - fitted(own, valid[:, pixels], design, weight)) * valid[:, pixels]
        count = valid.sum(0).clamp(min=1).float()
        scale = torch.where(count > parameters, (count / (count - parameters).clamp(min=1)).sqrt(), 1.0)
        return dataclasses.replace(self, residual=(values * scale).reshape(self.residual.shape), candidates=())

    @cached_property
    def _simulator(self) -> NoiseModel | None:
        return simulator_of(self.track)

    @property
    def simulates(self) -> bool:
        """Whether the noise product has a simulator."""
        return self._simulator is not None

    def null_maxima(self, kind: str, seed: int, index: int) -> list[tuple[float, bool]]:
        """The strongest of every window of a null stack, and whether it lies at an edge."""
        valid = self.track.cleaned.valid.reshape(self.residual.shape)
        if kind == SIMULATED:
            assert self._simulator is not None
            series = simulated(self.track, self._simulator, seed, index)
            return self._maxima(series, valid.numpy(), self.temporal)
        order = null_order(kind, self.epochs.time, seed, index)
        residual = self.residual
        if kind == BLOCKS:
            blocks = with_slow_shifted(self.epochs.days, np.ones(len(order)), order, seed, index)
            residual = torch.tensordot(torch.from_numpy(blocks).float(), residual, 1) * valid
        return self._maxima(residual[order].numpy(), valid[order].numpy(), self.temporal.shuffled(order))

    def _maxima(self, series: Float32, seen: NDArray[np.bool_], temporal: TemporalModel) -> list[tuple[float, bool]]:
        """Of a series (time, y, x), m, that goes through denoiser and detector as the data do."""
        coarse = self.track.coarse
        null = dataclasses.replace(coarse, displacement=np.where(seen, series, np.float32(np.nan)), noise=None)
        residual = null.cleaned().residual().reshape(self.residual.shape)
        method: Denoiser | None = self.track.denoiser
        candidates = () if method is None else denoise(null, method).candidates
        search = dataclasses.replace(self, temporal=temporal, residual=residual, candidates=candidates)
        return [search._strongest(place, own) for place, own in search._windows()]

    def _strongest(self, place: tuple[slice, slice], own: NDArray[np.bool_]) -> tuple[float, bool]:
        window = self._window(place)
        proposed = [*self._of_field(place, own), *self._scanned(window, own, self._nothing())]
        every = [judged(window, one, self.tried, self._nothing()) for one in proposed]
        best = max((one for one in every if one is not None), key=lambda one: one.tested.statistic, default=None)
        if best is None:
            return 0.0, False
        return max(best.tested.statistic, 0.0), self.epochs.at_edge(best.ramp, self.settings.edge_epochs)

    def _windows(self) -> Iterator[tuple[tuple[slice, slice], NDArray[np.bool_]]]:
        """Windows, and where in each (y, x) bool what is found there is its own."""
        rows, cols = self.track.coarse.shape
        for y in _slices(rows):
            for x in _slices(cols):
                if bool(self.track.cleaned.valid.reshape(self.residual.shape)[:, y, x].any()):
                    inner = np.zeros((y.stop - y.start, x.stop - x.start), bool)
                    inner[_own(y, rows), _own(x, cols)] = True
                    yield (y, x), inner

    def _window(self, place: tuple[slice, slice]) -> Window:
        return window_of(self.residual[:, place[0], place[1]], self.temporal, self.track.coarse.pixel_m / 1e3)

    def _nothing(self) -> Tensor:
        return torch.zeros(len(self.epochs), 0, dtype=torch.float64)

    def _scanned(self, window: Window, own: NDArray[np.bool_], beside: Tensor) -> Iterator[Proposal]:
        """What a scan of the window proposes, beside histories (time, n)."""
        columns = self.epochs.columns(self.scanned)
        for seed in seeds(window, columns, beside, SEEDS):
            if own[min(int(seed.row), own.shape[0] - 1), min(int(seed.column), own.shape[1] - 1)]:
                yield Proposal(columns[:, seed.history], "scan", taper=seed.taper(window.shape))

    def _of_field(self, place: tuple[slice, slice], own: NDArray[np.bool_]) -> Iterator[Proposal]:
        """Candidates whose strongest part lies in a window's own part."""
        for one in self.candidates:
            whole = np.zeros(self.track.coarse.shape, np.float32)
            whole[one.place or (slice(None), slice(None))] = one.map
            part = whole[place]
            row, column = divmod(int(np.abs(part).argmax()), part.shape[1])
            if own[row, column] and np.abs(part).max() >= 0.99 * np.abs(whole).max():
                yield Proposal(torch.from_numpy(np.asarray(one.history, float)), "field", map=torch.from_numpy(part))

    def _transient(self, place: tuple[slice, slice], window: Window, one: Judged, beside: Tensor) -> Transient:
        close = timed(window, one.tested, one.ramp.middle_d, self.epochs, beside)
        ramp, timing = (one.ramp, None) if close is None else (close.typical, close.timing)
        footprint, field = np.zeros(self.track.coarse.shape, bool), np.zeros(self.track.coarse.shape, np.float32)
        footprint[place] = footprint_of(one.tested.map, one.tested.std)
        field[place] = one.tested.map.numpy()
        return Transient(ramp, one.tested.statistic, footprint, (), timing, one.proposal.origin, field * footprint)

    def _pursued(
        self, place: tuple[slice, slice], own: NDArray[np.bool_], floor: float, at_most: int
    ) -> list[Transient]:
        """The strongest in a window, then, beside it, the next, until none reaches the floor.

        Raises
        ------
        SlipscanError
            more than MAX_TRANSIENTS: the noise is not what was assumed
        """
        window, beside = self._window(place), self._nothing()
        left = [(np.inf, one) for one in self._of_field(place, own)]
        found: list[Transient] = []
        while len(found) < at_most:
            scanned = [(np.inf, one) for one in self._scanned(window, own, beside)]
            best, left = _strongest_of(window, [*left, *scanned], self.tried, beside, floor)
            if best is None:
                return found
            left = [(value, one) for value, one in left if one.origin == "field"]
            found.append(self._transient(place, window, best, beside))
            beside = torch.cat([beside, self.epochs.columns([found[-1].ramp])], 1)
            if len(found) > MAX_TRANSIENTS:
                raise SlipscanError(
                    f"more than {MAX_TRANSIENTS} transients above a statistic of {floor:.1f}: the noise model does not"
                    " fit this stack; check it for unwrapping errors"
                )
        return found


def _strongest_of(
    window: Window, proposed: Sequence[tuple[float, Proposal]], tried: Histories, beside: Tensor, floor: float
) -> tuple[Judged | None, list[tuple[float, Proposal]]]:
    """The strongest proposal that reaches the floor, and the others with what they reached, here or before.

    Beside more events a proposal is weaker, as a rule: those that are weaker than the best so far are not tested again.
    """
    best: tuple[Judged, Proposal] | None = None
    left: list[tuple[float, Proposal]] = []
    for value, one in sorted(proposed, key=lambda pair: -pair[0]):
        if best is not None and value <= best[0].tested.statistic:
            left.append((value, one))
            continue
        again = judged(window, one, tried, beside)
        reached = -np.inf if again is None else again.tested.statistic
        if again is not None and reached >= floor and (best is None or reached > best[0].tested.statistic):
            if best is not None:
                left.append((best[0].tested.statistic, best[1]))
            best = again, one
        elif reached >= floor:
            left.append((reached, one))
    return (None if best is None else best[0]), left


def _slices(size: int) -> list[slice]:
    if size <= SIDE:
        return [slice(0, size)]
    return [slice(start, start + SIDE) for start in [*range(0, size - SIDE, STEP), size - SIDE]]


def _own(part: slice, size: int) -> slice:
    """What of a window is nearer to its middle than to that of a neighbour."""
    every = _slices(size)
    number = every.index(part)
    first = part.start if number == 0 else (every[number - 1].stop + part.start) // 2
    last = part.stop if number == len(every) - 1 else (every[number + 1].start + part.stop) // 2
    return slice(first - part.start, last - part.start)
