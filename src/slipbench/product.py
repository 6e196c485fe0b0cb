"""The product itself as a method of the benchmark: a denoiser and a detector, as the stages run them."""

from __future__ import annotations

from typing import Final

import numpy as np

from slipbench.estimate import Estimate
from slipscan.detect import registry
from slipscan.detect.maps import amplitude_maps
from slipscan.detect.track import track_of
from slipscan.field import Denoiser, Observation
from slipscan.settings import DetectSettings

EDGE_EPOCHS: Final = 2
"""Events of the benchmark happen anywhere in short series."""


def answer_of_detector(observation: Observation, denoiser: Denoiser | None, detector: str) -> Estimate:
    """The strongest transient of a scene: score and time are the detector's.

    Its map is the detector's where it makes one, else the amplitude in the footprint.
    """
    settings = DetectSettings(method=detector, edge_epochs=EDGE_EPOCHS)
    track = track_of(observation, settings, denoiser)
    found = registry.build(detector).search(track, settings).find(floor=0.0, at_most=1)
    if not found:
        nothing = np.zeros((len(observation.time), *observation.shape), np.float32)
        return Estimate(nothing[0], nothing, 0.0, float("nan"))
    ramp = found[0].ramp
    rows, cols = observation.shape
    if found[0].map is not None:
        total = found[0].map.repeat(track.factor, axis=0).repeat(track.factor, axis=1)[:rows, :cols]
    else:
        footprint = found[0].footprint.repeat(track.factor, axis=0).repeat(track.factor, axis=1)
        total = np.nan_to_num(amplitude_maps(track, [ramp])[0][0]) * footprint[:rows, :cols]
    course = ramp.column(observation.time)
    transient = ((course - course.mean())[:, None, None] * total).astype(np.float32)
    return Estimate(total.astype(np.float32), transient, found[0].statistic, ramp.middle_d)
