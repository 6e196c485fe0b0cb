"""How an event stands to earthquakes in time, place and moment."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pyproj import Geod

from slipscan.earthquakes import Earthquakes, moment, moment_magnitude

LARGE: Final = 5.0
"""Magnitude from which an earthquake is one before or after an event."""
AFTER_D: Final = 30.0
"""Slip that begins so soon after a large earthquake is its afterslip."""
_GEOD: Final = Geod(ellps="WGS84")
_DAY: Final = np.timedelta64(86400, "s")


@dataclass(frozen=True)
class QuakeFacts:
    """How an event stands to earthquakes; NaN where no list was given, or holds none.

    Attributes
    ----------
    days_to_next_m5
        from the event's beginning (t05) to the next earthquake of magnitude 5 or more near the source
    days_from_last_m5
        from the last such earthquake to the event's beginning; one within an epoch of it counts as before
    seismic_moment_ratio
        summed moment of the earthquakes near the source while it moved, an epoch more on either side, over the event's
    bracketed
        an earthquake lies between the two epochs that the whole event may have happened between
    follows_share
        moment of the last large earthquake over the event's, where slip began within 30 d after it; else 0
    listed
        whether there is a list
    """

    days_to_next_m5: float = math.nan
    days_from_last_m5: float = math.nan
    seismic_moment_ratio: float = math.nan
    bracketed: bool = False
    follows_share: float = 0.0
    listed: bool = False


def quake_facts(
    quakes: Earthquakes | None,
    times: tuple[np.datetime64, np.datetime64],
    epochs: Sequence[np.datetime64] | NDArray[np.datetime64],
    place: tuple[float, float],
    potency_m3: float,
    within_km: float,
    shortest: tuple[np.datetime64, np.datetime64] | None = None,
) -> QuakeFacts:
    """How an event stands to the earthquakes near it.

    Parameters
    ----------
    quakes
        of the list; None: none was given
    times
        t05 and t95
    epochs
        of the track that sees it best, ascending: times are known to an interval of theirs
    place
        longitude, latitude of the source
    potency_m3
        of the source, for its moment; NaN: it is no slip
    within_km
        horizontal distance within which an earthquake counts
    shortest
        begin and end of the shortest event that the errors of the times allow; None: `times`
    """
    if quakes is None:
        return QuakeFacts()
    count = len(quakes)
    here = (np.full(count, place[0]), np.full(count, place[1]))
    near = quakes.chosen(np.asarray(_GEOD.inv(quakes.longitude, quakes.latitude, *here)[2]) <= 1e3 * within_km)
    begin, end = (t.astype("datetime64[s]") for t in times)
    before, after = _bracket(epochs, begin, end)
    tolerance = (after - before) if (after - before) < 60 * _DAY else 12 * _DAY
    geodetic = moment(moment_magnitude(potency_m3)) if potency_m3 > 0 else math.nan
    during = near.chosen((before <= near.time) & (near.time <= after))
    ratio = _summed(during) / geodetic
    large = near.chosen(near.magnitude >= LARGE)
    following = large.time[large.time > begin + tolerance]
    preceding = large.chosen(large.time <= begin + tolerance)
    to_next = float((following[0] - begin) / _DAY) if len(following) else math.nan
    from_last = max(0.0, float((begin - preceding.time[-1]) / _DAY)) if len(preceding) else math.nan
    share = 0.0
    soon = preceding.magnitude[(begin - preceding.time) / _DAY <= AFTER_D]
    if len(soon) and geodetic > 0:
        share = moment(float(soon.max())) / geodetic
    before, after = _bracket(epochs, *(t.astype("datetime64[s]") for t in shortest or times))
    one_interval = not any(before < epoch < after for epoch in np.asarray(epochs, "datetime64[s]"))
    within = near.chosen((before <= near.time) & (near.time <= after))
    return QuakeFacts(to_next, from_last, ratio, one_interval and len(within) > 0, share, True)


def _summed(quakes: Earthquakes) -> float:
    """Moment of all of them, N m."""
    return sum(moment(magnitude) for magnitude in quakes.magnitude.tolist())


def _bracket(
    epochs: Sequence[np.datetime64] | NDArray[np.datetime64], begin: np.datetime64, end: np.datetime64
) -> tuple[np.datetime64, np.datetime64]:
    """The last epoch before a span and the first one after it."""
    times = np.asarray(epochs, "datetime64[s]")
    earlier, later = times[times <= begin], times[times > end]
    before = earlier[-1] if len(earlier) else begin - 12 * _DAY
    return before, (later[0] if len(later) else end + 12 * _DAY)
