"""Archive 'licsar': COMET's LiCSAR frames over plain HTTP index pages, without a login.

{licsar_url}/{track}/{frame}/interferograms/{older}_{newer}/ holds {pair}.geo.unw.tif (rad, positive away, 0 = no data)
and {pair}.geo.cc.tif (0-255), metadata/ the line of sight and heights of the frame, epochs/{date}/{date}.sltd.geo.tif
the GACOS delay of a date: slant-range phase in radians with the sign of unw, 0 = no data, so that the troposphere's
part of an interferogram is that of the newer minus that of the older date (LiCSBAS03op_GACOS.py: unw - (s - m)).
"""

from __future__ import annotations

import datetime
import logging
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from slipscan.archive.conventions import CONVENTIONS
from slipscan.archive.cubes import bilinear
from slipscan.archive.extent import Bounds, projected
from slipscan.archive.granules import RemoteFile
from slipscan.archive.http.index_pages import Pages
from slipscan.archive.layers import LOS, read_coherences, read_height, read_line_of_sight, read_phases
from slipscan.archive.manifest import COLUMNS, ORDER
from slipscan.archive.rasters import Raster, common_grid, read_header, read_on
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid, write_grid
from slipscan.plausible import plausible
from slipscan.regions import Region, Track
from slipscan.settings import ArchiveSettings
from slipscan.vocabulary import annotate

log = logging.getLogger(__name__)

STAGE_VERSION = 2
RULE = CONVENTIONS["licsar"]
FRAME = re.compile(r"^(?P<track>\d{3})(?P<direction>[AD])_\d{5}_\d{6}$")
PAIR = re.compile(r"^(\d{8})_(\d{8})$")
METADATA = "metadata.txt"
NAMED_IN_LOG = 8
"""At most so many pairs or dates are named in a log line."""


def search(region: Region, track: Track, settings: ArchiveSettings, as_of: str) -> pd.DataFrame:
    """List the interferograms of the track's frames whose newer date is not after `as_of` (ISO).

    A pair whose folder holds no unwrapped interferogram or no coherence, or whose name is no pair of dates with the
    older first, is left out and named in the log. A pair has one version: what a folder holds.

    Returns
    -------
    manifest
        columns manifest.COLUMNS, sorted; granule is {frame}_{older}_{newer}, sizes and checksums are unknown

    Raises
    ------
    SlipscanError
        a frame of another track or that the archive does not have; no answer from the server
    """
    rows = []
    with Pages(settings.download, "archive.licsar_url") as pages:
        for frame in _frames(track):
            base = frame_url(settings, frame)
            names = pages.names(f"{base}interferograms/")
            if names is None:
                raise SlipscanError(
                    f"archive 'licsar' has no frame {frame} at {base}: correct licsar.frames of track {track.id}, or"
                    " archive.licsar_url"
                )
            version = _product_version(pages, base)
            rows += [
                {
                    "granule": f"{frame}_{pair}",
                    "archive": "licsar",
                    "product_version": version,
                    "reference_date": older,
                    "secondary_date": newer,
                    "relative_orbit": str(track.relative_orbit),
                    "frame": frame,
                    "expected_bytes": "",
                    "expected_checksum": "",
                }
                for pair, older, newer in _pairs_with_data(pages, base, frame, names, as_of)
            ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).sort_values(ORDER, kind="stable", ignore_index=True)


def query(region: Region, track: Track, settings: ArchiveSettings, as_of: str) -> str:
    """Say what `search` would ask, without asking."""
    urls = ", ".join(f"{frame_url(settings, frame)}interferograms/" for frame in _frames(track))
    return f"GET {urls} and the folder of every pair whose newer date is not after {as_of}"


def locate(
    rows: pd.DataFrame, region: Region, track: Track, settings: ArchiveSettings, cache_dir: Path
) -> dict[str, list[RemoteFile]]:
    """Find the files of manifest rows, by granule; the geometry of a frame and the GACOS delays of dates are shared.

    Raises
    ------
    SlipscanError
        a pair that the archive no longer has; no answer from the server
    """
    out: dict[str, list[RemoteFile]] = {}
    with Pages(settings.download, "archive.licsar_url") as pages:
        for frame, group in rows.groupby("frame", sort=True):
            base = frame_url(settings, str(frame))
            shared = _geometry_files(pages, base, str(frame))
            pairs = [str(granule).removeprefix(f"{frame}_") for granule in group["granule"]]
            found = pages.each_names([f"{base}interferograms/{pair}/" for pair in pairs], "find files")
            delays = _delay_files(pages, base, str(frame), pairs) if settings.corrections.troposphere == "gacos" else {}
            for pair, names in zip(pairs, found, strict=True):
                own = [
                    RemoteFile(f"{frame}_{name}", f"{base}interferograms/{pair}/{name}")
                    for name in (f"{pair}.geo.unw.tif", f"{pair}.geo.cc.tif")
                    if name in (names or ())
                ]
                if len(own) < 2:
                    raise SlipscanError(
                        f"archive 'licsar' no longer has the interferogram {pair} of frame {frame}: make the manifest"
                        " again"
                    )
                both = [delays[date] for date in pair.split("_") if date in delays]
                out[f"{frame}_{pair}"] = [*own, *shared, *(both if len(both) == 2 else [])]
    return out


def crop(
    row: pd.Series, files: Sequence[Path], region: Region, track: Track, bounds: Bounds, dem: Path | None = None
) -> xr.Dataset | None:
    """Read the part of an interferogram within `bounds` (degrees) as product 'granule'; None where it has no data.

    `dem` is not used: frames bring their heights.

    Returns
    -------
    granule
        on the frame's lattice of 0.001 degrees, metres toward the satellite: interferogram, coherence (0-1), line of
        sight, height, and troposphere where the delays of both dates are among the files

    Raises
    ------
    SlipscanError
        a file is unreadable, on another lattice, of another scale; a line of sight that the track cannot have
    """
    own = {path.name.removeprefix(f"{row['frame']}_"): path for path in files}
    unwrapped = [read_header(path) for name, path in own.items() if RULE.interferogram.match(name)]
    coherence = [read_header(path) for name, path in own.items() if RULE.coherence.match(name)]
    if not unwrapped:
        raise SlipscanError(f"the interferogram of {row['granule']} is not among its files: fetch it again")
    if not _touches(unwrapped[0], bounds):
        return None
    geometry = {
        what: read_header(path)
        for what, pattern in RULE.geometry.items()
        for name, path in own.items()
        if pattern.match(name)
    }
    grid = common_grid([*unwrapped, *coherence, *geometry.values()], bounds)
    metres_per_radian = RULE.metres_per_radian(track.radar_wavelength_m)
    displacement = read_phases(unwrapped[:1], grid, metres_per_radian)[0]
    if np.isnan(displacement).all():
        return None
    layers = {"interferogram": displacement, **_read_geometry(geometry, grid, track, str(row["granule"]))}
    if coherence:
        layers["coherence"] = read_coherences(coherence[:1], grid, RULE.coherence_scale, RULE.name)[0]
    older, newer = (own.get(f"{str(row[name]).replace('-', '')}.sltd.geo.tif") for name in ORDER[:2])
    if older is not None and newer is not None:
        layers["troposphere"] = (_read_delay(newer, grid) - _read_delay(older, grid)) * metres_per_radian
    dataset = xr.Dataset({name: (("y", "x"), np.asarray(values, np.float32)) for name, values in layers.items()})
    dataset.attrs = {name: str(row[name]) for name in ORDER[:2]} | _acquisition_time(own.get(METADATA))
    if "troposphere" in layers:
        dataset.attrs["troposphere"] = "gacos"
    return annotate(write_grid(dataset, grid), "granule")


def frame_url(settings: ArchiveSettings, frame: str) -> str:
    """Return the folder of a frame; its track is written without leading zeros."""
    return f"{settings.licsar_url.rstrip('/')}/{int(frame[:3])}/{frame}/"


def _frames(track: Track) -> tuple[str, ...]:
    """The track's frames; raises SlipscanError for one of another track."""
    if track.licsar is None:
        raise SlipscanError(f"track {track.id} has no key 'licsar' (frames): add it to the region's entry")
    for frame in track.licsar.frames:
        match = FRAME.match(frame)
        if match is None:
            raise SlipscanError(f"{frame!r} of track {track.id} is no LiCSAR frame: write it as 021D_04972_131213")
        if (int(match["track"]), match["direction"]) != (track.relative_orbit, track.orbit_direction[0].upper()):
            raise SlipscanError(
                f"frame {frame} is not of relative orbit {track.relative_orbit} {track.orbit_direction}: correct"
                f" licsar.frames of track {track.id}"
            )
    return track.licsar.frames


def _product_version(pages: Pages, base: str) -> str:
    """Version of a frame's processing by its metadata.txt, or an empty string (few frames tell one)."""
    text = pages.text(f"{base}metadata/metadata.txt", accept=lambda answer: "<html" not in answer.lower())
    match = re.search(r"^\s*\w*version\s*=\s*(\S+)", text or "", re.MULTILINE)
    return match[1] if match else ""


def _pairs_with_data(
    pages: Pages, base: str, frame: str, names: Iterable[str], as_of: str
) -> list[tuple[str, str, str]]:
    """Pair, older and newer date (ISO) of every folder with an interferogram and its coherence; others are logged."""
    pairs, wrong = [], []
    for name in sorted(set(names)):
        match = PAIR.match(name)
        if match is None:
            continue
        try:
            older, newer = (datetime.date.fromisoformat(digits).isoformat() for digits in match.groups())
        except ValueError:
            wrong.append(name)
            continue
        if older >= newer:
            wrong.append(name)
        elif newer <= as_of:
            pairs.append((name, older, newer))
    found = pages.each_names([f"{base}interferograms/{pair[0]}/" for pair in pairs], "list pairs")
    # Without its coherence nothing of an interferogram would pass the mask of incoherent pixels.
    needed = [{f"{pair[0]}.geo.unw.tif", f"{pair[0]}.geo.cc.tif"} for pair in pairs]
    full = [files <= set(names or ()) for files, names in zip(needed, found, strict=True)]
    _say("%s: no pair of dates with the older first, left out: %s", frame, wrong)
    empty = [pair[0] for pair, has in zip(pairs, full, strict=True) if not has]
    _say("%s: pairs without an unwrapped interferogram or its coherence, left out: %s", frame, empty)
    return [pair for pair, has in zip(pairs, full, strict=True) if has]


def _say(message: str, frame: str, names: Sequence[str]) -> None:
    """Log names, some of them where they are many; nothing where there is none."""
    if names:
        more = f" and {len(names) - NAMED_IN_LOG} more" if len(names) > NAMED_IN_LOG else ""
        log.warning(message, frame, ", ".join(names[:NAMED_IN_LOG]) + more)


def _geometry_files(pages: Pages, base: str, frame: str) -> list[RemoteFile]:
    """Line of sight, height and metadata of a frame; raises SlipscanError where a part of the former is missing."""
    names = pages.names(f"{base}metadata/") or []
    found = {what: name for what, rule in RULE.geometry.items() for name in sorted(names) if rule.match(name)}
    missing = [what for what in LOS if what not in found]
    if missing:
        raise SlipscanError(f"archive 'licsar' has no file of {missing[0]} at {base}metadata/: choose another frame")
    files = [RemoteFile(name, f"{base}metadata/{name}", shared=True) for name in found.values()]
    if METADATA in names:
        files.append(RemoteFile(f"{frame}_{METADATA}", f"{base}metadata/{METADATA}", shared=True))
    return files


def _acquisition_time(path: Path | None) -> dict[str, str]:
    """Time of day (UTC) of a frame by its metadata.txt; {} where there is none, or none in it."""
    text = path.read_text(encoding="utf-8", errors="replace") if path is not None else ""
    match = re.search(r"^\s*center_time\s*=\s*(\d\d:\d\d:\d\d)", text, re.MULTILINE)
    return {"acquisition_time": match[1]} if match else {}


def _delay_files(pages: Pages, base: str, frame: str, pairs: Sequence[str]) -> dict[str, RemoteFile]:
    """GACOS delays by date (YYYYMMDD); dates without one go to the log."""
    dates = sorted({date for pair in pairs for date in pair.split("_")})
    listed = sorted(set(dates) & set(pages.names(f"{base}epochs/") or ()))
    found = pages.each_names([f"{base}epochs/{date}/" for date in listed], "find GACOS delays")
    names = {date: f"{date}.sltd.geo.tif" for date in dates}
    have = [date for date, page in zip(listed, found, strict=True) if names[date] in (page or ())]
    _say("%s: no GACOS delay for %s", frame, [date for date in dates if date not in have])
    return {
        date: RemoteFile(f"{frame}_{names[date]}", f"{base}epochs/{date}/{names[date]}", shared=True) for date in have
    }


def _touches(raster: Raster, bounds: Bounds) -> bool:
    """Whether at least two rows and columns of a raster lie in a box (degrees)."""
    west, south, east, north = projected(bounds, raster.crs)
    right, bottom = raster.left + raster.width * raster.dx, raster.top - raster.height * raster.dy
    across, down = min(east, right) - max(west, raster.left), min(north, raster.top) - max(south, bottom)
    return across >= 2 * raster.dx and down >= 2 * raster.dy


def _read_geometry(
    rasters: dict[str, Raster], grid: Grid, track: Track, granule: str
) -> dict[str, NDArray[np.float32]]:
    """Line of sight (NaN where the file has 0) and height, (y, x) each; checked."""
    out = {"height": read_height(rasters["height"], grid)} if "height" in rasters else {}
    if set(LOS) <= set(rasters):
        parts = read_line_of_sight(rasters, grid, track.orbit_direction, granule)
        out |= dict(zip(LOS, parts, strict=True))
    return out


def _read_delay(path: Path, grid: Grid) -> NDArray[np.float32]:
    """Slant-range delay of a date, (y, x) rad, NaN where 0; bilinear, since GACOS may lie on a lattice of its own."""
    header = read_header(path)
    whole = common_grid([header])
    values = read_on(header, whole)
    values[values == 0] = np.nan
    plausible(values, "slant_delay", str(path))
    return bilinear(values, whole, grid)
