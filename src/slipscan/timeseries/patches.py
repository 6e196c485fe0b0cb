"""Patches of the finished series that the unwrapping left whole cycles off."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from slipscan.patches.find import find
from slipscan.patches.patch import mend
from slipscan.settings import TimeseriesSettings

log = logging.getLogger(__name__)


def without_patches(series: NDArray[np.float32], settings: TimeseriesSettings) -> dict[str, int]:
    """Shift patches of a series (time, y, x) m back by whole cycles, in place, where the settings say so.

    Returns
    -------
    attributes
        unwrapping_patches: their number, which says that they were looked for
    """
    patches = find(series)
    if patches:
        shifted = settings.unwrapping_patches == "correct"
        log.info(
            "%d patches of the series are whole cycles off from an epoch on (%d pixels in all) and %s shifted back",
            len(patches),
            sum(patch.pixels for patch in patches),
            "were" if shifted else "were not",
        )
        if shifted:
            mend(series, patches)
    return {"unwrapping_patches": len(patches)}
