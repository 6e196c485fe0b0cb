"""What a catalogue says of slow slip: scaling of moment with duration and area, rates per region, recurrence.

Scaling laws hang on what could be seen (Michel et al. 2019; Costantino et al. 2026): each is fitted to the events above
the magnitude of completeness alone, and the fit to all events stands beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.stats import chi2, theilslopes

from slipscan.catalogue.schema import ACTIVE

Floats = NDArray[np.float64]
SLIP: Final = ("slow_slip", "creep_rate_change")
"""Types whose scaling is studied: slow slip of its own, not what an earthquake sets off."""
MIN_EVENTS: Final = 5
DAYS_PER_YEAR: Final = 365.25


@dataclass(frozen=True)
class Scaling:
    """log10(y) = slope log10(moment in N m) + intercept, by the median of pairwise slopes (Sen 1968).

    Attributes
    ----------
    events
        that were fitted
    slope, low, high, intercept
        the slope with its 95 % interval; NaN for fewer than MIN_EVENTS
    """

    events: int
    slope: float
    low: float
    high: float
    intercept: float


def completeness(events: pd.DataFrame, regions: pd.DataFrame, mc: float | None) -> Floats:
    """(event) magnitude of completeness: `mc` where given, else the event's own, else its region's; NaN: not known."""
    if mc is not None:
        return np.full(len(events), mc)
    of_region = dict(zip(regions["region"], regions["mc"].astype(float), strict=True))
    own = events["mc_local"].to_numpy(dtype=float)
    return np.where(np.isfinite(own), own, [of_region.get(region, np.nan) for region in events["region"]])


def scaling(moment: Floats, value: Floats) -> Scaling:
    """Fit a power law of moment to positive values; robust against a few wrong sources."""
    good = (moment > 0) & (value > 0) & np.isfinite(moment) & np.isfinite(value)
    count = int(good.sum())
    if count < MIN_EVENTS or len(np.unique(moment[good])) < 2:
        return Scaling(count, *[float("nan")] * 4)
    fit = theilslopes(np.log10(value[good]), np.log10(moment[good]), 0.95)
    return Scaling(count, float(fit[0]), float(fit[2]), float(fit[3]), float(fit[1]))


def scalings(events: pd.DataFrame, mc: Floats) -> pd.DataFrame:
    """Moment-duration and moment-area scaling, of complete and of all events of slow slip.

    An event that is not wholly seen (`ongoing`, `left_censored`) has no duration. A limit on the magnitude, which is
    the law's argument, does not bend the law; a limit on the duration would, so events near the longest that the
    series allow still do.
    """
    slow = events["type"].isin(SLIP).to_numpy() & (events["status"] == ACTIVE).to_numpy()
    whole = slow & ~events["ongoing"].to_numpy(dtype=bool) & ~events["left_censored"].to_numpy(dtype=bool)
    complete = events["mw"].to_numpy(dtype=float) >= mc
    moment = events["moment_nm"].to_numpy(dtype=float)
    area = (events["length_km"] * events["width_km"]).to_numpy(dtype=float)
    rows = []
    for name, value, chosen in (
        ("duration", events["duration_days"].to_numpy(dtype=float), whole),
        ("area", area, slow),
    ):
        for label, kept in (("complete", chosen & complete), ("all", chosen)):
            fit = scaling(moment[kept], value[kept])
            rows.append({"law": f"moment-{name}", "of": label, **vars(fit)})
    return pd.DataFrame(rows)


def rates(events: pd.DataFrame, regions: pd.DataFrame, mc: Floats) -> pd.DataFrame:
    """Events of slow slip per year and per 10,000 km2 and year in every region, with 95 % Poisson intervals (Garwood).

    Only events above the completeness count; where it is not known, all do, and `of` says so.
    """
    slow = events["type"].isin(SLIP).to_numpy() & (events["status"] == ACTIVE).to_numpy()
    mw = events["mw"].to_numpy(dtype=float)
    rows = []
    for region in regions.to_dict("records"):
        own = slow & (events["region"] == region["region"]).to_numpy()
        known = bool(own.any()) and bool(np.isfinite(mc[own]).all())
        count = int((own & (mw >= mc)).sum() if known else own.sum())
        years = (np.datetime64(region["scanned_through"]) - np.datetime64(region["scanned_from"])) / np.timedelta64(
            1, "D"
        )
        years = max(float(years), 1.0) / DAYS_PER_YEAR
        low, high = poisson_interval(count)
        exposure = years * (region["area_km2"] or float("nan")) / 1e4
        rows.append({
            "region": region["region"], "of": "complete" if known else "all", "events": count, "years": years,
            "per_yr": count / years, "per_yr_low": low / years, "per_yr_high": high / years,
            "per_1e4km2_yr": count / exposure,
        })  # fmt: skip
    return pd.DataFrame(rows)


def poisson_interval(count: int, level: float = 0.95) -> tuple[float, float]:
    """Exact interval of the mean of a Poisson count (Garwood 1936)."""
    tail = (1 - level) / 2
    low = float(chi2.ppf(tail, 2 * count)) / 2 if count else 0.0
    return low, float(chi2.ppf(1 - tail, 2 * count + 2)) / 2


def recurrence(events: gpd.GeoDataFrame, regions: pd.DataFrame) -> pd.DataFrame:
    """Places where slow slip came again: footprints that overlap, directly or by way of others.

    Returns
    -------
    table
        a row a place of two events or more: region, events, first and last t50, median interval in years, coefficient
        of variation (1: as by chance, 0: like a clock), and the open interval: years since the last event, which a
        mean over closed intervals alone would forget
    """
    kept = events["type"].isin(SLIP).to_numpy() & (events["status"] == ACTIVE).to_numpy()
    slow = events[kept].reset_index(drop=True)
    i, j = shapely.STRtree(slow.geometry.to_numpy()).query(slow.geometry.to_numpy(), predicate="intersects")
    graph = coo_array((np.ones(len(i)), (i, j)), shape=(len(slow), len(slow)))
    label = connected_components(graph, directed=False)[1] if len(slow) else np.zeros(0, int)
    through = dict(zip(regions["region"], regions["scanned_through"], strict=True))
    rows = []
    for _, group in slow.assign(place=label).groupby("place"):
        if len(group) < 2:
            continue
        days = np.sort(group["t50"].to_numpy(dtype="datetime64[D]"))
        gaps = np.diff(days).astype(float) / DAYS_PER_YEAR
        region = str(group["region"].iloc[0])
        last = np.datetime64(through.get(region, str(days[-1])))
        rows.append({
            "region": region, "longitude": float(group["longitude"].median()),
            "latitude": float(group["latitude"].median()), "events": len(group), "first": str(days[0]),
            "last": str(days[-1]), "median_yr": float(np.median(gaps)),
            "variation": float(gaps.std(ddof=1) / gaps.mean()) if len(gaps) > 1 and gaps.mean() > 0 else float("nan"),
            "open_yr": float((last - days[-1]) / np.timedelta64(1, "D")) / DAYS_PER_YEAR,
        })  # fmt: skip
    return pd.DataFrame(rows)
