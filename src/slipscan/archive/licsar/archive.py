"""Archive 'licsar': COMET's LiCSAR frames over plain HTTP index pages, without a login.

{licsar_url}/{track}/{frame}/interferograms/{older}_{newer}/ holds an interferogram and its coherence, metadata/ the
line of sight and heights of the frame, epochs/{date}/ the GACOS delay of a date (`product` tells what is in the files).
"""

from __future__ import annotations

import datetime
import logging
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd
import xarray as xr

from slipscan.archive import manifest as manifests
from slipscan.archive.extent import Bounds
from slipscan.archive.granules import RemoteFile
from slipscan.archive.http.index_pages import Pages
from slipscan.archive.job import Job
from slipscan.archive.licsar.product import METADATA, RULE, read_granule
from slipscan.archive.manifest import ORDER
from slipscan.archive.names import listed
from slipscan.archive.reading.layers import LOS
from slipscan.archive.remote import RemoteArchive
from slipscan.errors import SlipscanError
from slipscan.regions import Track
from slipscan.settings import ArchiveSettings

log = logging.getLogger(__name__)

FRAME = re.compile(r"^(?P<track>\d{3})(?P<direction>[AD])_\d{5}_\d{6}$")
PAIR = re.compile(r"^(\d{8})_(\d{8})$")


class Licsar(RemoteArchive):
    """Archive 'licsar'."""

    name = "licsar"
    crop_version = 2
    whole_cycles = False  # frames were unwrapped and referenced one by one: they differ by any constant
    delays = "gacos"

    def search(self, job: Job, as_of: str) -> pd.DataFrame:
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
        with Pages(job.settings.download, "archive.licsar_url") as pages:
            for frame in _frames(job.track):
                base = frame_url(job.settings, frame)
                names = pages.names(f"{base}interferograms/")
                if names is None:
                    raise SlipscanError(
                        f"archive 'licsar' has no frame {frame} at {base}: correct licsar.frames of track"
                        f" {job.track.id}, or archive.licsar_url"
                    )
                version = _product_version(pages, base)
                rows += [
                    {
                        "granule": f"{frame}_{pair}",
                        "product_version": version,
                        "reference_date": older,
                        "secondary_date": newer,
                        "frame": frame,
                    }
                    for pair, older, newer in _pairs_with_data(pages, base, frame, names, as_of)
                ]
        return manifests.table(self.name, job.track, rows).sort_values(ORDER, kind="stable", ignore_index=True)

    def query(self, job: Job, as_of: str) -> str:
        """Say what `search` would ask, without asking."""
        urls = ", ".join(f"{frame_url(job.settings, frame)}interferograms/" for frame in _frames(job.track))
        return f"GET {urls} and the folder of every pair whose newer date is not after {as_of}"

    def locate(self, rows: pd.DataFrame, job: Job) -> dict[str, list[RemoteFile]]:
        """Find the files of manifest rows, by granule; a frame's geometry and the GACOS delays of dates are shared.

        Raises
        ------
        SlipscanError
            a pair that the archive no longer has; no answer from the server
        """
        out: dict[str, list[RemoteFile]] = {}
        with_delays = job.settings.corrections.troposphere == self.delays
        with Pages(job.settings.download, "archive.licsar_url") as pages:
            for frame, group in rows.groupby("frame", sort=True):
                base = frame_url(job.settings, str(frame))
                shared = _geometry_files(pages, base, str(frame))
                pairs = [str(granule).removeprefix(f"{frame}_") for granule in group["granule"]]
                found = pages.each_names([f"{base}interferograms/{pair}/" for pair in pairs], "find files")
                delays = _delay_files(pages, base, str(frame), pairs) if with_delays else {}
                for pair, names in zip(pairs, found, strict=True):
                    own = [
                        RemoteFile(f"{frame}_{name}", f"{base}interferograms/{pair}/{name}")
                        for name in (f"{pair}.geo.unw.tif", f"{pair}.geo.cc.tif")
                        if name in (names or ())
                    ]
                    if len(own) < 2:
                        raise SlipscanError(
                            f"archive 'licsar' no longer has the interferogram {pair} of frame {frame}: make the"
                            " manifest again"
                        )
                    both = [delays[date] for date in pair.split("_") if date in delays]
                    out[f"{frame}_{pair}"] = [*own, *shared, *(both if len(both) == 2 else [])]
        return out

    def crop(self, row: pd.Series, files: Sequence[Path], job: Job, bounds: Bounds) -> xr.Dataset | None:
        """Read the part of an interferogram within `bounds` (degrees): see `product.read_granule`."""
        return read_granule(row, files, job.track, bounds)


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
        log.warning(message, frame, listed(names, most=8))


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
