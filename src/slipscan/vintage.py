"""Results of a vintage: what was made of the epochs up to a date stays, though new interferograms move them a little.

Thresholds and completeness are estimates of years of data that cost far more than all else, and new epochs must not
change them (docs/science.md section 10, 16). Interferograms that link new epochs to old ones move the last of the old
ones, by far less than their noise. So a result is kept with a sample of the series that it was made of, and found again
while that series is, within a thousandth of its noise, what it was.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zipfile import BadZipFile

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from slipscan import cache
from slipscan.atomic import discard
from slipscan.fit.scatter import MAD_TO_STD
from slipscan.stack import open_stack, up_to

log = logging.getLogger(__name__)

Float32 = NDArray[np.float32]

KIND: Final = "vintages"
PATCHES: Final = 6
SIDE: Final = 8
"""A sample is a square of SIDE x SIDE pixels from the middle of each of PATCHES x PATCHES parts of a stack."""
STILL: Final = 1e-3
"""Standard deviations of its noise by which a pixel may move."""
LAST: Final = 8
"""Epochs before the date of a vintage that the first interferograms after it still move."""
LAST_STILL: Final = 0.5
"""Standard deviations by which they may: they are a few of some hundred epochs."""
MOVED: Final = 0.01
"""Share of the pixels of a sample that may move more, or be masked otherwise."""
_SAMPLE, _RESULT = "sample.npz", "result"


@dataclass(frozen=True)
class Vintage:
    """Stacks up to a date.

    Attributes
    ----------
    cache_dir, key
        where results are kept, and under which key: of all that enters but the displacement
    samples
        (pixel, time) m, of every stack
    """

    cache_dir: Path
    key: str
    samples: tuple[Float32, ...]

    def find(self) -> Path | None:
        """The result that was made of the same; None where there is none, or where the series is another now."""
        entry = cache.find(self.cache_dir, KIND, self.key)
        if entry is None:
            return None
        try:
            with np.load(entry / _SAMPLE) as kept:
                same = all(unmoved(kept[f"arr_{number}"], now) for number, now in enumerate(self.samples))
            whole = (entry / _RESULT).is_file()
        except (OSError, ValueError, KeyError, BadZipFile):
            whole = False
        if not whole:
            log.warning("%s is damaged: it is made again", entry)
            return None
        if not same:
            log.info("the series up to the date of the vintage has changed: it is made again")
        return entry / _RESULT if same else None

    @contextlib.contextmanager
    def written(self) -> Iterator[Path]:
        """Yield where the result is to be written; what was kept of the same vintage before is given up."""
        entry = cache.path(self.cache_dir, KIND, self.key)
        discard(entry)
        with cache.written(entry) as beside:
            beside.mkdir()
            np.savez(beside / _SAMPLE, *self.samples)
            yield beside / _RESULT


def vintage_of(
    cache_dir: Path | None, stacks: Sequence[Path], until: str | None, parts: Sequence[str]
) -> Vintage | None:
    """The vintage of stacks, whose epochs up to the end of a day enter; None without a cache or a date.

    Parameters
    ----------
    stacks
        stores, read where they are sampled
    parts
        of the key: whatever else enters
    """
    if cache_dir is None or until is None:
        return None
    kept = [up_to(open_stack(stack, in_memory=False), until) for stack in stacks]
    about = [part for stack in kept for part in (stack["time"].values.astype("int64"), *_frame(stack))]
    return Vintage(cache_dir, cache.key("vintage", *parts, *about), tuple(sample_of(stack) for stack in kept))


def _frame(stack: xr.Dataset) -> list[str | NDArray[np.generic]]:
    """What does not change with new epochs: name, grid, line of sight, heights."""
    named = f"{stack.attrs.get('region', '')} {stack.attrs.get('track', '')}"
    ground = ("x", "y", "los_east", "los_north", "los_up", "height")
    return [named, *(stack[name].values for name in ground if name in stack)]


def sample_of(stack: xr.Dataset) -> Float32:
    """The displacement (pixel, time), m, of squares that are spread over a stack."""
    rows, columns = (_middles(stack.sizes[name]) for name in ("y", "x"))
    values = stack["displacement"]
    squares = [values[:, y, x].values.reshape(len(values), -1).T for y in rows for x in columns]
    return np.concatenate(squares).astype(np.float32)


def _middles(size: int) -> list[slice]:
    side = min(SIDE, max(1, size // PATCHES))
    first = (np.arange(PATCHES) + 0.5) * size / PATCHES - side / 2
    return [slice(int(at), int(at) + side) for at in np.unique(first.clip(0, size - side).astype(int))]


def unmoved(before: Float32, now: Float32) -> bool:
    """Whether samples (pixel, time) of a series are the same, within what its noise makes of no account.

    The last epochs of a network hang on few interferograms until others link them to what comes after (with three
    interferograms an epoch the last one moves by up to half of its noise, the eighth before it by a thousandth).
    """
    if before.shape != now.shape:
        return False
    known = np.isfinite(before)
    step = np.diff(np.where(known, before, 0.0).astype(float), axis=1)
    noise = MAD_TO_STD * np.median(np.abs(step), axis=1) / np.sqrt(2)
    allowed = np.where(np.arange(before.shape[1]) < before.shape[1] - LAST, STILL, LAST_STILL) * noise[:, None]
    apart = np.abs(np.where(known, now.astype(float) - before, 0.0))
    moved = (known != np.isfinite(now)).any(axis=1) | (apart > allowed).any(axis=1)
    return bool(moved.mean() <= MOVED)
