"""THE table of conventions: what the files of an archive are called and what their numbers mean.

A region's entry names its convention; it is never guessed. All three deliver unwrapped phase in radians,
older date as reference, positive AWAY from the satellite (ARCHIVES.md, section 1), so that
displacement toward the satellite = -wavelength / (4 pi) x phase.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from slipscan.errors import SlipscanError


@dataclass(frozen=True)
class Convention:
    """Names, units, signs and geometry of one kind of interferogram file.

    Attributes
    ----------
    interferogram, coherence
        patterns of file names; groups `reference` and `secondary` are the dates, YYYYMMDD
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
    coherence_example: str
    phase_sign: int = -1
    coherence_scale: float = 1.0
    geometry: Mapping[str, re.Pattern[str]] = field(default_factory=dict)
    geometry_per_pair: bool = False

    def metres_per_radian(self, radar_wavelength_m: float) -> float:
        """Return the factor from delivered phase (rad) to displacement toward the satellite (m)."""
        return self.phase_sign * radar_wavelength_m / (4 * math.pi)


def _dates(before: str, between: str, after: str) -> re.Pattern[str]:
    return re.compile(rf"^{before}(?P<reference>\d{{8}}){between}(?P<secondary>\d{{8}}){after}$")


_HYP3_DATES = (r"S1.*?_", r"(?:T\d{6})?_")
_HYP3_TAIL = r"(?:T\d{6})?_.*"

CONVENTIONS: dict[str, Convention] = {
    "gamma": Convention(
        name="gamma",
        interferogram=_dates(r"(?:.*_)?", "-", r"_.*unw\.tif"),
        coherence=_dates(r"(?:.*_)?", "-", r"_.*cc\.tif"),
        coherence_example="*_cc.tif",
        geometry={"height": re.compile(r".*dem\.tif$")},
    ),
    "hyp3": Convention(
        name="hyp3",
        interferogram=_dates(*_HYP3_DATES, _HYP3_TAIL + r"_unw_phase\.tif"),
        coherence=_dates(*_HYP3_DATES, _HYP3_TAIL + r"_corr\.tif"),
        coherence_example="*_corr.tif",
        geometry={
            "lv_theta": re.compile(r".*_lv_theta\.tif$"),
            "lv_phi": re.compile(r".*_lv_phi\.tif$"),
            "height": re.compile(r".*_dem\.tif$"),
        },
        geometry_per_pair=True,
    ),
    "licsar": Convention(
        name="licsar",
        interferogram=_dates("", "_", r"\.geo\.unw\.tif"),
        coherence=_dates("", "_", r"\.geo\.cc\.tif"),
        coherence_example="*.geo.cc.tif",
        coherence_scale=1 / 255,
        geometry={
            "los_east": re.compile(r".*\.geo\.E\.tif$"),
            "los_north": re.compile(r".*\.geo\.N\.tif$"),
            "los_up": re.compile(r".*\.geo\.U\.tif$"),
            "height": re.compile(r".*\.geo\.hgt\.tif$"),
        },
    ),
}

PAIR_COLUMNS = ["reference_date", "secondary_date", "unwrapped", "coherence"]


def find_pairs(directory: Path, convention: str) -> pd.DataFrame:
    """Find the interferograms below a directory, and the coherence that belongs to each.

    Parameters
    ----------
    directory
        searched with all its subdirectories; names that begin with a dot are left out
    convention
        a key of CONVENTIONS

    Returns
    -------
    pairs
        columns reference_date, secondary_date (ISO strings, reference older), unwrapped (Path), coherence
        (Path or None), sorted by dates; empty where there is no interferogram

    Raises
    ------
    SlipscanError
        no such directory, a file of another convention, a pair twice, a reference that is not older, an
        impossible date, coherence for some pairs only
    """
    rule = CONVENTIONS[convention]
    files = tif_files(directory)
    _refuse_other_conventions(files, rule, directory)
    coherence = _by_dates(files, rule.coherence, directory)
    rows = [
        (*dates, path, coherence.get(dates))
        for dates, path in sorted(_by_dates(files, rule.interferogram, directory).items())
    ]
    missing = [row for row in rows if row[3] is None]
    if missing and len(missing) < len(rows):
        raise SlipscanError(
            f"the interferogram {missing[0][2].relative_to(directory)} in {directory} has no coherence file"
            f" ({rule.coherence_example}), but others have: add it, or remove the interferogram"
        )
    for reference, secondary, path, _ in rows:
        if reference >= secondary:
            raise SlipscanError(
                f"the interferogram {path.relative_to(directory)} in {directory} runs from {reference} to"
                f" {secondary}: under the convention {rule.name} the older date comes first"
            )
    return pd.DataFrame(rows, columns=PAIR_COLUMNS)


def find_geometry(directory: Path, convention: str) -> dict[str, Path]:
    """Find the geometry files below a directory, by what they hold (keys of Convention.geometry).

    Raises
    ------
    SlipscanError
        two files for one thing where a track has one geometry
    """
    rule = CONVENTIONS[convention]
    found: dict[str, Path] = {}
    for name, pattern in rule.geometry.items():
        paths = [path for path in tif_files(directory) if pattern.match(path.name)]
        if len(paths) > 1 and not rule.geometry_per_pair:
            one, other = (path.relative_to(directory) for path in paths[:2])
            raise SlipscanError(f"{directory} holds two files of {name}, {one} and {other}: keep one frame")
        if paths:
            found[name] = paths[0]
    return found


def tif_files(directory: Path) -> list[Path]:
    """List the GeoTIFFs below a directory, sorted; raises SlipscanError where there is no directory."""
    if not directory.is_dir():
        raise SlipscanError(f"there is no directory {directory}: check the track's 'path' and archive.data_root")
    return sorted(
        path
        for path in directory.rglob("*.tif")
        if not any(part.startswith(".") for part in path.relative_to(directory).parts)
    )


def _refuse_other_conventions(files: list[Path], rule: Convention, directory: Path) -> None:
    """Refuse a file that is named as another convention's interferogram."""
    for other in CONVENTIONS.values():
        for path in files:
            if other is not rule and other.interferogram.match(path.name):
                raise SlipscanError(
                    f"{path.relative_to(directory)} in {directory} is named as an interferogram of the convention"
                    f" {other.name}, but the track's convention is {rule.name}: keep one convention in a directory,"
                    " or correct the region's entry"
                )


def _by_dates(files: list[Path], pattern: re.Pattern[str], directory: Path) -> dict[tuple[str, str], Path]:
    """Files that match a pattern, by their dates (ISO)."""
    found: dict[tuple[str, str], Path] = {}
    for path in files:
        match = pattern.match(path.name)
        if match is None:
            continue
        dates = (_iso(match["reference"], path), _iso(match["secondary"], path))
        if dates in found:
            one, other = found[dates].relative_to(directory), path.relative_to(directory)
            raise SlipscanError(
                f"{directory} holds the pair {dates[0]} to {dates[1]} twice, {one} and {other}: keep or merge one"
            )
        found[dates] = path
    return found


def _iso(digits: str, path: Path) -> str:
    """YYYYMMDD as ISO date; raises SlipscanError for a day that does not exist."""
    try:
        return pd.to_datetime(digits, format="%Y%m%d").date().isoformat()
    except ValueError as error:
        raise SlipscanError(f"the name of {path} holds {digits}, which is no date: rename or remove it") from error
