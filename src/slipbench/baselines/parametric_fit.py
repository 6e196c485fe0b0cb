"""A step or ramp beside offset, rate and season in every pixel, by generalised least squares in time."""

from __future__ import annotations

import numpy as np

from slipbench.baselines.histories import candidates, masked_fit
from slipbench.baselines.peak import smooth
from slipbench.baselines.prepare import prepare
from slipbench.estimate import Estimate
from slipscan.field import Observation


def fit_step_or_ramp(observation: Observation) -> Estimate:
    """Amplitude per pixel of the one step or ramp that the whole scene likes best.

    The history is the same in all pixels: a free one per pixel fits the largest excursion of each pixel's
    noise, which makes maps of noise without a zero mean. It is the one with the largest sum of log-likelihood
    gains over the pixels. Epochs are weighted by their inverse variance, gaps are left out pixel by pixel. The
    score is the largest smoothed amplitude over its formal error.

    Raises
    ------
    SlipscanError
        a stack without data or of fewer than 5 epochs
    """
    prepared = prepare(observation)
    n = len(prepared.days)
    tried = candidates(prepared.days)
    amplitude, information = masked_fit(
        prepared.cleaned.reshape(n, -1), prepared.valid.reshape(n, -1), prepared, tried.columns
    )
    best = int((amplitude**2 * information).sum(axis=1).argmax())
    course = tried.columns[:, best]
    statistic = (amplitude[best] * np.sqrt(information[best])).reshape(prepared.shape)
    amplitudes = amplitude[best].reshape(prepared.shape)
    return Estimate(
        map=(amplitudes * (course[-1] - course[0])).astype(np.float32),
        transient=((course - course.mean())[:, None, None] * amplitudes).astype(np.float32),
        score=float(np.abs(smooth(statistic[None], prepared)).max()),
        t50_d=float(tried.t50_d[best]) if statistic.any() else float("nan"),
    )
