"""Daily GNSS positions of the Ismetpasa twin's stations, in the format of the Nevada Geodetic Laboratory."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pyproj import Geod
from scipy.signal import fftconvolve

from slipscan.synthetic import ismetpasa, north_anatolian, terrain
from slipscan.synthetic.movers import Mover, days_of

Float = NDArray[np.float64]

FIRST_DAY, LAST_DAY = datetime.date(2015, 1, 1), datetime.date(2021, 12, 31)
GAP_FRACTION = 0.03
WHITE_STD_M = (1.5e-3, 1.5e-3, 4e-3)
FLICKER = (2e-3, 2e-3, 7e-3)
"""Amplitude of the flicker noise of east, north, up, m yr^-1/4 (Mao et al. 1999)."""
COMMON_MODE_STD_M = 1e-3
ANNUAL_M = (1e-3, 1e-3, 2e-3)
"""Annual amplitude of a station of its own (thermal expansion, multipath), beside the ground's season."""
FORMAL_STD_M = (0.8e-3, 0.7e-3, 3.1e-3)
HEADER = (
    "site YYMMMDD yyyy.yyyy __MJD week d reflon _e0(m) __east(m) ____n0(m) _north(m) u0(m) ____up(m) _ant(m)"
    " sig_e(m) sig_n(m) sig_u(m) __corr_en __corr_eu __corr_nu _latitude(deg) _longitude(deg) __height(m)"
)
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_MJD_OF_ORDINAL_ZERO = -678576
_GEOD = Geod(ellps="WGS84")


def flicker_noise(generator: np.random.Generator, count: int, step_yr: float) -> Float:
    """Flicker noise (count,) of amplitude 1 yr^-1/4 by fractional differencing.

    White noise filtered with h_0 = 1, h_k = h_(k-1) (k - 1/2) / k, times step^(1/4) (Williams 2003, J. Geodesy
    76, 483; Hosking 1981), by fast convolution. As many steps again run before the first one, so that the
    series does not start from rest.
    """
    k = np.arange(1, 2 * count)
    response = np.concatenate(([1.0], np.cumprod((k - 0.5) / k)))
    white = generator.standard_normal(2 * count)
    return np.asarray(fftconvolve(white, response)[count : 2 * count] * step_yr**0.25)


def station_displacement(
    station: ismetpasa.Station, days: Float, planted: Sequence[Mover], seed: int, common_share: float = 0.0
) -> Float:
    """What a station records (time, 3) at daily `days` since 2014-01-01: ground, noise, common mode; metres.

    `common_share` of the flicker noise's variance is that of all stations.
    """
    lon, lat = station.lonlat()
    truth = ismetpasa.ground([lon], [lat], days, planted)[:, 0]
    own = np.random.default_rng([seed, 11, *station.id.encode()])
    network = np.random.default_rng([seed, 12])
    common = COMMON_MODE_STD_M * network.standard_normal((len(days), 3))
    flicker = np.stack([flicker_noise(own, len(days), 1 / 365.25) for _ in range(3)], axis=1) * FLICKER
    if common_share:
        shared = np.stack([flicker_noise(network, len(days), 1 / 365.25) for _ in range(3)], axis=1) * FLICKER
        flicker = math.sqrt(1 - common_share) * flicker + math.sqrt(common_share) * shared
    white = own.standard_normal((len(days), 3)) * WHITE_STD_M
    phase = 2 * np.pi * (days[:, None] / 365.25 - own.random(3))
    return np.asarray(truth + common + flicker + white + np.cos(phase) * ANNUAL_M)


def tenv3(
    station: ismetpasa.Station,
    planted: Sequence[Mover],
    seed: int,
    common_share: float = 0.0,
    antennas: Sequence[north_anatolian.Antenna] = (),
) -> str:
    """One station's file: header and a line a day, some days missing; byte-identical for equal input.

    Of `antennas` those of this station bring their steps.
    """
    count = (LAST_DAY - FIRST_DAY).days + 1
    first = (FIRST_DAY - datetime.date(2014, 1, 1)).days
    days = np.arange(count, dtype=float) + (first + 0.5)
    enu = station_displacement(station, days, planted, seed, common_share)
    for antenna in antennas:
        if antenna.station == station.id:
            enu += (days >= days_of(antenna.date))[:, None] * np.array(antenna.enu_m)
    generator = np.random.default_rng([seed, 13, *station.id.encode()])
    present = generator.random(count) >= GAP_FRACTION
    formal = np.abs(1 + 0.08 * generator.standard_normal((count, 3))) * FORMAL_STD_M
    correlation = 0.05 * generator.standard_normal((count, 3))
    lon, lat = station.lonlat()
    origin = (lon, lat, float(terrain.height([lon], [lat])[0]))
    dates = {day: FIRST_DAY + datetime.timedelta(days=day) for day in np.flatnonzero(present).tolist()}
    lines = [
        format_line(station.id, date, origin, enu[day], formal[day], correlation[day]) for day, date in dates.items()
    ]
    return "\n".join((HEADER, *lines)) + "\n"


def steps(antennas: Sequence[north_anatolian.Antenna]) -> str:
    """NGL's table of steps: a line an antenna."""
    return "".join(f"{a.station} {_label(a.date)} 1 Antenna_Type_Changed\n" for a in antennas)


def _label(date: datetime.date) -> str:
    """A date as YYMMMDD."""
    return f"{date.year % 100:02d}{_MONTHS[date.month - 1]}{date.day:02d}"


def format_line(
    site: str,
    date: datetime.date,
    origin: tuple[float, float, float],
    enu: Float,
    formal: Float,
    correlation: Float,
) -> str:
    """One line of a tenv3 file.

    Parameters
    ----------
    site
        four characters
    date
        the day
    origin
        longitude, latitude (degrees) and height (metres) of the station at a displacement of zero
    enu, formal, correlation
        (3,) displacement and its formal standard deviations, metres; correlations en, eu, nu

    Returns
    -------
    line
        23 columns; east is counted from the meridian `reflon`, north from the equator, up from the ellipsoid,
        each split into whole metres and a fraction
    """
    lon, lat, height = origin
    reference = round(lon, 1)
    sin = math.sin(math.radians(lat))
    parallel = _GEOD.a / math.sqrt(1 - _GEOD.es * sin**2) * math.cos(math.radians(lat))
    meridian = _GEOD.a * (1 - _GEOD.es) / (1 - _GEOD.es * sin**2) ** 1.5
    north0 = math.copysign(_GEOD.inv(lon, 0.0, lon, lat)[2], lat)
    e, n, u = (float(v) for v in enu)
    east, north, up = parallel * math.radians(lon - reference) + e, north0 + n, height + u
    (e0, de), (n0, dn), (u0, du) = (_split(value) for value in (east, north, up))
    mjd = date.toordinal() + _MJD_OF_ORDINAL_ZERO
    week, weekday = divmod(mjd - 44244, 7)
    now = (lat + math.degrees(n / meridian), lon + math.degrees(e / parallel), up)
    return (
        f"{site:4s} {_label(date)} {2000 + (mjd - 51544) / 365.25:9.4f} {mjd:5d} {week:4d} {weekday:1d}"
        f" {reference:6.1f} {e0:6d} {de:9.6f} {n0:9d} {dn:9.6f} {u0:5d} {du:9.6f} {0.0:7.4f}"
        + "".join(f" {v:8.6f}" for v in formal)
        + "".join(f" {v:9.6f}" for v in correlation)
        + f" {now[0]:14.10f} {now[1]:15.10f} {now[2]:11.5f}"
    )


def _split(value: float) -> tuple[int, float]:
    """Whole metres (toward zero) and the rest."""
    whole = math.trunc(value)
    return whole, value - whole
