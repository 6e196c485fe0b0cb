"""Principal components of the series, those kept whose course in time looks like a transient."""

from __future__ import annotations

import numpy as np
from sklearn.decomposition import PCA

from slipbench.baselines.decomposition import is_transient, rank
from slipbench.baselines.histories import without_background
from slipbench.baselines.peak import detect
from slipbench.baselines.prepare import prepare
from slipbench.estimate import Estimate
from slipscan.field import Observation

COMPONENTS = 8


def estimate(observation: Observation) -> Estimate:
    """Sum of those of the first eight components of which a step or ramp explains half of the course.

    Pixels are the samples, epochs the features, after the correction for offset, ramp and height. No such
    component: the answer is zero.

    Raises
    ------
    SlipscanError
        a stack without data or of fewer than 5 epochs
    """
    prepared = prepare(observation)
    field = without_background(prepared.cleaned, prepared)
    samples = field.reshape(len(field), -1).T
    fitted = samples[prepared.covered.ravel()]
    count = min(COMPONENTS, rank(fitted))
    if count == 0:
        return detect(np.zeros_like(field), prepared)
    pca = PCA(count, svd_solver="full").fit(fitted)
    kept = pca.components_[is_transient(pca.components_, prepared)]
    transient = ((samples - pca.mean_) @ kept.T) @ kept
    return detect(np.ascontiguousarray(transient.T).reshape(field.shape), prepared)
