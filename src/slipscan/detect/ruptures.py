"""Slip that breaks the surface, where the sharpest band of a scan alone shows it.

The sharpest band goes last, and where nothing was found: in ground that moves for years beside a volcano its pixels are
significant for a long time after the broad bands have told what there is to tell, piece by piece.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

import numpy as np

from slipscan.detect.pursuit import Pursuing, pursued
from slipscan.detect.scan import Scanner
from slipscan.detect.transient import Transient

log = logging.getLogger(__name__)

MOST: Final = 30
"""Found in the sharpest band: where there are more, pixels are not what they seem, and the strongest are taken."""


def scanned(search: Scanner, threshold: float, others: Sequence[tuple[Pursuing, float]]) -> list[Transient]:
    """Every transient of a scan, and of other searches, at their thresholds.

    Parameters
    ----------
    search
        its first band is the sharpest
    threshold
        of its statistic
    others
        searches that go along with its other bands, with their thresholds
    """
    found = pursued([(search.near(search.bands[1:]), threshold), *others])
    known = np.zeros(search.shape, bool)
    for one in found:
        known |= one.footprint
    sharp = pursued([(search.near(search.bands[:1]), threshold)], MOST, before=found)
    if len(sharp) == len(found) + MOST:
        log.warning("the sharpest band holds %d transients or more: check the stack for unwrapping errors", MOST)
    return sharp[: len(found)] + [one for one in sharp[len(found) :] if not (one.footprint & known).any()]
