"""The threshold of a network's statistic at a stated rate of false alarms, from noise like its own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from slipscan.fit.model import DAYS_PER_YEAR
from slipscan.gnss.background import Background, Term
from slipscan.gnss.correlation import distances_km, station_correlation
from slipscan.gnss.daily import DailySeries
from slipscan.gnss.detect import CORRELATION_D, peaks_of, strongest, with_tails
from slipscan.gnss.kalman import Fit, Noise
from slipscan.gnss.noise import simulate_flicker
from slipscan.gnss.scan import onset_of
from slipscan.gnss.statistic import Network

Float = NDArray[np.float64]

LENGTH_D = 3653
LOWEST = 6.0
"""Peaks below are not counted."""


def simulated(background: Background, network: Network, false_alarms_per_yr: float, years: float, seed: int) -> float:
    """T2 that noise alone exceeds so often, with the noise of the stations and its correlation.

    Parameters
    ----------
    years
        of noise that are simulated, at least
    """
    generator = np.random.default_rng(seed)
    peaks: list[float] = []
    runs = max(1, int(np.ceil(years * DAYS_PER_YEAR / LENGTH_D)))
    apart = distances_km(background.series.longitude, background.series.latitude)
    onset = None
    for _ in range(runs):
        drawn = _drawn(background, network, generator)
        onset = onset_of(drawn, np.ones((len(apart), 3)), onset.smoothing if onset else None)
        # Stations of unlike noise are less alike in their onsets than in their positions.
        own = Network(station_correlation(onset.ramps(CORRELATION_D).z, apart), network.bank)
        peaks += [peak.statistic for peak in strongest(peaks_of(own, with_tails(onset, onset), LOWEST))]
    wanted = false_alarms_per_yr * runs * LENGTH_D / DAYS_PER_YEAR
    ranked = np.sort(np.array(peaks))[::-1]
    return float(ranked[min(max(0, round(wanted) - 1), len(ranked) - 1)])


def _drawn(background: Background, network: Network, generator: np.random.Generator) -> Background:
    """Noise alone: stations of ten years without a gap."""
    count = len(background.series.names)
    factor = np.linalg.cholesky(network.correlation)

    def coloured(draw: Float) -> Float:
        return np.asarray(np.einsum("cij,jcd->icd", factor, draw))

    present = np.repeat(background.series.present, 3, axis=0)
    white = np.array([np.median(row[there]) for row, there in zip(background.noise.white, present, strict=True)])
    flicker, walk = background.noise.flicker, background.noise.walk
    shape = (count, 3, LENGTH_D)
    position = white.reshape(count, 3, 1) * coloured(generator.standard_normal(shape))
    position += flicker.reshape(count, 3, 1) * coloured(simulate_flicker(generator, 3 * count, LENGTH_D).reshape(shape))
    steps = np.cumsum(generator.standard_normal(shape), axis=2) / np.sqrt(DAYS_PER_YEAR)
    position += walk.reshape(count, 3, 1) * coloured(steps)
    years = np.arange(LENGTH_D) / DAYS_PER_YEAR
    season = [f(2 * np.pi * cycles * years) for cycles in (1, 2) for f in (np.cos, np.sin)]
    columns = np.broadcast_to(np.stack([np.ones(LENGTH_D), years - 5.0, *season]), (count, 6, LENGTH_D)).copy()
    terms = (Term("offset"), Term("rate"), *(Term("annual"),) * 2, *(Term("semiannual"),) * 2)
    series = DailySeries(
        background.series.names, background.series.longitude, background.series.latitude, np.datetime64("2000-01-01"),
        position, np.ones((count, LENGTH_D)), np.zeros((count, LENGTH_D), np.int64),
    )  # fmt: skip
    noise = Noise(np.repeat(white[:, None], LENGTH_D, axis=1), flicker, walk)
    nothing = Fit(np.empty((0, 6)), np.empty((0, 6, 6)), np.empty(0))
    return Background(series, (terms,) * count, columns, noise, nothing)
