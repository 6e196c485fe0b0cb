"""Independent components of the series, those kept whose course in time looks like a transient."""

from __future__ import annotations

import warnings

from sklearn.decomposition import FastICA
from sklearn.exceptions import ConvergenceWarning

from slipbench.baselines.decomposition import Components, Float, transient_components
from slipbench.estimate import Estimate
from slipscan.field import Observation

COMPONENTS = 6
MAX_ITERATIONS = 10
"""FastICA converges cubically where there is structure. Gaussian noise has none: more steps only turn its
components round, by angles that depend on the last digit of the data (and so on the reference epoch)."""


def keep_independent_components(observation: Observation) -> Estimate:
    """Sum of the transient ones of six spatially independent components, see `transient_components`.

    A component's sign cancels between its map and its course.
    """
    return transient_components(observation, COMPONENTS, _decompose)


def _decompose(samples: Float, count: int) -> Components:
    """FastICA with a fixed start."""
    ica = FastICA(count, whiten="unit-variance", random_state=0, max_iter=MAX_ITERATIONS, tol=1e-2)
    with warnings.catch_warnings():
        # Not to converge is the rule for noise, see MAX_ITERATIONS.
        warnings.simplefilter("ignore", ConvergenceWarning)
        ica.fit(samples)
    return Components(ica.mean_, ica.components_, ica.mixing_.T)
