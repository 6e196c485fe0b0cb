"""Bands less the ramps that were found in them, estimated jointly with rate and season."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slipscan.detect.bands import Band
from slipscan.detect.places import groups_of
from slipscan.detect.ramp import Epochs, Ramp
from slipscan.fit.background import fitted

PLACES: Final = 1 << 16
"""From whose series a fit is taken at once."""


def without_ramps(band: Band, epochs: Epochs, taken: Sequence[tuple[Ramp, NDArray[np.bool_]]]) -> tuple[Band, Tensor]:
    """A band less ramps near their places, estimated jointly with rate and season; and parameters (place,).

    Parameters
    ----------
    taken
        ramps, and the pixels (y, x) near which they are
    """
    values, valid = band.values.clone(), band.known()
    parameters = torch.full((values.shape[1],), float(epochs.design().shape[1]))
    for places, beside in groups_of(taken, band):
        if beside and places is not None:
            design = epochs.design(beside).float()
            parameters[places] = float(design.shape[1])
            for some in torch.split(places, PLACES):
                rest = fitted(values[:, some], valid[:, some], design, band.weight)
                values[:, some] = (values[:, some] - rest) * valid[:, some]
    return replace(band, values=values), parameters


def as_noise(band: Band, epochs: Epochs, taken: Sequence[tuple[Ramp, NDArray[np.bool_]]]) -> Band:
    """The same as noise: what a fit leaves is smaller, and is scaled up by the degrees of freedom that the fit took."""
    rest, parameters = without_ramps(band, epochs, taken)
    count = torch.full((len(band.std),), float(len(epochs)))
    count[band.gappy] = band.valid.sum(0)
    scale = torch.where(count > parameters, (count / (count - parameters).clamp(min=1)).sqrt(), 1.0)
    rest = rest.measured()
    return replace(rest, values=rest.values.mul_(scale))
