"""What type an event is: a posterior over the seven types, from the evidence of its sources, its times and earthquakes.

Evidence tells slip from a change of volume, water and what is none of them; among slip, times and earthquakes tell the
types apart (docs/science.md section 10.5).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from slipscan.events import EVENT_TYPES
from slipscan.source.quakes import QuakeFacts

PRIOR: Final = {"slip": 0.55, "volumetric": 0.25, "hydrological": 0.1, "null": 0.08, "cycle": 0.02}
"""Of families a priori, among what detection hands over."""
PRIOR_OF_SETTING: Final = {
    "volcano": PRIOR | {"slip": 0.1, "volumetric": 0.78, "hydrological": 0.02},
    "basin": PRIOR | {"slip": 0.2, "volumetric": 0.1, "hydrological": 0.6},
}
"""The same in regions of a `tectonic_setting` where slip is not the rule. A flank that slips is no 'volcano'."""
TRUST: Final = 0.5
"""Power of the evidence: the covariance of a map's noise is an estimate, and sources are simpler than the Earth."""
SELECTED: Final = 6.0
"""Log evidence that the best of many places in noise has of some source: detection looked for it."""
EDGE: Final = 12.0
"""Log likelihood that a patch of a whole cycle gets from being drawn after the map."""
MOMENT_LIMIT: Final = 1 / 3
"""Coseismic: the geodetic moment is at most three times the summed seismic one."""
LONG_D: Final = 120.0
SURE: Final = 0.94
"""Probability of the type that times and earthquakes speak for; the others of slip share the rest."""
FAMILY_OF: Final = {
    "slow_slip": "slip", "afterslip": "slip", "creep_rate_change": "slip", "coseismic": "slip",
    "volumetric": "volumetric", "hydrological": "hydrological", "residue": None,
}  # fmt: skip
"""Family of sources of a type; None: no source."""


@dataclass(frozen=True)
class History:
    """Times of an event.

    Attributes
    ----------
    duration_d
        t95 - t05
    ongoing
        t95 may lie past the last epoch
    """

    duration_d: float
    ongoing: bool


def type_posterior(
    evidence: Mapping[str, float], history: History, quakes: QuakeFacts, on_fault: bool = False, setting: str = ""
) -> dict[str, float]:
    """Probability of each of `events.EVENT_TYPES`.

    Parameters
    ----------
    evidence
        log evidence of 'slip', 'volumetric', 'hydrological' and 'cycle' over that of no source
    history, quakes
        of the event
    on_fault
        it was found by the pattern of slip on a mapped fault: noise that has that pattern is among the false alarms of
        that search, and not counted a second time
    setting
        the region's tectonic setting: `PRIOR_OF_SETTING`, or else `PRIOR`
    """
    prior = PRIOR_OF_SETTING.get(setting.strip().lower(), PRIOR)
    log_family = {family: TRUST * evidence[family] for family in ("slip", "volumetric", "hydrological")}
    log_family |= {"null": TRUST * SELECTED, "cycle": TRUST * (evidence["cycle"] - EDGE)}
    if on_fault:
        del log_family["null"]
    total = {family: value + math.log(prior[family]) for family, value in log_family.items()}
    highest = max(total.values())
    share = {family: math.exp(value - highest) for family, value in total.items()}
    norm = sum(share.values())
    share = {family: value / norm for family, value in share.items()}
    among = _among_slip(history, quakes)
    out = dict.fromkeys(EVENT_TYPES, 0.0)
    for name, part in among.items():
        out[name] = share["slip"] * part
    out |= {"volumetric": share["volumetric"], "hydrological": share["hydrological"]}
    out["residue"] = share.get("null", 0.0) + share["cycle"]
    return out


def _among_slip(history: History, quakes: QuakeFacts) -> dict[str, float]:
    """Probability of the types of slip, given that it is slip."""
    names = ("slow_slip", "afterslip", "creep_rate_change", "coseismic")
    if quakes.bracketed and quakes.seismic_moment_ratio >= MOMENT_LIMIT:
        favoured = "coseismic"
    elif quakes.follows_share >= MOMENT_LIMIT:
        favoured = "afterslip"
    elif history.ongoing and history.duration_d >= LONG_D:
        favoured = "creep_rate_change"
    else:
        favoured = "slow_slip"
    out = {name: SURE if name == favoured else (1 - SURE) / 3 for name in names}
    if not (quakes.bracketed and quakes.seismic_moment_ratio >= MOMENT_LIMIT):
        # Never without an earthquake that epochs bracket (section 10.5); slow slip takes its share.
        out["slow_slip"] += out["coseismic"]
        out["coseismic"] = 0.0
    return out


def most_likely(posterior: Mapping[str, float]) -> str:
    """The type of the highest probability."""
    return max(EVENT_TYPES, key=lambda name: posterior[name])
