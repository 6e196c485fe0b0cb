"""How sure the events of a region are: false alarms as significant as an event, tracks joined, and p_real.

What is counted are *false alarms to be expected in all scans of the region*, which is known from null stacks without
any assumption on real events: it is the decoys' side of a local false discovery rate, whose other side is how many
events there are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from slipscan.fit.model import DAYS_PER_YEAR
from slipscan.source.join import JOIN_DISTANCE_KM, TrackTransient
from slipscan.source.maps import TrackMaps

Float = NDArray[np.float64]

YEAR: Final = np.timedelta64(round(DAYS_PER_YEAR * 86400), "s")


@dataclass(frozen=True)
class Scan:
    """What of a track was scanned.

    Attributes
    ----------
    area, years
        10,000 km2, and years
    rate
        false alarms per 10,000 km2 and year that the threshold stands for
    """

    area: float
    years: float
    rate: float

    @property
    def exposure(self) -> float:
        """10,000 km2 x years."""
        return self.area * self.years


def scan_of(track: TrackMaps) -> Scan:
    """The scan of a track."""
    attrs = track.dataset.attrs
    start, end = (np.datetime64(str(attrs[name])[:10], "D") for name in ("window_start", "window_end"))
    years = float((end - start) / YEAR)
    return Scan(float(attrs["area_km2"]) / 1e4, years, float(attrs["false_alarms_per_1e4km2_yr"]))


def false_alarms(tracks: Sequence[TrackMaps], group: Sequence[TrackTransient], gap_d: float) -> float:
    """False alarms to be expected in all scans of the region that are as significant as an event.

    Parameters
    ----------
    tracks, group
        of the region; the transients of the event
    gap_d
        days between transients of two tracks that are still one event

    Returns
    -------
    expected
        of one track: its rate times the exposure of all tracks. Of several: the smaller of that and of what two
        tracks have by chance in one place and time, doubled, since the smaller of two was taken. Chance pairs are
        R_a E_a R_b E_b q at the thresholds, with rates R, exposures E and the share q of place and time within which
        two are joined; as significant by the product of their rates are u (1 - ln u) of them, u = r_a r_b / R_a R_b
        (Fisher 1932, the product of two uniform numbers). Noise of tracks counts as independent: they are imaged at
        other hours. NaN: detect did not say
    """
    scans = [scan_of(track) for track in tracks]
    best: dict[int, tuple[float, TrackTransient]] = {}
    for member in group:
        dataset = tracks[member.track].dataset
        if "false_alarms" not in dataset:
            return math.nan
        rate = float(dataset["false_alarms"].values[member.number]) / max(scans[member.track].exposure, 1e-12)
        if member.track not in best or rate < best[member.track][0]:
            best[member.track] = rate, member
    ranked = sorted(best.values(), key=lambda pair: pair[0])
    alone = ranked[0][0] * sum(scan.exposure for scan in scans)
    if len(ranked) == 1:
        return alone
    pairs = len(scans) * (len(scans) - 1) / 2
    return 2.0 * min(alone, pairs * _by_chance(scans, ranked[0], ranked[1], gap_d))


def _by_chance(
    scans: Sequence[Scan], one: tuple[float, TrackTransient], other: tuple[float, TrackTransient], gap_d: float
) -> float:
    """False pairs of two tracks as significant as two transients (rate, transient)."""
    (rate_a, a), (rate_b, b) = one, other
    scan_a, scan_b = scans[a.track], scans[b.track]
    reach_km = _radius_km(a) + _radius_km(b) + JOIN_DISTANCE_KM
    longest = sum(float((t.t95 - t.t05) / np.timedelta64(1, "D")) for t in (a, b)) + 2 * gap_d
    near = min(1.0, math.pi * reach_km**2 / 1e4 / scan_b.area) * min(1.0, longest / DAYS_PER_YEAR / scan_b.years)
    at_threshold = scan_a.rate * scan_a.exposure * scan_b.rate * scan_b.exposure * near
    share = min(1.0, rate_a / scan_a.rate) * min(1.0, rate_b / scan_b.rate)
    return at_threshold * share * (1.0 - math.log(max(share, 1e-300)))


def _radius_km(transient: TrackTransient) -> float:
    """Of the circle about the middle of a footprint's box that holds the box."""
    west, south, east, north = transient.footprint.bounds
    km = 111.2
    return 0.5 * math.hypot((east - west) * km * math.cos(math.radians((south + north) / 2)), (north - south) * km)


def p_real(expected: Float, p_residue: Float) -> Float:
    """Probability that an event is neither a false alarm nor a residue.

    Parameters
    ----------
    expected
        (event,) false alarms to be expected that are as significant (`false_alarms`), all events of a region; NaN: not
        known
    p_residue
        (event,) probability that it is a residue

    Returns
    -------
    p_real
        (event,) (1 - local false discovery rate) (1 - p_residue). Against the expected number false alarms have a
        density of one; the density of all events is Grenander's, the slope of the least concave majorant of their
        number (Grenander 1956; Strimmer 2008, doi 10.1186/1471-2105-9-303), and its inverse is the local false
        discovery rate. Where there is no event in truth, any reaches p_real of 1 - q with probability q at most
        (Daniels 1945). Residues count by what is left of them, lest they vouch for false alarms. NaN where expected is
    """
    out = np.full(len(expected), np.nan)
    known = np.isfinite(expected)
    if not known.any():
        return out
    places, number = np.unique(np.maximum(expected[known], 1e-12), return_inverse=True)
    counts = np.bincount(number, weights=1.0 - p_residue[known])
    widths = np.diff(places, prepend=0.0)
    density = isotonic_regression(counts / widths, weights=widths, increasing=False).x
    local = np.minimum(1.0, 1.0 / np.maximum(density, 1e-12))
    out[known] = (1.0 - local[number]) * (1.0 - p_residue[known])
    return out
