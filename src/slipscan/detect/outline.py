"""Where and when a transient of the scan is: its map in the whitened data, around the cluster that was found.

A cluster holds the places of one band above a threshold, which is where noise is low rather than where the event is,
and the series of that band less than all of them tell of its times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from slipscan.detect.crossfit import cross_fitted
from slipscan.detect.proposals import Proposal, footprint_of, timed
from slipscan.detect.temporal import temporal_model_of
from slipscan.detect.timing import Posterior
from slipscan.detect.track import Track
from slipscan.detect.transient import FAULT, Transient
from slipscan.detect.window import window_of

REACH: Final = 0.5
"""Of the cluster's diameter: how far beyond it the map is looked at, at least `REACH_PX`."""
REACH_PX: Final = 4.0
WORSE: Final = 2.0
"""Times as large an error of t50 as in one band, from which the map in all bands is not believed to tell the times."""
SIDE: Final = 320
"""Pixels of the coarse grid: of the window around a cluster, at most unless the cluster is larger."""


def outlined(track: Track, found: Sequence[Transient]) -> list[Transient]:
    """Transients with the footprints and the times of their maps.

    A cluster that is larger than its map, or elsewhere, is kept. Those of the search along faults have the footprint of
    their source.
    """
    if not found:
        return []
    temporal = temporal_model_of(
        track.epochs.days, track.cleaned.design, track.cleaned.valid, track.cleaned.delay.std, track.coarse.noise
    )
    residual = track.cleaned.residual().reshape(-1, *track.coarse.shape)
    out = []
    for number, one in enumerate(found):
        if one.origin == FAULT:
            out.append(one)
            continue
        rows, columns = np.nonzero(one.footprint)
        reach = max(REACH * 2 * np.sqrt(len(rows) / np.pi), REACH_PX)
        place = _around(rows, track.coarse.shape[0]), _around(columns, track.coarse.shape[1])
        window = window_of(residual[:, place[0], place[1]], temporal, track.coarse.pixel_m / 1e3)
        distance = ndimage.distance_transform_edt(~one.footprint)[place]
        taper = torch.from_numpy(np.exp(-0.5 * (distance / reach) ** 2).astype(np.float32))
        history = torch.from_numpy(one.ramp.column(track.epochs.time))
        beside = _beside(track, [other for i, other in enumerate(found) if i != number])
        power = Proposal(history, "scan", taper=taper).power(window, history, beside)
        seen = None if power is None else cross_fitted(window, power, history, beside)
        if seen is None:
            out.append(one)
            continue
        footprint = np.zeros_like(one.footprint)
        footprint[place] = footprint_of(seen.map, seen.std)
        meets = (footprint & one.footprint).any() and footprint.sum() >= one.footprint.sum()
        closer = _timed(one, timed(window, seen, one.ramp.middle_d, track.epochs, beside))
        out.append(replace(closer, footprint=footprint) if meets else closer)
    return out


def _timed(one: Transient, seen: Posterior | None) -> Transient:
    """A transient with the times of its map in all bands, unless they are far less certain than those of its band."""
    if seen is None or (one.timing is not None and seen.timing.errors_d[1] > WORSE * one.timing.errors_d[1]):
        return one
    return replace(one, ramp=seen.typical, timing=seen.timing)


def _around(at: np.ndarray, size: int) -> slice:
    middle = (int(at.min()) + int(at.max())) // 2
    half = max(SIDE // 2, int(np.ptp(at)))
    return slice(max(middle - half, 0), min(middle + half, size))


def _beside(track: Track, others: Sequence[Transient]) -> Tensor:
    return track.epochs.columns([other.ramp for other in others])
