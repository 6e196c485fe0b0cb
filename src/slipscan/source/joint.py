"""The fault of an event from InSAR and GNSS together, or from GNSS alone.

It comes after the verdict and never enters it: a source that has seen the stations would predict them well. Stations
are one more block of data beside those of the tracks; the weights of all are those of their noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slipscan.settings import SourceSettings
from slipscan.source.data import Block, Data
from slipscan.source.models import FAULT, Area
from slipscan.source.posterior import Posterior, Problem
from slipscan.source.sampler import sample

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Offsets:
    """What GNSS stations did during an event.

    Attributes
    ----------
    east, north
        (station,) metres, in the frame of the source
    displacement, covariance
        (station * 3,) east, north, up of each station, metres, and (station * 3, station * 3)
    """

    east: Float
    north: Float
    displacement: Float
    covariance: Float

    @property
    def block(self) -> Block:
        """Three values a station."""
        directions = np.tile(np.eye(3), (len(self.east), 1))
        return Block(self.east.repeat(3), self.north.repeat(3), directions, self.displacement, self.covariance)


def joint_fault(blocks: Sequence[Block], offsets: Offsets, area: Area, settings: SourceSettings) -> Posterior:
    """The posterior of the fault that explains maps and stations.

    Parameters
    ----------
    blocks
        of the tracks, in the frame of `offsets`; none: GNSS alone
    offsets
        of the stations
    area
        where the event is
    settings
        of the source stage
    """
    data = Data([*(block.with_errors() for block in blocks), offsets.block])
    problem = Problem(FAULT, data, area, settings.poisson_ratio)
    return sample(problem, settings.particles, settings.searched, settings.seed)
