"""Series of GNSS stations that saw a known transient, for the tests of fit and verdict."""

import numpy as np

from slipscan.gnss.tenv3 import Station
from transient_builders import CENTRE, daily, flicker

DATES = ("2018-12-01", "2018-12-31")
INTERVAL = tuple(np.datetime64(d, "ns") for d in DATES)
DAYS = daily("2016-12-16", 1460)
FLICKER_M = np.array([3e-3, 3e-3, 10e-3])


def station(seed=0, enu=(5e-3, -3e-3, 2e-3), interval=DATES, noise=1.0, days=DAYS, name="TEST"):
    """A station with rate, season, white (1, 1, 3 mm) and flicker (3, 3, 10 mm) noise, gaps and a transient."""
    generator = np.random.default_rng(seed)
    count = len(days)
    start, end = (np.datetime64(d, "ns") for d in interval)
    share = np.clip((days - start) / max(end - start, np.timedelta64(1, "h")), 0, 1)
    year = np.arange(count) / 365.25
    series = share[:, None] * np.array(enu) + year[:, None] * [0.02, -0.01, 0.002]
    series += 2e-3 * np.cos(2 * np.pi * year + 1)[:, None] + [1056.0, 2134135.0, 700.0]
    white = generator.standard_normal((count, 3)) * [1e-3, 1e-3, 3e-3]
    series += noise * (white + np.stack([flicker(generator, count, f) for f in FLICKER_M], axis=1))
    kept = generator.random(count) > 0.1
    sigma = np.tile([0.8e-3, 0.8e-3, 3e-3], (kept.sum(), 1))
    zero = np.zeros((kept.sum(), 3))
    return Station(name, *CENTRE, 700.0, days[kept], series[kept], sigma, zero, np.zeros(kept.sum(), np.int64))
