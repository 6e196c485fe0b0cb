"""Earthquakes of a list, and how an event stands to them in time, place and moment."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyproj import Geod

from slipscan.errors import SlipscanError
from slipscan.source.sources import moment_magnitude
from slipscan.texts import read_text

LARGE: Final = 5.0
"""Magnitude from which an earthquake is one before or after an event."""
AFTER_D: Final = 30.0
"""Slip that begins so soon after a large earthquake is its afterslip."""
NAMES: Final = {
    "time": ("time",), "latitude": ("latitude", "lat"), "longitude": ("longitude", "lon"),
    "magnitude": ("mag", "magnitude", "mw"), "depth_km": ("depth", "depth_km"),
}  # fmt: skip
"""Columns of a list: ComCat's names, and others that mean the same."""
_GEOD: Final = Geod(ellps="WGS84")
_DAY: Final = np.timedelta64(86400, "s")


@dataclass(frozen=True)
class Quake:
    """One earthquake: origin time (UTC), place (degrees), depth and magnitude."""

    time: np.datetime64
    longitude: float
    latitude: float
    depth_km: float
    magnitude: float


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
        an earthquake lies between the two epochs that the whole event happened between
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


def read_quakes(path: Path) -> tuple[Quake, ...]:
    """Read a list of earthquakes, in order of time.

    Parameters
    ----------
    path
        CSV with a header line, as ComCat writes it (time, latitude, longitude, depth in km, mag), and more

    Raises
    ------
    SlipscanError
        no such file, a column is missing, a value is no number or no date
    """
    text = read_text(path, "list of earthquakes", "check source.earthquakes")
    try:
        table = pd.read_csv(io.StringIO(text))
    except ValueError as error:
        raise SlipscanError(f"the list of earthquakes {path} is no CSV ({error})") from error
    chosen = {}
    for name, known in NAMES.items():
        column = next((c for c in table.columns if str(c).strip().lower() in known), None)
        if column is None and name != "depth_km":
            raise SlipscanError(f"the list of earthquakes {path} lacks the column '{known[0]}': ComCat's CSV has it")
        chosen[name] = table[column] if column is not None else pd.Series(10.0, index=table.index)
    try:
        times = pd.to_datetime(chosen["time"], utc=True, format="ISO8601").dt.tz_localize(None)
        numbers = {name: pd.to_numeric(values) for name, values in chosen.items() if name != "time"}
    except (ValueError, TypeError) as error:
        raise SlipscanError(f"the list of earthquakes {path} holds what is no date or number ({error})") from error
    frame = pd.DataFrame(numbers).assign(time=times)
    frame["depth_km"] = frame["depth_km"].fillna(10.0)
    if frame.isna().any(axis=None):
        line = int(frame.isna().any(axis=1).to_numpy().argmax()) + 2
        raise SlipscanError(
            f"the list of earthquakes {path} has an empty field in line {line}: fill it or drop the line"
        )
    return quakes_of(frame.sort_values("time", kind="stable").to_dict("records"))


def quakes_of(rows: Iterable[Mapping[Any, Any]]) -> tuple[Quake, ...]:
    """Earthquakes of rows with the names of `Quake`."""
    return tuple(
        Quake(
            np.datetime64(row["time"], "s"), float(row["longitude"]), float(row["latitude"]), float(row["depth_km"]),
            float(row["magnitude"]),
        )
        for row in rows
    )  # fmt: skip


def moment(magnitude: float) -> float:
    """Seismic moment, N m: 10^(1.5 Mw + 9.05)."""
    return float(10.0 ** (1.5 * magnitude + 9.05))


def quake_facts(
    quakes: Sequence[Quake] | None,
    times: tuple[np.datetime64, np.datetime64],
    epochs: Sequence[np.datetime64] | NDArray[np.datetime64],
    place: tuple[float, float],
    potency_m3: float,
    within_km: float,
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
    """
    if quakes is None:
        return QuakeFacts()
    near = [q for q in quakes if _GEOD.inv(q.longitude, q.latitude, *place)[2] <= 1e3 * within_km]
    begin, end = (t.astype("datetime64[s]") for t in times)
    before, after = _bracket(epochs, begin, end)
    tolerance = (after - before) if (after - before) < 60 * _DAY else 12 * _DAY
    geodetic = moment(moment_magnitude(potency_m3)) if potency_m3 > 0 else math.nan
    during = [q for q in near if before <= q.time <= after]
    ratio = sum(moment(q.magnitude) for q in during) / geodetic
    large = [q for q in near if q.magnitude >= LARGE]
    following = [q for q in large if q.time > begin + tolerance]
    preceding = [q for q in large if q.time <= begin + tolerance]
    to_next = float((following[0].time - begin) / _DAY) if following else math.nan
    from_last = max(0.0, float((begin - preceding[-1].time) / _DAY)) if preceding else math.nan
    share = 0.0
    soon = [q for q in preceding if (begin - q.time) / _DAY <= AFTER_D]
    if soon and geodetic > 0:
        share = max(moment(q.magnitude) for q in soon) / geodetic
    one_interval = not any(before < epoch < after for epoch in np.asarray(epochs, "datetime64[s]"))
    return QuakeFacts(to_next, from_last, ratio, one_interval and bool(during), share, True)


def _bracket(
    epochs: Sequence[np.datetime64] | NDArray[np.datetime64], begin: np.datetime64, end: np.datetime64
) -> tuple[np.datetime64, np.datetime64]:
    """The last epoch before a span and the first one after it."""
    times = np.asarray(epochs, "datetime64[s]")
    earlier, later = times[times <= begin], times[times > end]
    before = earlier[-1] if len(earlier) else begin - 12 * _DAY
    return before, (later[0] if len(later) else end + 12 * _DAY)
