"""Which components of a decomposition are transients: the rule that PCA and ICA share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from slipbench.baselines.histories import candidates, filters
from slipbench.baselines.prepare import Prepared

Float = NDArray[np.float64]

MIN_EXPLAINED = 0.5
_RANK_TOLERANCE = 1e-9


def rank(samples: Float) -> int:
    """Number of components that samples (pixel, time) hold; a decomposition divides by their size."""
    centred = samples - samples.mean(axis=0)
    power = np.linalg.eigvalsh(centred.T @ centred)
    return min(len(samples), int((power > _RANK_TOLERANCE * max(float(power[-1]), 1e-20)).sum()))


def is_transient(courses: Float, prepared: Prepared) -> NDArray[np.bool_]:
    """Whether a step or ramp explains half of a component's course beyond offset, rate and season.

    Parameters
    ----------
    courses
        (component, time)

    Returns
    -------
    transient
        (component,)
    """
    equal = np.ones(len(prepared.days))
    unit = filters(candidates(prepared.days).columns, prepared.design, equal)
    rest = courses - (courses @ np.linalg.pinv(prepared.design).T) @ prepared.design.T
    energy = np.maximum((rest**2).sum(axis=1), 1e-300)
    return ((unit @ rest.T) ** 2).max(axis=0) / energy >= MIN_EXPLAINED
