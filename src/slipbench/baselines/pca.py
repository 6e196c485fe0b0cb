"""Principal components of the series, those kept whose course in time looks like a transient."""

from __future__ import annotations

from sklearn.decomposition import PCA

from slipbench.baselines.decomposition import Components, Float, transient_components
from slipbench.estimate import Estimate
from slipscan.field import Observation

COMPONENTS = 8


def keep_principal_components(observation: Observation) -> Estimate:
    """Sum of the transient ones of the first eight components, see `transient_components`."""
    return transient_components(observation, COMPONENTS, _decompose)


def _decompose(samples: Float, count: int) -> Components:
    pca = PCA(count, svd_solver="full").fit(samples)
    return Components(pca.mean_, pca.components_, pca.components_)
