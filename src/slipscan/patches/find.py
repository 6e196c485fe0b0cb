"""The search: interval after interval of a series that is read once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from slipscan.patches.edges import Jump, jumping
from slipscan.patches.patch import Patch
from slipscan.patches.windows import Windows

if TYPE_CHECKING:
    from slipscan.field import Sliced

_ROUNDS: Final = 4
"""Times that an interval is looked at: a patch beside a patch is seen once the first is mended."""


def find_patches(series: Sliced) -> tuple[Patch, ...]:
    """Find the patches of a series, in the order of their epochs.

    Parameters
    ----------
    series
        (time, y, x) displacement, m; NaN = no data; in memory, or read where it is sliced

    Notes
    -----
    The change between the means of up to 12 epochs before an interval and of 5 to 12 epochs after it, more the noisier
    neighbouring pixels are; and that of an epoch from those on both sides. A patch of some pixels, or one whose edge is
    noisy, or cut by the edge of the scene or of the data for half its length, is left. So is what lasts longer than an
    epoch and less than half of these.
    """
    windows = Windows(series)
    out: list[Patch] = []
    if len(windows) < 2 or min(series.shape[1:]) < 2:
        return ()
    here = jumping(windows.change(), windows.epoch)
    while True:
        left = _of_one_epoch(windows, out)
        here = here if left is None else left
        for _ in range(_ROUNDS):
            ahead = jumping(windows.change_ahead(), windows.epoch + 1)
            taken = _apart([one.patch for one in here if one.sure and not one.is_overtaken(ahead)])
            if not taken:
                break
            out += taken
            windows.take(taken)
            here = jumping(windows.change(), windows.epoch)
        else:
            ahead = jumping(windows.change_ahead(), windows.epoch + 1)
        if windows.epoch == len(windows) - 1:
            return tuple(out)
        windows.move()
        here = ahead


def _of_one_epoch(windows: Windows, out: list[Patch]) -> list[Jump] | None:
    """Take what is off in this epoch alone, and add it to the patches; the jumps that are left, None if nothing was."""
    alone, rest = windows.change_alone()
    found = [one.patch for one in jumping(alone, windows.epoch) if one.sure and one.patch.is_level(rest)]
    if not found:
        return None
    taken = [replace(patch, alone=True) for patch in _apart(found)]
    out += taken
    windows.take(taken)
    return jumping(windows.change(), windows.epoch)


def _apart(patches: list[Patch]) -> list[Patch]:
    """The largest of those that touch: two edges may close off the same patch, and pieces of one look like others."""
    out: list[Patch] = []
    for patch in sorted(patches, key=lambda one: -one.pixels):
        if not any(patch.touches(other) for other in out):
            out.append(patch)
    return out
