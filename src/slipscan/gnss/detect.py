"""Transients that a GNSS network finds by itself: every onset, durations of 1 to 60 days, any source below it.

The noise is estimated beside what may be an event. Found events join the trajectories and the search is repeated, at
most three times, in that noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from slipscan.fit.model import DAYS_PER_YEAR
from slipscan.gnss.background import Background, fit_background, with_events
from slipscan.gnss.bank import source_bank
from slipscan.gnss.correlation import distances_km, half_differenced, robust_correlation, station_correlation
from slipscan.gnss.daily import DailySeries
from slipscan.gnss.description import FEW_STATIONS, LONGEST_D, Detection, Peak, described
from slipscan.gnss.noise import shrunk_to_network
from slipscan.gnss.scan import DURATIONS_D, Onset, onset_of
from slipscan.gnss.statistic import Network
from slipscan.gnss.steps import Step
from slipscan.settings_gnss import GnssDetectSettings

Float = NDArray[np.float64]

COARSE_D = (1, 3, 7, 15, 30, LONGEST_D)
ROUNDS, NOISE_ROUNDS, MANY = 12, 2, 100
"""Of the search, and of the noise; among so many stations an event moves few, and the noise is that of the others."""
APART_D = 30
"""Two events of a round are so far apart at least, and as far as the longer lasts."""
ALONE_D = 120
"""An event lifts T2 of other days, too, for months: in a round only what is strongest for so long is taken."""
INTERVAL_T2, LONGER_T2 = 6.0, 2.0
"""Onsets whose T2 is at most so much lower are possible too (95 %, with the duration, of two numbers); a longer
duration must explain so much more than a shorter one (Akaike 1974)."""
SIMPLER_T2, EQUAL_T2 = 3.0, 0.1
"""What an event may lose beside the others; first days that differ by less are equal."""
NEAR_D = 10
MORE_PARAMETERS_T2 = 6.0
"""Two for each of some three parameters that a source has more than a step of all stations (Akaike 1974)."""
TAIL = 0.99
CORRELATION_D = 3
"""Duration of the ramps whose scatter tells how stations are correlated."""
SUSPECTED_T2, SUSPECTED_PER_YR, SUSPECTED_D = 16.0, 0.5, 30
"""What may be an event, when the noise is estimated: from such a T2 on, the strongest, so many a year, as long at most.

Longer ones nobody can tell from a random walk: a volcano's unrest of months would be events, and hide short ones."""
MIN_SEARCHED = 730
"""Positions of a station: less than two years tell no rate from an event."""


@dataclass(frozen=True)
class Found:
    """What a search gave: the trajectories with the events in them, the network, the threshold and the events."""

    background: Background
    network: Network
    onset: Onset
    threshold: float
    detections: tuple[Detection, ...]


def prepare(series: DailySeries, steps: Mapping[str, Sequence[Step]]) -> tuple[Background, Onset, Network]:
    """Trajectories, onsets, and the network with the correlation of its noise.

    Noise, its scatter and its correlation are those beside what may be events: two of them in some years, left among
    the noise, pass for a random walk that hides them both.
    """
    background = _fitted(series, steps, ())
    onset, network = _onsets(background)
    suspected: list[tuple[int, int]] = []
    for _ in range(NOISE_ROUNDS if len(series.names) <= MANY else 0):
        before, suspected = suspected, _suspected(series, onset, network)
        if suspected == before:
            break
        beside = _fitted(series, steps, suspected)
        its_onset, network = _onsets(beside)
        background = with_events(beside, ())
        onset = onset_of(background, its_onset.scale, its_onset.smoothing)
    return background, onset, network


def _fitted(series: DailySeries, steps: Mapping[str, Sequence[Step]], events: Sequence[tuple[int, int]]) -> Background:
    """Trajectories in noise that is drawn to what is usual in the network."""
    background = fit_background(series, steps, events)
    days = np.isfinite(series.position).sum(axis=2).ravel().astype(float)
    return with_events(replace(background, noise=shrunk_to_network(background.noise, days)), events)


def _suspected(series: DailySeries, onset: Onset, network: Network) -> list[tuple[int, int]]:
    """First day and duration of what may be events; at the ends of the series nothing tells what it is."""
    days, apart = onset.score.shape[2], distances_km(series.longitude, series.latitude)
    usual = Network(robust_correlation(onset.ramps(CORRELATION_D).z, apart), network.bank)
    peaks = strongest(peaks_of(usual, onset, SUSPECTED_T2, [d for d in COARSE_D if d <= SUSPECTED_D]))
    inside = [(p.day, p.duration_d) for p in peaks if APART_D <= p.day <= days - APART_D - p.duration_d]
    return inside[: max(1, round(SUSPECTED_PER_YR * days / DAYS_PER_YEAR))]


def _onsets(background: Background) -> tuple[Onset, Network]:
    series, onset = background.series, onset_of(background)
    correlation = station_correlation(onset.ramps(CORRELATION_D).z, distances_km(series.longitude, series.latitude))
    return onset, Network(correlation, source_bank(series.longitude, series.latitude))


def search(
    background: Background, onset: Onset, network: Network, threshold: float, settings: GnssDetectSettings
) -> Found:
    """Find transients above a threshold of T2 (see `threshold.simulated`)."""
    peaks: list[Peak] = []
    current, its_onset = background, onset
    for _ in range(ROUNDS):
        count = len(peaks)
        for peak in strongest(peaks_of(network, its_onset, threshold)):
            refined = _refined(network, its_onset, peak)
            if not any(_overlap(refined, other) for other in peaks):
                peaks.append(refined)
        if len(peaks) == count:
            break
        current = with_events(background, [(p.day, p.duration_d) for p in peaks])
        its_onset = onset_of(current, onset.scale, onset.smoothing)
    onset = with_tails(onset, its_onset)
    peaks = _beside_each_other(background, onset, network, peaks)
    current = with_events(background, [(p.day, p.duration_d) for p in peaks])
    # What stood out alone may be nothing beside the others.
    while peaks:
        found = [described(current, network, onset, peak, settings) for peak in peaks]
        least = [threshold - SIMPLER_T2 - peak.shortfall for peak in peaks]
        beyond = [-np.inf if d is None else d.statistic - t2 for d, t2 in zip(found, least, strict=True)]
        weakest = int(np.argmin(beyond))
        if beyond[weakest] >= 0.0:
            every = []
            for peak, one in zip(peaks, found, strict=True):
                if one is not None:
                    published = one.published and one.statistic + peak.shortfall >= threshold
                    published &= not _like_a_step(_beside(background, onset, peaks, peak), network, peak, one)
                    every.append(replace(one, published=published))
            return Found(current, network, onset, threshold, tuple(sorted(every, key=lambda d: d.day)))
        del peaks[weakest]
        current = with_events(background, [(p.day, p.duration_d) for p in peaks])
    return Found(background, network, onset, threshold, ())


def _beside_each_other(background: Background, onset: Onset, network: Network, peaks: Sequence[Peak]) -> list[Peak]:
    """Times of each beside all others: when it was found, some of them were not known."""
    out = list(peaks)
    for number, peak in enumerate(peaks):
        out[number] = _refined(network, _beside(background, onset, out, peak), peak)
    return out


def _beside(background: Background, onset: Onset, peaks: Sequence[Peak], peak: Peak) -> Onset:
    """Onsets beside all peaks but one."""
    others = [(p.day, p.duration_d) for p in peaks if p is not peak]
    return onset_of(with_events(background, others), onset.scale, onset.smoothing)


def _like_a_step(alone: Onset, network: Network, peak: Peak, found: Detection) -> bool:
    """Whether a step of all stations together explains as much as the source, at the step's own best day."""
    ramps = alone.ramps(peak.duration_d)
    stations = int(np.isfinite(found.std[:, 0]).sum())
    if stations == 1:
        return False
    day = np.arange(max(0, peak.day - NEAR_D), min(ramps.z.shape[2], peak.day + NEAR_D + 1))
    margin = MORE_PARAMETERS_T2 if stations > FEW_STATIONS else 0.0
    return found.statistic < float(network.of_a_step(ramps, day).max()) + margin


def with_tails(onset: Onset, cleaned: Onset) -> Onset:
    """Onsets whose scale covers the tails of what is left beside the events: some noise is far from Gaussian."""
    z = np.abs(half_differenced(cleaned.ramps(CORRELATION_D).z))
    rows = [row[np.isfinite(row)] for row in z.reshape(-1, z.shape[2])]
    usual = norm.ppf((1 + TAIL) / 2)
    tail = np.array([np.log(np.quantile(row, TAIL) / usual) if len(row) else 0.0 for row in rows])
    # What chance makes of the quantile of so many independent numbers.
    density = 2.0 * usual * norm.pdf(usual)
    chance = np.array([TAIL * (1 - TAIL) * CORRELATION_D / max(len(row), 1) / density**2 for row in rows])
    real = max(0.0, float(np.mean(tail**2 - chance)))
    wider = np.exp(np.maximum(0.0, tail * real / (real + chance)))
    return replace(onset, scale=onset.scale * wider.reshape(onset.scale.shape))


def peaks_of(network: Network, onset: Onset, threshold: float, durations_d: Sequence[int] = COARSE_D) -> list[Peak]:
    """Local maxima over onset and duration of the network's statistic, strongest first."""
    rows: list[tuple[float, int, int, int]] = []
    for duration in durations_d:
        day = np.arange(0, onset.score.shape[2], max(1, duration // 5))
        best, which = network.statistic(onset.ramps(duration), day)
        for i in np.flatnonzero(best >= threshold):
            rows.append((float(best[i]), int(day[i]), duration, int(which[i])))
    chosen: list[Peak] = []
    for statistic, day_, duration, source in sorted(rows, reverse=True):
        peak = Peak(day_, duration, statistic, source, day_, day_)
        if not any(_overlap(peak, other) for other in chosen):
            chosen.append(peak)
    return chosen


def strongest(peaks: Sequence[Peak]) -> list[Peak]:
    """Those of peaks, strongest first, that none stronger is near."""
    chosen: list[Peak] = []
    for peak in peaks:
        if all(abs(peak.day - other.day) >= ALONE_D for other in chosen):
            chosen.append(peak)
    return chosen


def _overlap(one: Peak, other: Peak) -> bool:
    gap = max(one.day, other.day) - min(one.day + one.duration_d, other.day + other.duration_d)
    return gap < APART_D


def _refined(network: Network, onset: Onset, peak: Peak) -> Peak:
    """The best first day and duration between the grid's, and the interval of first days."""
    reach = max(15, peak.duration_d)
    day = np.arange(max(0, peak.day - reach), min(onset.score.shape[2], peak.day + reach + 1))
    durations = [d for d in DURATIONS_D if d <= max(4, 2.5 * peak.duration_d)]
    tried = [(duration, *network.statistic(onset.ramps(duration), day)) for duration in durations]
    table = np.stack([t2 for _, t2, _ in tried])
    # The shortest of durations that explain about as much, and the middle of the days that do (a gap).
    row = int(np.argmax(table.max(axis=1) >= table.max() - LONGER_T2))
    best = np.flatnonzero(table[row] >= table[row].max() - EQUAL_T2)
    column = int(best[len(best) // 2])
    possible = day[table.max(axis=0) >= table.max() - INTERVAL_T2]
    return Peak(
        int(day[column]), durations[row], float(table[row, column]), int(tried[row][2][column]),
        int(possible.min()), int(possible.max()), float(table.max() - table[row, column]),
    )  # fmt: skip
