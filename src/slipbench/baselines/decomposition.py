"""What PCA and ICA share: the series as samples, and which components of it are transients."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from slipbench.baselines.histories import candidates, filters, without_background
from slipbench.baselines.peak import detect
from slipbench.baselines.prepare import Prepared, prepare
from slipbench.estimate import Estimate
from slipscan.field import Observation

Float = NDArray[np.float64]

MIN_EXPLAINED = 0.5
_RANK_TOLERANCE = 1e-9


class Components(NamedTuple):
    """A decomposition of samples (pixel, time): mean (time,), unmixing (component, time), courses (component, time)."""

    mean: Float
    unmixing: Float
    courses: Float


def transient_components(
    observation: Observation, most: int, decompose: Callable[[Float, int], Components]
) -> Estimate:
    """Sum of those of the first `most` components of which a step or ramp explains half of the course.

    Pixels with data are the samples, epochs the features, after the correction for offset, ramp and height. No such
    component: the answer is zero.

    Raises
    ------
    SlipscanError
        a stack without data or of fewer than 5 epochs
    """
    prepared = prepare(observation)
    field = without_background(prepared)
    samples = field.reshape(len(field), -1).T
    fitted = samples[prepared.covered.ravel()]
    count = min(most, rank(fitted))
    if count == 0:
        return detect(np.zeros_like(field), prepared)
    found = decompose(fitted, count)
    kept = is_transient(found.courses, prepared)
    transient = ((samples - found.mean) @ found.unmixing[kept].T) @ found.courses[kept]
    return detect(np.ascontiguousarray(transient.T).reshape(field.shape), prepared)


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
