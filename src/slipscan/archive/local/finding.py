"""Finding a user's interferograms by their names, and saying what was expected where a file is not named so."""

from __future__ import annotations

import datetime
import logging
import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path

import pandas as pd

from slipscan.archive.names import listed
from slipscan.archive.reading.conventions import CONVENTIONS, Convention
from slipscan.errors import SlipscanError

log = logging.getLogger(__name__)

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
        alike = [path for path in _unnamed(files, rule) if _dates_in(path) == missing[0][:2]]
        raise SlipscanError(
            f"the interferogram {missing[0][2].relative_to(directory)} in {directory} has no coherence file"
            f" ({rule.examples['coherence']}), but others have{_there_lies(alike, directory)}: add it, or remove the"
            " interferogram"
        )
    for reference, secondary, path, _ in rows:
        if reference >= secondary:
            raise SlipscanError(
                f"the interferogram {path.relative_to(directory)} in {directory} runs from {reference} to"
                f" {secondary}: under the convention {rule.name} the older date comes first; leave it out, or make it"
                " again with the older date as reference (a new name alone would turn its sign)"
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
    files = tif_files(directory)
    for name, pattern in rule.geometry.items():
        paths = [path for path in files if pattern.match(path.name)]
        if len(paths) > 1 and not rule.geometry_per_pair:
            one, other = (path.relative_to(directory) for path in paths[:2])
            raise SlipscanError(f"{directory} holds two files of {name}, {one} and {other}: keep one frame")
        if paths:
            found[name] = paths[0]
    return found


def tif_files(directory: Path) -> list[Path]:
    """List the GeoTIFFs below a directory, sorted; raises SlipscanError where there is no directory."""
    return [path for path in all_files(directory) if path.suffix.lower() in (".tif", ".tiff")]


def all_files(directory: Path) -> list[Path]:
    """List the files below a directory, sorted, but for hidden ones; links to directories are followed.

    Raises
    ------
    SlipscanError
        there is no such directory
    """
    if not directory.is_dir():
        raise SlipscanError(f"there is no directory {directory}: check the track's 'path' and archive.data_root")
    found, seen = [], set()
    for place, folders, names in os.walk(directory, followlinks=True):
        real = os.path.realpath(place)
        folders[:] = [] if real in seen else [name for name in folders if not name.startswith(".")]
        if real not in seen:
            found += [Path(place, name) for name in names if not name.startswith(".")]
        seen.add(real)
    return sorted(path for path in found if path.is_file())


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
        return datetime.date(int(digits[:4]), int(digits[4:6]), int(digits[6:])).isoformat()
    except ValueError as error:
        raise SlipscanError(f"the name of {path} holds {digits}, which is no date: rename or remove it") from error


TWO_DATES = re.compile(r"(?<!\d)(\d{8})(?!\d).*?(?<!\d)(\d{8})(?!\d)")


def _dates_in(path: Path) -> tuple[str, str] | None:
    """The two dates in a name (ISO), or None."""
    match = TWO_DATES.search(path.name)
    if match is None:
        return None
    older, newer = (f"{digits[:4]}-{digits[4:6]}-{digits[6:]}" for digits in match.groups())
    return older, newer


def _unnamed(files: Sequence[Path], rule: Convention) -> list[Path]:
    """The files that the convention has no name for."""
    patterns = (rule.interferogram, rule.coherence, *rule.geometry.values())
    return [path for path in files if not any(pattern.match(path.name) for pattern in patterns)]


def _like_interferograms(files: Sequence[Path]) -> list[Path]:
    """Files that are named like an interferogram of some tool: two dates and 'unw'."""
    return [path for path in files if "unw" in path.name.lower() and _dates_in(path) is not None]


def _there_lies(paths: Sequence[Path], directory: Path) -> str:
    return f"; there lies {paths[0].relative_to(directory)}, which is not named so" if paths else ""


def none_found(directory: Path, convention: str) -> str:
    """The sentence for a directory without a single interferogram of the convention: what lies there instead."""
    rule, files = CONVENTIONS[convention], all_files(directory)
    said = f"{directory} holds no interferogram of the convention {rule.name} ({rule.examples['interferogram']})"
    if not files:
        return f"{said}, nor any other file: correct the track's path, or put the files there"
    alike = _like_interferograms(_unnamed(files, rule))
    zips = [path for path in files if path.suffix.lower() == ".zip"]
    if alike:
        what, remedy = alike, "rename them to that pattern if they hold what the convention says, or correct the"
        if not all(path.suffix.lower() in (".tif", ".tiff") for path in alike):
            remedy = "convert them to geocoded GeoTIFFs of that name, or correct the"
    elif zips:
        what, remedy = zips, "unpack them there, or correct the"
    else:
        what, remedy = files, "correct the"
    return f"{said}, but {len(what)} {_kind(what)}{named(what, directory)}: {remedy} track's path or convention"


def _kind(paths: Collection[Path]) -> str:
    return "other file, " if len(paths) == 1 else "other files, such as "


def say_what_is_left_aside(directory: Path, convention: str, pairs: pd.DataFrame) -> None:
    """Log which files are not read beside the pairs of `find_pairs`, and which lack; likely mistakes as warnings."""
    rule, files = CONVENTIONS[convention], all_files(directory)
    rest = _unnamed(files, rule)
    alike = _like_interferograms(rest)
    unpacked = {path.parent.name for path in files}
    zips = [path for path in rest if path.suffix.lower() == ".zip" and path.stem not in unpacked]
    wanted = rule.examples["interferogram"]
    if alike:
        log.warning(
            "%s: %d files look like interferograms, but are not named %s as %s expects, and are left aside: %s",
            directory, len(alike), wanted, convention, named(alike, directory),
        )  # fmt: skip
    if zips:
        log.warning(
            "%s: %d zip files are not unpacked and are left aside: %s", directory, len(zips), named(zips, directory)
        )
    used = set(pairs["coherence"])
    lonely = [path for path in files if rule.coherence.match(path.name) and path not in used]
    if lonely:
        log.warning("%s: coherence of %d pairs without interferogram is left aside: %s", directory, len(lonely),
                    named(lonely, directory))  # fmt: skip
    if len(pairs) and pairs["coherence"].isna().all():
        near = [path for path in rest if _dates_in(path) and path not in alike]
        log.warning(
            "%s has no coherence file (%s)%s: no pixel is masked for its coherence",
            directory, rule.examples["coherence"], _there_lies(near, directory),
        )  # fmt: skip
    others = [path for path in rest if path.suffix.lower() in (".tif", ".tiff") and path not in alike]
    if others:
        log.info("%s: %d other GeoTIFFs are left aside: %s", directory, len(others), named(others, directory))


def refuse_partial_geometry(found: Collection[str], rule: Convention, directory: Path) -> None:
    """Refuse a line of sight of which some parts are there and others are not; raises SlipscanError."""
    for parts in (("los_east", "los_north", "los_up"), ("lv_theta", "lv_phi")):
        there, lacking = ([part for part in parts if (part in found) == has] for has in (True, False))
        if there and lacking:
            raise SlipscanError(
                f"{directory} has {' and '.join(rule.examples[part] for part in there)}, but no"
                f" {' and no '.join(rule.examples[part] for part in lacking)}: add what is missing of the line of"
                " sight, or remove the rest"
            )


def named(paths: Sequence[Path], directory: Path) -> str:
    """Write the names of files below a directory, the first few where they are many."""
    return listed([path.relative_to(directory) for path in paths], most=3)
