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
from slipscan.geometry import to_lonlat
from slipscan.gnss.background import Background, fit_background, with_events
from slipscan.gnss.bank import KINDS, source_bank
from slipscan.gnss.correlation import distances_km, station_correlation
from slipscan.gnss.daily import DailySeries
from slipscan.gnss.scan import DURATIONS_D, Onset, onset_of
from slipscan.gnss.statistic import Network
from slipscan.gnss.steps import Step
from slipscan.settings_gnss import GnssDetectSettings
from slipscan.source.sources import local_crs

Float = NDArray[np.float64]

COARSE_D = (1, 3, 7, 15, 30, 60)
ROUNDS = 3
APART_D = 30
"""Two events of a round are so far apart at least, and as far as the longer lasts."""
INTERVAL_T2 = 4.0
"""Onsets and durations whose T2 is at most so much lower are possible too (95 %)."""
EQUAL_T2 = 0.1
"""First days that differ by less are equal."""
TAIL = 0.99
CORRELATION_D = 3
"""Duration of the ramps whose scatter tells how stations are correlated."""
SUSPECTED_T2, SUSPECTED_PER_YR, SUSPECTED_D = 16.0, 0.5, 30
"""What may be an event, when the noise is estimated: from such a T2 on, the strongest, so many a year, as long at most.

Longer ones nobody can tell from a random walk: a volcano's unrest of months would be events, and hide short ones."""
MIN_SEARCHED = 730
"""Positions of a station: less than two years tell no rate from an event."""


@dataclass(frozen=True)
class Detection:
    """A transient of a network.

    Attributes
    ----------
    day, duration_d
        its first day (number) and duration; a step has one day
    day_from, day_to
        interval of possible first days
    statistic
        T2 of the best source
    share
        of what the stations show together, beyond chance, that the source explains
    without_one
        lowest T2 of the source when any one station is left out; NaN for a station alone
    second
        T2 of a second source beside the best
    kind
        one of KINDS, or 'mixed'
    longitude, latitude, depth_km, strike_deg, dip_deg
        of the best source
    published
        whether it meets all criteria
    displacement, std
        (station, 3) east, north, up in metres; NaN where a station cannot tell
    """

    day: int
    duration_d: int
    day_from: int
    day_to: int
    statistic: float
    share: float
    without_one: float
    second: float
    kind: str
    longitude: float
    latitude: float
    depth_km: float
    strike_deg: float
    dip_deg: float
    published: bool
    displacement: Float
    std: Float


@dataclass(frozen=True)
class Found:
    """What a search gave: the trajectories with the events in them, the network, the threshold and the events."""

    background: Background
    network: Network
    onset: Onset
    threshold: float
    detections: tuple[Detection, ...]


@dataclass(frozen=True)
class _Peak:
    day: int
    duration_d: int
    statistic: float
    source: int
    day_from: int
    day_to: int


def prepare(series: DailySeries, steps: Mapping[str, Sequence[Step]]) -> tuple[Background, Onset, Network]:
    """Trajectories, onsets, and the network with the correlation of its noise.

    Noise, its scatter and its correlation are those beside what may be events: two of them in some years, left among
    the noise, pass for a random walk that hides them both.
    """
    background = fit_background(series, steps)
    onset, network = _onsets(background)
    most = max(1, round(SUSPECTED_PER_YR * series.position.shape[2] / DAYS_PER_YEAR))
    suspected = peaks_of(network, onset, SUSPECTED_T2, [d for d in COARSE_D if d <= SUSPECTED_D])[:most]
    if not suspected:
        return background, onset, network
    beside = fit_background(series, steps, [(peak.day, peak.duration_d) for peak in suspected])
    its_onset, network = _onsets(beside)
    background = with_events(beside, ())
    return background, onset_of(background, its_onset.scale, its_onset.smoothing), network


def _onsets(background: Background) -> tuple[Onset, Network]:
    series, onset = background.series, onset_of(background)
    correlation = station_correlation(onset.ramps(CORRELATION_D).z, distances_km(series.longitude, series.latitude))
    return onset, Network(correlation, source_bank(series.longitude, series.latitude))


def search(
    background: Background, onset: Onset, network: Network, threshold: float, settings: GnssDetectSettings
) -> Found:
    """Find transients above a threshold of T2 (see `threshold.simulated`)."""
    peaks: list[_Peak] = []
    current, its_onset = background, onset
    for _ in range(ROUNDS):
        count = len(peaks)
        for peak in peaks_of(network, its_onset, threshold):
            refined = _refined(network, its_onset, peak)
            if not any(_overlap(refined, other) for other in peaks):
                peaks.append(refined)
        if len(peaks) == count:
            break
        current = with_events(background, [(p.day, p.duration_d) for p in peaks])
        its_onset = onset_of(current, onset.scale, onset.smoothing)
    onset = with_tails(onset, its_onset)
    # What stood out alone may be nothing beside the others.
    while peaks:
        described = [_described(current, network, onset, peak, settings) for peak in peaks]
        kept = [
            p for p, d in zip(peaks, described, strict=True) if d is not None and d.statistic >= threshold - INTERVAL_T2
        ]
        if len(kept) == len(peaks):
            found = sorted((d for d in described if d is not None), key=lambda d: d.day)
            return Found(current, network, onset, threshold, tuple(found))
        peaks = kept
        current = with_events(background, [(p.day, p.duration_d) for p in peaks])
    return Found(background, network, onset, threshold, ())


def with_tails(onset: Onset, cleaned: Onset) -> Onset:
    """Onsets whose scale covers the tails of what is left beside the events: some noise is far from Gaussian."""
    z = np.abs(cleaned.ramps(CORRELATION_D).z)
    rows = [row[np.isfinite(row)] for row in z.reshape(-1, z.shape[2])]
    tail = [np.quantile(row, TAIL) / norm.ppf((1 + TAIL) / 2) if len(row) else 1.0 for row in rows]
    return replace(onset, scale=onset.scale * np.maximum(1.0, np.array(tail).reshape(onset.scale.shape)))


def peaks_of(network: Network, onset: Onset, threshold: float, durations_d: Sequence[int] = COARSE_D) -> list[_Peak]:
    """Local maxima over onset and duration of the network's statistic, strongest first."""
    rows: list[tuple[float, int, int, int]] = []
    for duration in durations_d:
        day = np.arange(0, onset.score.shape[2], max(1, duration // 5))
        best, which = network.statistic(onset.ramps(duration), day)
        for i in np.flatnonzero(best >= threshold):
            rows.append((float(best[i]), int(day[i]), duration, int(which[i])))
    chosen: list[_Peak] = []
    for statistic, day_, duration, source in sorted(rows, reverse=True):
        peak = _Peak(day_, duration, statistic, source, day_, day_)
        if not any(_overlap(peak, other) for other in chosen):
            chosen.append(peak)
    return chosen


def _overlap(one: _Peak, other: _Peak) -> bool:
    gap = max(one.day, other.day) - min(one.day + one.duration_d, other.day + other.duration_d)
    return gap < APART_D


def _refined(network: Network, onset: Onset, peak: _Peak) -> _Peak:
    """The best first day and duration between the grid's, and the interval of first days."""
    reach = max(15, peak.duration_d)
    day = np.arange(max(0, peak.day - reach), min(onset.score.shape[2], peak.day + reach + 1))
    durations = [d for d in DURATIONS_D if d <= max(4, 2.5 * peak.duration_d)]
    tried = [(duration, *network.statistic(onset.ramps(duration), day)) for duration in durations]
    table = np.stack([t2 for _, t2, _ in tried])
    # The shortest of durations that are possible, and the middle of the days that explain it about as well (a gap).
    row = int(np.argmax(table.max(axis=1) >= table.max() - INTERVAL_T2))
    best = np.flatnonzero(table[row] >= table[row].max() - EQUAL_T2)
    column = int(best[len(best) // 2])
    possible = day[table.max(axis=0) >= table.max() - INTERVAL_T2]
    return _Peak(
        int(day[column]), durations[row], float(table[row, column]), int(tried[row][2][column]),
        int(possible.min()), int(possible.max()),
    )  # fmt: skip


def _described(
    background: Background, network: Network, onset: Onset, peak: _Peak, settings: GnssDetectSettings
) -> Detection | None:
    """None where no station has days on both sides of the event and of its neighbours."""
    displacement, std = _displacement(background, peak)
    stations = np.isfinite(std[:, 0])
    if not stations.any():
        return None
    sigma = std[stations] * onset.scale[stations]
    z = displacement[stations] / sigma
    t2, source, share, second = _strength(network, stations, z, sigma)
    alone = int(stations.sum()) == 1
    without = float("nan") if alone else _without_one(network, source, stations, z, sigma)
    mixed = second > max(settings.mixed_statistic, settings.mixed_share * t2)
    published = alone or mixed or share > settings.min_share
    published &= alone or (without >= settings.min_without_one and t2 > _of_a_step(network, stations, z, sigma))
    published &= peak.duration_d <= COARSE_D[-1]  # longer ones have no duration: a change of rate looks like that
    longitude, latitude = _place(background.series, network, source)
    bank = network.bank
    return Detection(
        peak.day, peak.duration_d, peak.day_from, peak.day_to, t2, share, without, second,
        "mixed" if mixed else KINDS[int(bank.kind[source])], longitude, latitude,
        float(bank.depth[source]) / 1e3, float(bank.strike_deg[source]), float(bank.dip_deg[source]),
        bool(published), displacement, std * np.maximum(1.0, onset.scale),
    )  # fmt: skip


def _strength(network: Network, stations: NDArray[np.bool_], z: Float, sigma: Float) -> tuple[float, int, float, float]:
    """T2 and number of the best source, the share that it explains, and T2 of a second source beside it."""
    white = network.whitened(z, stations)
    basis = network.basis_of(np.arange(len(network.bank.kind)), stations, sigma)
    t2 = np.sum((basis @ white) ** 2, axis=1)
    best = int(np.argmax(t2))
    own = basis[best]
    left = white - own.T @ (own @ white)
    # Of the other sources, what the best one cannot do.
    rest = basis - (basis @ own.T) @ own
    size = np.linalg.norm(rest, axis=2)
    first = rest[:, 0] / np.maximum(size[:, :1], 1e-9)
    other = rest[:, 1] - np.sum(rest[:, 1] * first, axis=1, keepdims=True) * first
    length = np.linalg.norm(other, axis=1, keepdims=True)
    other /= np.maximum(length, 1e-9)
    gain = np.where(size[:, 0] > 0.05, (first @ left) ** 2, 0.0) + np.where(length[:, 0] > 0.05, (other @ left) ** 2, 0)
    # Chance alone leaves as much as there are numbers that the source does not fit.
    unexplained = max(0.0, float(np.sum(left**2)) - (len(white) - np.count_nonzero(own.any(axis=1))))
    return float(t2[best]), best, float(t2[best] / (t2[best] + unexplained)), float(gain.max())


def _without_one(network: Network, source: int, stations: NDArray[np.bool_], z: Float, sigma: Float) -> float:
    """Lowest T2 of a source when any one of the stations is left out."""
    lowest = np.inf
    for left_out, station in enumerate(np.flatnonzero(stations)):
        rest, kept = stations.copy(), np.arange(len(z)) != left_out
        rest[station] = False
        basis = network.basis_of(np.array([source]), rest, sigma[kept])[0]
        lowest = min(lowest, float(np.sum((basis @ network.whitened(z[kept], rest)) ** 2)))
    return lowest


def _of_a_step(network: Network, stations: NDArray[np.bool_], z: Float, sigma: Float) -> float:
    """T2 of a step of all stations together: of a new frame, or of a satellite's antenna."""
    alike = np.linalg.qr(network.whitened(np.eye(3) / sigma[:, :, None], stations))[0]
    return float(np.sum((alike.T @ network.whitened(z, stations)) ** 2))


def _displacement(background: Background, peak: _Peak) -> tuple[Float, Float]:
    """Displacements (station, 3) and their standard deviations from the fit of all events; NaN where there is none."""
    count = len(background.series.names)
    displacement, std = np.full((count, 3), np.nan), np.full((count, 3), np.nan)
    for row, terms in enumerate(background.terms):
        for column, term in enumerate(terms):
            if term.kind == "event" and (term.day, term.time_d) == (peak.day, peak.duration_d):
                rows = slice(3 * row, 3 * row + 3)
                displacement[row] = background.fitted.parameters[rows, column]
                std[row] = np.sqrt(background.fitted.covariance[rows, column, column])
    return displacement, std


def _place(series: DailySeries, network: Network, source: int) -> tuple[float, float]:
    crs = local_crs(float(np.mean(series.longitude)), float(np.mean(series.latitude)))
    lon, lat = to_lonlat(network.bank.east[source], network.bank.north[source], crs)
    return float(lon), float(lat)
