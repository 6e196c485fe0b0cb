"""Fetch the daily positions of a region's stations from NGL, politely: two connections, and only what has changed."""

from __future__ import annotations

import logging
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from slipscan.archive.granules import RemoteFile
from slipscan.archive.http.download import download
from slipscan.archive.stations import STEPS
from slipscan.atomic import written_beside
from slipscan.earthquakes import Earthquakes, read_earthquakes
from slipscan.errors import SlipscanError
from slipscan.gnss.earthquakes import earthquake_steps, step_line
from slipscan.gnss.holdings import around, named, read_holdings
from slipscan.gnss.steps import read_steps
from slipscan.outputs import check_outputs, listed_kind, write_listing
from slipscan.regions import Region
from slipscan.settings import DownloadSettings, NglSettings

log = logging.getLogger(__name__)

FOLDER = "ngl"
"""Below the cache's downloads."""
KIND = listed_kind("a directory of stations")


def fetch_stations(
    region: Region, settings: NglSettings, downloads: DownloadSettings, cache_dir: Path, out: Path
) -> list[str]:
    """Fetch the series of a region's stations and write them with their steps into one directory.

    Files stay in the cache; the server is asked only whether they have changed. What is cut off goes on where it was.

    Parameters
    ----------
    region
        its `gnss_stations`, or all stations of the list within `gnss_distance_km` of its polygon
    out
        directory: {station}.tenv3 and steps.txt, of these stations alone

    Returns
    -------
    names
        of the stations that came

    Raises
    ------
    SlipscanError
        the list, the steps or every one of the series cannot be had; no station around
    """
    check_outputs([(Path(out), KIND)], [cache_dir])
    downloads = downloads.model_copy(update={"parallel": settings.parallel})
    folder = Path(cache_dir) / "downloads" / FOLDER / settings.frame
    lists = [_remote(settings, path) for path in (settings.holdings_path, settings.steps_path)]
    holdings, steps = download(lists, folder, downloads)
    chosen = _chosen(region, settings, read_holdings(holdings))
    log.info("region %s: %d stations of NGL in frame %s", region.id, len(chosen), settings.frame)
    names = [str(name) for name in chosen["name"]]
    with ThreadPoolExecutor(settings.parallel) as executor:
        paths = list(executor.map(lambda name: _series(name, settings, folder, downloads), names))
    series = {name: path for name, path in zip(names, paths, strict=True) if path is not None}
    if not series:
        raise SlipscanError(f"none of the {len(chosen)} stations of region {region.id} could be fetched (see above)")
    with written_beside(Path(out), KIND) as beside:
        beside.mkdir()
        for name, path in series.items():
            shutil.copyfile(path, beside / f"{name}.tenv3")
        (beside / STEPS).write_text(_steps_text(chosen, steps, settings), encoding="ascii", errors="replace")
        write_listing(beside)
    return list(series)


def _chosen(region: Region, settings: NglSettings, holdings: pd.DataFrame) -> pd.DataFrame:
    """The stations of a region."""
    if region.gnss_stations is not None:
        return named(holdings, region.gnss_stations)
    distance = settings.max_distance_km if region.gnss_distance_km is None else region.gnss_distance_km
    chosen = around(holdings, region.polygon, distance)
    long = chosen[chosen["days"] >= settings.min_days]
    if not len(long):
        raise SlipscanError(
            f"NGL has no station of {settings.min_days} days within {distance:g} km of region {region.id}"
            f" ({len(chosen)} of fewer): raise gnss_distance_km, or lower ngl.min_days"
        )
    return long


def _remote(settings: NglSettings, path: str, name: str | None = None) -> RemoteFile:
    return RemoteFile(name or path.rpartition("/")[2], f"{settings.url.rstrip('/')}/{path.lstrip('/')}", refresh=True)


def _series(name: str, settings: NglSettings, folder: Path, downloads: DownloadSettings) -> Path | None:
    """A station's file in the cache; None, said in the log, where the server has none."""
    path = settings.series_path.format(frame=settings.frame, station=name)
    try:
        return download([_remote(settings, path, f"{name}.tenv3")], folder, downloads)[0]
    except SlipscanError as error:
        if "HTTP 404" not in str(error) and "HTTP 410" not in str(error):
            raise
        log.warning("station left out: NGL lists %s, but has no series of it in frame %s", name, settings.frame)
        return None


def _steps_text(chosen: pd.DataFrame, steps: Path, settings: NglSettings) -> str:
    """Steps of the chosen stations, as NGL has them; by earthquakes around where it has none of a station."""
    known = read_steps(steps)
    earthquakes = _earthquakes(settings)
    lines = []
    for name, longitude, latitude in zip(chosen["name"], chosen["longitude"], chosen["latitude"], strict=True):
        found = known.get(name)
        if found is None and earthquakes is not None:
            found = earthquake_steps(earthquakes, float(longitude), float(latitude))
            log.info("%s is not in NGL's table of steps: %d earthquakes around it may have moved it", name, len(found))
        elif found is None:
            log.info("%s is not in NGL's table of steps: set ngl.earthquakes for its possible steps", name)
        lines += [step_line(name, step) for step in found or ()]
    return "\n".join(lines or ["# no step is known"]) + "\n"


def _earthquakes(settings: NglSettings) -> Earthquakes | None:
    if settings.earthquakes is None:
        return None
    path = Path(settings.earthquakes).expanduser()
    return read_earthquakes(path, "correct ngl.earthquakes, or leave the key out")
