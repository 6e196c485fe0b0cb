"""Independent components of the series, those kept whose course in time looks like a transient."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.decomposition import FastICA
from sklearn.exceptions import ConvergenceWarning

from slipbench.baselines.decomposition import is_transient, rank
from slipbench.baselines.histories import without_background
from slipbench.baselines.peak import detect
from slipbench.baselines.prepare import prepare
from slipbench.estimate import Estimate
from slipscan.field import Observation

COMPONENTS = 6
MAX_ITERATIONS = 10
"""FastICA converges cubically where there is structure. Gaussian noise has none: more steps only turn its
components round, by angles that depend on the last digit of the data (and so on the reference epoch)."""


def estimate(observation: Observation) -> Estimate:
    """Sum of those of six spatially independent components of which a step or ramp explains half of the course.

    FastICA with a fixed start on all pixels with data, after the correction for offset, ramp and height; a
    component's sign cancels between its map and its course. No such component: the answer is zero.

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
    ica = FastICA(count, whiten="unit-variance", random_state=0, max_iter=MAX_ITERATIONS, tol=1e-2)
    with warnings.catch_warnings():
        # Not to converge is the rule for noise, see MAX_ITERATIONS.
        warnings.simplefilter("ignore", ConvergenceWarning)
        ica.fit(fitted)
    kept = is_transient(ica.mixing_.T, prepared)
    transient = ((samples - ica.mean_) @ ica.components_[kept].T) @ ica.mixing_[:, kept].T
    return detect(np.ascontiguousarray(transient.T).reshape(field.shape), prepared)
