"""The threshold of a network's statistic at a stated rate of false alarms, from noise like its own."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slipscan.fit.model import DAYS_PER_YEAR
from slipscan.gnss.background import Background, Term, with_terms
from slipscan.gnss.bank import SourceBank
from slipscan.gnss.correlation import distances_km, station_correlation
from slipscan.gnss.daily import DailySeries
from slipscan.gnss.description import Peak, publishable
from slipscan.gnss.detect import COARSE_D, CORRELATION_D, peaks_of, strongest, with_tails
from slipscan.gnss.kalman import Noise
from slipscan.gnss.noise import simulate_flicker
from slipscan.gnss.scan import Onset, onset_of
from slipscan.gnss.statistic import Network
from slipscan.settings_gnss import GnssDetectSettings

Float = NDArray[np.float64]

LENGTH_D = 3653
LOWEST, LISTED = 6.0, 3
"""Peaks below are not counted; false alarms that are listed, over those that are published, at most."""


@dataclass(frozen=True)
class _FalseAlarm:
    """A peak of noise, with the ramps (station, 3) that made it."""

    peak: Peak
    network: Network
    z: Float
    sigma: Float

    def publishable(self, settings: GnssDetectSettings) -> bool:
        return publishable(self.network, self.peak.source, self.z, self.sigma, settings)


def simulated(background: Background, network: Network, settings: GnssDetectSettings) -> float:
    """T2 that false alarms exceed at the stated rate, counting those that would be published.

    From simulated noise with the amplitudes and the correlation of the stations' own.
    """
    generator = np.random.default_rng(settings.seed)
    runs = max(1, int(np.ceil(settings.simulated_yr * DAYS_PER_YEAR / LENGTH_D)))
    apart = distances_km(background.series.longitude, background.series.latitude)
    smoothing, found = None, []
    for _ in range(runs):
        onset = onset_of(_drawn(background, network, generator), np.ones((len(apart), 3)), smoothing)
        smoothing = onset.smoothing
        found += _peaks(onset, apart, network.bank)
    found.sort(key=lambda alarm: alarm.peak.statistic, reverse=True)
    wanted = max(1, round(settings.false_alarms_per_yr * runs * LENGTH_D / DAYS_PER_YEAR))
    published = itertools.islice((alarm for alarm in found if alarm.publishable(settings)), wanted)
    # Of few stations hardly any false alarm would be published, and all that is listed would be one.
    listed = itertools.islice(found, LISTED * wanted)
    return max(min((alarm.peak.statistic for alarm in some), default=LOWEST) for some in (published, listed))


def _peaks(onset: Onset, apart: Float, bank: SourceBank) -> list[_FalseAlarm]:
    """Peaks of the onsets of noise."""
    # Stations of unlike noise are less alike in their onsets than in their positions.
    own, tails = Network(station_correlation(onset.ramps(CORRELATION_D).z, apart), bank), with_tails(onset, onset)
    ramps = {duration: tails.ramps(duration) for duration in COARSE_D}
    return [
        _FalseAlarm(
            peak, own, *(v[:, :, peak.day].copy() for v in (ramps[peak.duration_d].z, ramps[peak.duration_d].sigma))
        )
        for peak in strongest(peaks_of(own, tails, LOWEST))
    ]


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
    seasons = [Term(kind, time_d=phase) for kind in ("annual", "semiannual") for phase in (0.0, 90.0)]
    terms = (Term("offset", time_d=0.0), Term("rate"), *seasons)
    series = DailySeries(
        background.series.names, background.series.longitude, background.series.latitude, np.datetime64("2000-01-01"),
        position, np.ones((count, LENGTH_D)), np.zeros((count, LENGTH_D), np.int64),
    )  # fmt: skip
    noise = Noise(np.repeat(white[:, None], LENGTH_D, axis=1), flicker, walk)
    return with_terms(series, (terms,) * count, noise)
