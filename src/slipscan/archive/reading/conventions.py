"""THE table of conventions: what the files of an archive are called and what their numbers mean.

A region's entry names its convention; it is never guessed. All three deliver unwrapped phase in radians,
older date as reference, positive AWAY from the satellite (docs/archives.md), so that
displacement toward the satellite = -wavelength / (4 pi) x phase.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Convention:
    """Names, units, signs and geometry of one kind of interferogram file.

    Attributes
    ----------
    interferogram, coherence
        patterns of file names, upper or lower case; groups `reference` and `secondary` are the dates, YYYYMMDD
    examples
        how a sentence writes the names of interferogram, coherence and geometry files
    phase_sign
        sign of the displacement toward the satellite of a positive phase
    coherence_scale
        factor from delivered coherence to 0-1
    geometry
        patterns of the geometry files by what they hold: los_east, los_north, los_up (unit vector ground to
        satellite), lv_theta, lv_phi (HyP3's look vector, rad), height (m)
    geometry_per_pair
        whether every pair brings geometry of its own (the first one is used) or a track has one
    """

    name: str
    interferogram: re.Pattern[str]
    coherence: re.Pattern[str]
    examples: Mapping[str, str]
    phase_sign: int = -1
    coherence_scale: float = 1.0
    geometry: Mapping[str, re.Pattern[str]] = field(default_factory=dict)
    geometry_per_pair: bool = False

    def metres_per_radian(self, radar_wavelength_m: float) -> float:
        """Return the factor from delivered phase (rad) to displacement toward the satellite (m)."""
        return self.phase_sign * radar_wavelength_m / (4 * math.pi)


def _dates(before: str, between: str, after: str) -> re.Pattern[str]:
    return _name(rf"^{before}(?P<reference>\d{{8}}){between}(?P<secondary>\d{{8}}){after}")


def _name(pattern: str) -> re.Pattern[str]:
    """The name of a GeoTIFF, which some tools write in capitals or with two f."""
    return re.compile(pattern + r"\.tiff?$", re.IGNORECASE)


_HYP3_DATES = (r"S1.*?_", r"(?:T\d{6})?_")
_HYP3_TAIL = r"(?:T\d{6})?_.*"

CONVENTIONS: dict[str, Convention] = {
    "gamma": Convention(
        name="gamma",
        interferogram=_dates(r"(?:.*_)?", "-", r"_.*unw"),
        coherence=_dates(r"(?:.*_)?", "-", r"_.*cc"),
        examples={
            "interferogram": "*YYYYMMDD-YYYYMMDD_*unw.tif",
            "coherence": "*YYYYMMDD-YYYYMMDD_*cc.tif",
            "height": "*dem.tif",
        },
        geometry={"height": _name(r".*dem")},
    ),
    "hyp3": Convention(
        name="hyp3",
        interferogram=_dates(*_HYP3_DATES, _HYP3_TAIL + r"_unw_phase"),
        coherence=_dates(*_HYP3_DATES, _HYP3_TAIL + r"_corr"),
        examples={
            "interferogram": "S1*_YYYYMMDD*_YYYYMMDD*_unw_phase.tif",
            "coherence": "S1*_YYYYMMDD*_YYYYMMDD*_corr.tif",
            "lv_theta": "*_lv_theta.tif",
            "lv_phi": "*_lv_phi.tif",
            "height": "*_dem.tif",
        },
        geometry={
            "lv_theta": _name(r".*_lv_theta"),
            "lv_phi": _name(r".*_lv_phi"),
            "height": _name(r".*_dem"),
        },
        geometry_per_pair=True,
    ),
    "licsar": Convention(
        name="licsar",
        interferogram=_dates("", "_", r"\.geo\.unw"),
        coherence=_dates("", "_", r"\.geo\.cc"),
        examples={
            "interferogram": "YYYYMMDD_YYYYMMDD.geo.unw.tif",
            "coherence": "YYYYMMDD_YYYYMMDD.geo.cc.tif",
            "los_east": "*.geo.E.tif",
            "los_north": "*.geo.N.tif",
            "los_up": "*.geo.U.tif",
            "height": "*.geo.hgt.tif",
        },
        coherence_scale=1 / 255,
        geometry={
            "los_east": _name(r".*\.geo\.E"),
            "los_north": _name(r".*\.geo\.N"),
            "los_up": _name(r".*\.geo\.U"),
            "height": _name(r".*\.geo\.hgt"),
        },
    ),
}
