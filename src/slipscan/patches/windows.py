"""Means of the epochs before and after each interval of a series."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from slipscan.patches.edges import scatter_of
from slipscan.patches.patch import Bool, Float32, Patch
from slipscan.vocabulary import CYCLE_M

if TYPE_CHECKING:
    from slipscan.field import Sliced

EPOCHS: Final = (5, 12)
"""Least and most epochs after an interval of which means are taken (what is shorter is their noise); before it, where
all is mended, and after one of the first intervals as many as the most."""
QUIET: Final = 8.0
"""So many standard deviations of the difference of neighbours are a cycle, where there are enough epochs for it."""
READ: Final = 32
"""Epochs that are read at once."""


class Windows:
    """Sums of the epochs before and after an interval, moved along a series that is read once."""

    def __init__(self, series: Sliced) -> None:
        self._series = series
        self._patches: list[Patch] = []
        self._layers: dict[int, tuple[Float32, Bool]] = {}
        self._read = 0
        self.reach = 0
        self.epoch = 1
        self._load(1)
        self.reach = _reach(self._layers)
        self._sums = self._summed()
        self._ahead: tuple[Float32, ...] | None = None

    def __len__(self) -> int:
        return self._series.shape[0]

    def change(self) -> Float32:
        """Mean (y, x) of the epochs from `epoch` on less that of those before it, m; NaN = too few have data."""
        return self._change(self._sums, self.epoch)

    def change_ahead(self) -> Float32:
        """The same of the next interval; all NaN after the last."""
        if self.epoch == len(self) - 1:
            return np.full(self._series.shape[1:], np.nan, np.float32)
        if self._ahead is None:
            self._ahead = self._moved()
        return self._change(self._ahead, self.epoch + 1)

    def change_alone(self) -> tuple[Float32, Float32]:
        """What `epoch` (y, x) is over the mean of the epochs on both sides, and what these differ by, m.

        NaN = too few have data.
        """
        before, count_before, after, count_after = self._sums
        value, valid = self._layers[self.epoch]
        after, count_after = after - value, count_after - valid
        with np.errstate(divide="ignore", invalid="ignore"):
            alone = value - (before + after) / (count_before + count_after)
            rest = after / count_after - before / count_before
        alone[~valid | (np.minimum(count_before, count_after) < 2)] = np.nan
        return alone, rest

    def move(self) -> None:
        """Go on to the next interval."""
        self._sums = self._moved() if self._ahead is None else self._ahead
        self._ahead = None
        self._layers.pop(self.epoch - EPOCHS[1] - 1, None)
        self.epoch += 1

    def take(self, patches: Sequence[Patch]) -> None:
        """Mend what was read and what will be."""
        self._patches += patches
        for number, (layer, valid) in self._layers.items():
            for patch in patches:
                if patch.is_in(number):
                    patch.take_from(layer)
            layer *= valid
        self._sums, self._ahead = self._summed(), None

    def _load(self, last: int) -> None:
        """Read up to an epoch."""
        while self._read <= min(last, len(self) - 1):
            end = min(self._read + READ, len(self))
            part = np.array(self._series[self._read : end, slice(None), slice(None)], np.float32)
            for number, layer in enumerate(part, self._read):
                for patch in self._patches:
                    if patch.is_in(number):
                        patch.take_from(layer)
                valid = np.isfinite(layer)
                self._layers[number] = np.where(valid, layer, np.float32(0)), valid
            self._read = end

    def _ranges(self, epoch: int) -> tuple[range, range]:
        """The epochs before an interval, and after it, of which means are taken."""
        least, most = EPOCHS
        after = self.reach if epoch >= least else most
        return range(max(epoch - most, 0), epoch), range(epoch, min(epoch + after, len(self)))

    def _summed(self) -> tuple[Float32, ...]:
        """Sums and counts of the epochs before, and from `epoch` on."""
        self._load(self.epoch + EPOCHS[1])
        out = [np.zeros(self._series.shape[1:], np.float32) for _ in range(4)]
        for which, epochs in enumerate(self._ranges(self.epoch)):
            for number in epochs:
                out[2 * which] += self._layers[number][0]
                out[2 * which + 1] += self._layers[number][1]
        return tuple(out)

    def _moved(self) -> tuple[Float32, ...]:
        """The sums of the next interval."""
        self._load(self.epoch + 1 + EPOCHS[1])
        out = [part.copy() for part in self._sums]
        ranges = zip(self._ranges(self.epoch), self._ranges(self.epoch + 1), strict=True)
        for which, (old, new) in enumerate(ranges):
            for number in {*old, *new} - ({*old} & {*new}):
                value, valid = self._layers[number]
                sign = np.float32(1 if number in new else -1)
                out[2 * which] += sign * value
                out[2 * which + 1] += sign * valid
        return tuple(out)

    def _change(self, sums: tuple[Float32, ...], epoch: int) -> Float32:
        before, count_before, after, count_after = sums
        known = (count_before >= min(2, epoch)) & (count_after >= min(2, len(self) - epoch))
        with np.errstate(divide="ignore", invalid="ignore"):
            change = after / count_after - before / count_before
        change[~known] = np.nan
        return change


def _reach(layers: dict[int, tuple[Float32, Bool]]) -> int:
    """Epochs that means are taken of, so that neighbours differ by an eighth of a cycle or less, within limits."""
    steps = []
    for number in range(1, len(layers)):
        (before, valid_before), (after, valid) = layers[number - 1], layers[number]
        change = np.where(valid & valid_before, after - before, np.nan)[::4]
        steps.append(np.diff(change, axis=1).ravel())
    scatter = scatter_of(np.concatenate(steps)) if steps else np.nan
    if not np.isfinite(scatter):
        return EPOCHS[0]
    return int(np.clip(np.ceil((scatter * QUIET / CYCLE_M) ** 2), *EPOCHS))
