"""What a found transient of a network is: its source, its displacements, and whether it is published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slipscan.geometry import to_lonlat
from slipscan.gnss.background import Background
from slipscan.gnss.bank import FREE, KINDS
from slipscan.gnss.daily import DailySeries
from slipscan.gnss.scan import Onset
from slipscan.gnss.statistic import Network
from slipscan.settings_gnss import GnssDetectSettings
from slipscan.source.sources import local_crs

Float = NDArray[np.float64]

LONGEST_D = 60
"""Longer transients have no duration, and are not published: a change of rate looks like that."""


FINER, FEW_STATIONS = (2.0, 4.0, 8.0), 2
"""Steps of the lattice over which the best source is made better, one after another; the numbers of two stations are
fewer than a source has, and one between the lattice's would explain whatever they show."""
LEFT_OUT = 30
"""Stations that are left out in turn, at most."""


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
    t2, source = _best(network, stations, z, sigma)
    finer = FINER if int(stations.sum()) > FEW_STATIONS else ()
    own, shape = _near(network, source, finer, stations, z, sigma)
    kind = int(network.bank.kind[source])
    fitted = int(np.count_nonzero(own.any(axis=1))) + (sum(FREE[kind]) if finer else 0)
    share, second = _share(network.whitened(z, stations), own, fitted), _second(network, own, stations, z, sigma)
    alone = int(stations.sum()) == 1
    without = float("nan") if alone else _without_one(network, source, stations, z, sigma)
    mixed = second > max(settings.mixed_statistic, settings.mixed_share * t2)
    published = alone or mixed or share > settings.min_share
    published &= alone or without >= settings.min_without_one
    published &= peak.duration_d <= LONGEST_D
    east, north, depth, strike, dip, _ = shape
    longitude, latitude = _place(background.series, east, north)
    return Detection(
        peak.day, peak.duration_d, peak.day_from, peak.day_to, t2, share, without, second,
        "mixed" if mixed else KINDS[kind], longitude, latitude, depth / 1e3, strike, dip,
        bool(published), displacement, std * np.maximum(1.0, onset.scale),
    )  # fmt: skip


def publishable(network: Network, source: int, z: Float, sigma: Float, settings: GnssDetectSettings) -> bool:
    """Whether a source explains enough of (station, 3) ramps, without any one station, too, to be published."""
    stations = np.isfinite(z[:, 0])
    if int(stations.sum()) == 1:
        return True
    z, sigma = z[stations], sigma[stations]
    own = network.basis_of(np.array([source]), stations, sigma)[0]
    share = _share(network.whitened(z, stations), own, int(np.count_nonzero(own.any(axis=1))))
    if share <= settings.min_share:
        return False
    return _without_one(network, source, stations, z, sigma) >= settings.min_without_one


def _best(network: Network, stations: NDArray[np.bool_], z: Float, sigma: Float) -> tuple[float, int]:
    """T2 and number of the best source of the bank."""
    basis = network.basis_of(np.arange(len(network.bank.kind)), stations, sigma)
    t2 = np.sum((basis @ network.whitened(z, stations)) ** 2, axis=1)
    best = int(np.argmax(t2))
    return float(t2[best]), best


def _near(
    network: Network, source: int, finer: Sequence[float], stations: NDArray[np.bool_], z: Float, sigma: Float
) -> tuple[Float, list[float]]:
    """Orthonormal vectors (2, 3 station) and shape of the best source near one of the bank.

    A strong event seldom lies on the lattice, and what the nearest source leaves would pass for a second one.
    """
    white, kind = network.whitened(z, stations), int(network.bank.kind[source])
    shape = network.bank.shape[source]
    own = network.basis_of(np.array([source]), stations, sigma)[0]
    for steps in finer:
        near = Network(network.correlation, network.bank.near(kind, shape, steps))
        basis = near.basis_of(np.arange(len(near.bank.kind)), stations, sigma)
        best = int(np.argmax(np.sum((basis @ white) ** 2, axis=1)))
        own, shape = basis[best], near.bank.shape[best]
    return own, shape.tolist()


def _share(white: Float, own: Float, fitted: int) -> float:
    """The share of whitened displacements (3 station,) that a source of vectors (2, 3 station) explains.

    Chance alone leaves as much as there are numbers that the source does not fit.
    """
    explained = float(np.sum((own @ white) ** 2))
    unexplained = max(0.0, float(np.sum(white**2)) - explained - max(0, len(white) - fitted))
    return explained / (explained + unexplained)


def _second(network: Network, own: Float, stations: NDArray[np.bool_], z: Float, sigma: Float) -> float:
    """T2 of a second source beside one of vectors (2, 3 station)."""
    white = network.whitened(z, stations)
    basis = network.basis_of(np.arange(len(network.bank.kind)), stations, sigma)
    left = white - own.T @ (own @ white)
    # Of the other sources, what this one cannot do.
    rest = basis - (basis @ own.T) @ own
    size = np.linalg.norm(rest, axis=2)
    first = rest[:, 0] / np.maximum(size[:, :1], 1e-9)
    other = rest[:, 1] - np.sum(rest[:, 1] * first, axis=1, keepdims=True) * first
    length = np.linalg.norm(other, axis=1, keepdims=True)
    other /= np.maximum(length, 1e-9)
    gain = np.where(size[:, 0] > 0.05, (first @ left) ** 2, 0.0) + np.where(length[:, 0] > 0.05, (other @ left) ** 2, 0)
    return float(gain.max())


def _without_one(network: Network, source: int, stations: NDArray[np.bool_], z: Float, sigma: Float) -> float:
    """Lowest T2 of a source when any one of the stations is left out, of those that show most."""
    lowest, numbers = np.inf, np.flatnonzero(stations)
    for left_out in np.argsort(-np.sum(z**2, axis=1), kind="stable")[:LEFT_OUT]:
        station = numbers[left_out]
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


def _place(series: DailySeries, east: float, north: float) -> tuple[float, float]:
    crs = local_crs(float(np.mean(series.longitude)), float(np.mean(series.latitude)))
    lon, lat = to_lonlat(np.array(east), np.array(north), crs)
    return float(lon), float(lat)
