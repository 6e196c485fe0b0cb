"""What a found transient of a network is: its source, its displacements, and whether it is published."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slipscan.geometry import to_lonlat
from slipscan.gnss.background import Background
from slipscan.gnss.bank import KINDS
from slipscan.gnss.daily import DailySeries
from slipscan.gnss.scan import Onset
from slipscan.gnss.statistic import Network
from slipscan.settings_gnss import GnssDetectSettings
from slipscan.source.sources import local_crs

Float = NDArray[np.float64]

LONGEST_D = 60
"""Longer transients have no duration, and are not published: a change of rate looks like that."""


@dataclass(frozen=True)
class Peak:
    """A maximum of the network's statistic.

    Attributes
    ----------
    day, duration_d
        first day (number) and duration
    statistic
        T2 of the source of number `source`
    source
        number in the bank
    day_from, day_to
        interval of possible first days
    shortfall
        by how much another duration explains more
    """

    day: int
    duration_d: int
    statistic: float
    source: int
    day_from: int
    day_to: int
    shortfall: float = 0.0


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


def described(
    background: Background, network: Network, onset: Onset, peak: Peak, settings: GnssDetectSettings
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
    published &= alone or without >= settings.min_without_one
    published &= peak.duration_d <= LONGEST_D
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


def _displacement(background: Background, peak: Peak) -> tuple[Float, Float]:
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
