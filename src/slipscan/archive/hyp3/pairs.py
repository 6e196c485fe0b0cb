"""Which interferograms are ordered: from Sentinel-1 bursts to epochs, and from epochs to a network of pairs.

The plan grows with the archive: an epoch adds pairs that end in it and takes none away, because every rule looks at
earlier epochs alone. So what was ordered once stays in the plan.
"""

from __future__ import annotations

import datetime
import logging
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from slipscan.errors import SlipscanError
from slipscan.settings import Hyp3Settings

log = logging.getLogger(__name__)

MAX_BURSTS = 15
"""Bursts of one INSAR_ISCE_MULTI_BURST job (HyP3's job specification)."""
PASS_S = 120.0
"""HyP3 takes the bursts of one pass: all within two minutes. A pass over midnight is one epoch so."""
SETTLING_PASSES = 30
"""The first passes settle which bursts a region has: footprints move by some 100 m, and the set must not."""
YEAR_D, ANNUAL_D = 365, (330, 400)
_BURST_ID = re.compile(r"^(\d{3})_(\d{6})_IW([123])$")


@dataclass(frozen=True)
class Epoch:
    """One pass of the satellite over all bursts of a region.

    Attributes
    ----------
    date
        ISO date of the first burst
    granules
        names of the burst granules, in the order of the burst ids
    baseline_m
        perpendicular baseline to the first epoch with state vectors, None where it is not known
    """

    date: str
    granules: tuple[str, ...]
    baseline_m: float | None = None

    @property
    def day(self) -> int:
        """Proleptic Gregorian ordinal of the date."""
        return datetime.date.fromisoformat(self.date).toordinal()


@dataclass(frozen=True, order=True)
class Pair:
    """An interferogram to order: indices of its epochs, the older one first."""

    reference: int
    secondary: int


def plan(epochs: Sequence[Epoch], settings: Hyp3Settings) -> list[tuple[Epoch, Epoch]]:
    """Plan the network of interferograms.

    Each epoch is paired with the next `neighbours` ones within max_interval_d and max_baseline_m. An epoch that is
    left without a pair to an earlier one is bridged: paired with the epoch before it, whatever their distance. With
    `annual`, each epoch is also the end of a pair of 330 to 400 d, the one nearest to 365 d. Unknown baselines exclude
    nothing. The network is connected, and epochs added at the end only add pairs.

    Parameters
    ----------
    epochs
        in ascending order of date
    settings
        neighbours, max_interval_d, max_baseline_m, annual

    Returns
    -------
    pairs
        (reference, secondary), the older one first, sorted by date
    """
    found = {Pair(i, j) for i in range(len(epochs)) for j in _neighbours(epochs, i, settings)}
    bridges = {Pair(j - 1, j) for j in sorted(set(range(1, len(epochs))) - {pair.secondary for pair in found})}
    for pair in sorted(bridges):
        older, newer = epochs[pair.reference], epochs[pair.secondary]
        log.info("bridged: %s to %s (%d d): no pair within the limits", older.date, newer.date, newer.day - older.day)
    if settings.annual:
        found |= {Pair(i, j) for j in range(len(epochs)) for i in _year_before(epochs, j, settings)}
    if any(epoch.baseline_m is None for epoch in epochs):
        unknown = sum(epoch.baseline_m is None for epoch in epochs)
        log.warning("the perpendicular baseline of %d of %d epochs is not known: not filtered", unknown, len(epochs))
    return [(epochs[pair.reference], epochs[pair.secondary]) for pair in sorted(found | bridges)]


def _neighbours(epochs: Sequence[Epoch], i: int, settings: Hyp3Settings) -> list[int]:
    """The next epochs within the limits."""
    out: list[int] = []
    for j in range(i + 1, len(epochs)):
        if len(out) == settings.neighbours or epochs[j].day - epochs[i].day > settings.max_interval_d:
            break
        if _baseline_fits(epochs[i], epochs[j], settings):
            out.append(j)
    return out


def _year_before(epochs: Sequence[Epoch], j: int, settings: Hyp3Settings) -> list[int]:
    """The epoch that lies nearest to a year before epoch j; none or one."""
    shortest, longest = ANNUAL_D
    candidates = [
        (abs(interval - YEAR_D), interval, i)
        for i in range(j)
        if shortest <= (interval := epochs[j].day - epochs[i].day) <= longest
        and _baseline_fits(epochs[i], epochs[j], settings)
    ]
    return [min(candidates)[2]] if candidates else []


def _baseline_fits(older: Epoch, newer: Epoch, settings: Hyp3Settings) -> bool:
    if older.baseline_m is None or newer.baseline_m is None:
        return True
    return abs(newer.baseline_m - older.baseline_m) <= settings.max_baseline_m


def burst_set(products: Sequence[Any]) -> tuple[str, ...]:
    """Settle which bursts a region needs, from bursts that touch it.

    Parameters
    ----------
    products
        asf_search products of dataset SLC-BURST

    Returns
    -------
    bursts
        full burst ids, sorted: those in at least half of the first 30 passes, filled up to a contiguous set

    Raises
    ------
    SlipscanError
        more than 15 of them
    """
    passes = _passes(products)[:SETTLING_PASSES]
    counts = Counter(burst for group in passes for burst in {_burst_id(product) for product in group})
    bursts = contiguous([burst for burst, count in counts.items() if 2 * count >= len(passes)])
    if len(bursts) > MAX_BURSTS:
        raise SlipscanError(
            f"the region takes {len(bursts)} bursts of the track ({', '.join(bursts)}) and HyP3 at most {MAX_BURSTS}"
            " in a job: divide the region, or name a contiguous set in the track's hyp3.bursts"
        )
    return bursts


def named_bursts(bursts: Sequence[str]) -> tuple[str, ...]:
    """Return the bursts that a track names, sorted.

    Raises
    ------
    SlipscanError
        an id of another form, of two tracks, or a set with gaps, which HyP3 would process in vain
    """
    whole = contiguous(bursts)
    missing = sorted(set(whole) - set(bursts))
    if missing:
        raise SlipscanError(f"the track's hyp3.bursts have gaps, which HyP3 does not take: add {', '.join(missing)}")
    return whole


def contiguous(bursts: Iterable[str]) -> tuple[str, ...]:
    """Fill a set of bursts up to one that can be processed together.

    Numbers are consecutive within a swath; first and last numbers of adjacent swaths differ by one at most (the rule of
    burst2safe, which HyP3 runs).

    Parameters
    ----------
    bursts
        full burst ids, e.g. 087_185682_IW2

    Returns
    -------
    bursts
        sorted, with what was missing

    Raises
    ------
    SlipscanError
        an id of another form, or of two tracks
    """
    parts = []
    for burst in bursts:
        match = _BURST_ID.match(burst)
        if match is None:
            raise SlipscanError(f"{burst!r} is no full burst id: write it as in 087_185682_IW2 (hyp3.bursts)")
        parts.append((match[1], int(match[2]), int(match[3])))
    tracks = sorted({track for track, _, _ in parts})
    if len(tracks) > 1:
        raise SlipscanError(f"the bursts are of the tracks {', '.join(tracks)}: keep one (hyp3.bursts)")
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for _, number, swath in parts:
        first[swath] = min(number, first.get(swath, number))
        last[swath] = max(number, last.get(swath, number))
    for _ in range(2):  # twice: what IW3 asks of IW2 reaches IW1
        for one, other in ((1, 2), (2, 3), (3, 2), (2, 1)):
            if one in first and other in first:
                first[one] = min(first[one], first[other] + 1)
                last[one] = max(last[one], last[other] - 1)
    return tuple(sorted(f"{tracks[0]}_{n:06d}_IW{s}" for s in first for n in range(first[s], last[s] + 1)))


def epochs_of(products: Sequence[Any], bursts: Sequence[str]) -> tuple[list[Epoch], dict[str, list[str]]]:
    """Group bursts into epochs.

    Of reprocessed versions of a burst the granule with the greatest name is taken (they differ in the last four
    characters alone; the archive tells no processing date), and that is said in the log.

    Parameters
    ----------
    products
        asf_search products of dataset SLC-BURST
    bursts
        full burst ids of the set

    Returns
    -------
    epochs
        in ascending order of date, only those that have every burst
    incomplete
        the bursts that are missing, by ISO date
    """
    epochs: dict[str, list[Any]] = {}
    incomplete: dict[str, list[str]] = {}
    for group in _passes([product for product in products if _burst_id(product) in set(bursts)]):
        newest: dict[str, Any] = {}
        for product in sorted(group, key=_name):
            if (old := newest.get(_burst_id(product))) is not None:
                log.info("%s is superseded by %s", _name(old), _name(product))
            newest[_burst_id(product)] = product
        date = _time(group[0]).date().isoformat()
        missing = [burst for burst in bursts if burst not in newest]
        if missing:
            incomplete[date] = missing
        else:
            epochs.setdefault(date, [newest[burst] for burst in bursts])
    baselines = _baselines([group[0] for _, group in sorted(epochs.items())])
    found = [Epoch(date, tuple(map(_name, group)), baselines[_name(group[0])]) for date, group in epochs.items()]
    return sorted(found, key=lambda epoch: epoch.date), {d: m for d, m in incomplete.items() if d not in epochs}


def _passes(products: Sequence[Any]) -> list[list[Any]]:
    """Bursts of one pass of the satellite together, in ascending order of time."""
    out: list[list[Any]] = []
    for product in sorted(products, key=lambda product: (_time(product), _name(product))):
        if out and (_time(product) - _time(out[-1][0])).total_seconds() <= PASS_S:
            out[-1].append(product)
        else:
            out.append([product])
    return out


def _baselines(products: Sequence[Any]) -> dict[str, float | None]:
    """Perpendicular baselines to the first product that has state vectors, m, by granule; None where it has none."""
    from asf_search.baseline.calc import calculate_perpendicular_baselines

    known = [product for product in products if _has_orbit(product)]
    if known:
        calculate_perpendicular_baselines(known[0].properties["sceneName"], known)
    by_name = {_name(product): product.properties["perpendicularBaseline"] for product in known}
    return {_name(product): by_name.get(_name(product)) for product in products}


def _has_orbit(product: Any) -> bool:
    """Whether the archive tells what a baseline is computed from."""
    baseline = product.baseline
    if not baseline or not baseline.get("ascendingNodeTime"):
        return False
    vectors = [*baseline["stateVectors"]["positions"].values(), *baseline["stateVectors"]["velocities"].values()]
    place = [product.properties.get(name) for name in ("centerLat", "centerLon", "stopTime")]
    return bool(vectors) and None not in [*vectors, *place]


def _burst_id(product: Any) -> str:
    return str(product.properties["burst"]["fullBurstID"])


def _name(product: Any) -> str:
    return str(product.properties["sceneName"])


def _time(product: Any) -> datetime.datetime:
    return datetime.datetime.fromisoformat(product.properties["startTime"])
