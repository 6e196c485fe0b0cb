"""Unwrapping errors of the finished series: patches that are whole cycles off."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from slipscan.patches.find import find_patches
from slipscan.patches.patch import remove_cycles
from slipscan.settings import TimeseriesSettings

log = logging.getLogger(__name__)


def without_patches(series: NDArray[np.float32], settings: TimeseriesSettings) -> dict[str, int]:
    """Shift patches of a series (time, y, x) m back by whole cycles, in place, where the settings say so.

    Returns
    -------
    attributes
        unwrapping_patches: their number, which says that they were looked for
    """
    patches = find_patches(series)
    if patches:
        shifted = settings.unwrapping_patches == "correct"
        log.info(
            "unwrapping errors of the series: %d patch(es), %d pixels in all, %s (timeseries.unwrapping_patches)",
            len(patches),
            sum(patch.pixels for patch in patches),
            "corrected by whole cycles" if shifted else "left as they are",
        )
        if shifted:
            remove_cycles(series, patches)
    return {"unwrapping_patches": len(patches)}
