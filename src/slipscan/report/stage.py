"""The report stage: the catalogue and the stores behind it in, one page and one map out."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd

from slipscan.archive.stations import steps_file
from slipscan.atomic import write_text, written_beside
from slipscan.catalogue import geopackage
from slipscan.errors import SlipscanError
from slipscan.events import read_events
from slipscan.geometry import read_grid
from slipscan.gnss.offsets import Daily, lay
from slipscan.gnss.stage import read_comparison
from slipscan.gnss.steps import read_steps
from slipscan.gnss.tenv3 import read_stations
from slipscan.outputs import check_outputs, file_kind, head
from slipscan.png import png_kind
from slipscan.progress import progress
from slipscan.regions import Region, read_regions
from slipscan.report import completeness_figures, event_figures, gnss_figures, map, page, style, track_figures, words
from slipscan.report.figures import Picture
from slipscan.report.observed import TrackStores, sighting
from slipscan.settings import ReportSettings
from slipscan.stack import open_denoised, with_denoised
from slipscan.store import open_zarr

log = logging.getLogger(__name__)

Event = dict[str, Any]
_MARKS = (b'<meta name="generator" content="slipscan">', b":root { --ink: #1d2733; --quiet: #5b6773; ")
"""The second: of pages up to version 0.1."""
PAGE = file_kind("a report page", lambda path: any(mark in head(path) for mark in _MARKS))
MAP = png_kind("a map", style.DPI)


def write_report(
    catalogue: Path,
    results_dir: Path,
    regions_file: Path,
    region_ids: list[str],
    out_html: Path,
    out_map: Path,
    settings: ReportSettings,
) -> None:
    """Write the page and the overview map.

    Parameters
    ----------
    catalogue
        the GeoPackage
    results_dir
        holds {region}/{track}/denoised.zarr, transients.zarr and perhaps noise.zarr, {region}/events.parquet
        and perhaps gnss.parquet
    regions_file, region_ids
        GeoJSON of the regions, and those of the page
    out_html, out_map
        one self-contained file, and a PNG of all regions and events in longitude and latitude
    settings
        the title

    Raises
    ------
    SlipscanError
        an unknown region, a region that the catalogue does not hold, a missing or unreadable file
    """
    check_outputs([(out_html, PAGE), (out_map, MAP)], [catalogue, results_dir, regions_file])
    regions = _select(read_regions(regions_file), region_ids, regions_file)
    events, retracted, scans = _read_catalogue(catalogue, region_ids)
    grids = geopackage.read_layers(catalogue, "completeness")["completeness"]
    stores = {region.id: _open_tracks(Path(results_dir), region) for region in regions}
    shown = progress(regions, "region pages")
    png = map.overview(regions, events, [r for tracks in stores.values() for r in _reliefs(tracks)])
    html = page.render(page.Page(
        title=settings.title,
        overview=Picture(png, "Map of all regions and events", _map_caption(events)),
        events=events,
        retracted=retracted,
        scans=scans,
        event_sections=_event_sections(events, stores, Path(results_dir)),
        region_sections=[_region_section(r, stores[r.id], events, scans, grids) for r in shown],
    ))  # fmt: skip
    with written_beside(out_map, MAP) as beside:
        beside.write_bytes(png)
    write_text(out_html, html, PAGE)
    log.info("%s: %d events, %d regions", out_html, len(events), len(regions))


def _select(regions: dict[str, Region], region_ids: list[str], regions_file: Path) -> list[Region]:
    unknown = [region_id for region_id in region_ids if region_id not in regions]
    if unknown:
        raise SlipscanError(f"{regions_file} has no region {unknown[0]}: it has {', '.join(regions)}")
    if not region_ids:
        raise SlipscanError("a report needs at least one region")
    return [regions[region_id] for region_id in region_ids]


def _read_catalogue(catalogue: Path, region_ids: list[str]) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame, pd.DataFrame]:
    """Events, retracted events and scans of regions, each of which the catalogue must hold a scan of."""
    layers = geopackage.read(catalogue)
    events, retracted, scans = (layer[layer["region"].isin(region_ids)].reset_index(drop=True) for layer in layers)
    for region_id in region_ids:
        if region_id not in set(scans["region"]):
            raise SlipscanError(f"the catalogue {catalogue} holds no scan of region {region_id}: run it first")
    return events, retracted, scans


def _open_tracks(results_dir: Path, region: Region) -> list[TrackStores]:
    tracks = []
    for track in region.tracks:
        directory = results_dir / region.id / track.id
        stack = open_zarr(directory / "stack.zarr")
        denoised = with_denoised(stack, open_denoised(directory / "denoised.zarr", stack))
        noise = directory / "noise.zarr"
        tracks.append(
            TrackStores(
                region.id,
                track.id,
                read_grid(stack, str(directory / "stack.zarr")),
                denoised,
                open_zarr(directory / "transients.zarr"),
                open_zarr(noise) if noise.is_dir() else None,
            )
        )
    return tracks


def _reliefs(tracks: list[TrackStores]) -> list[map.Relief]:
    """Topography of the first track that has it."""
    for stores in tracks:
        if "height" in stores.denoised:
            return [map.Relief(stores.grid, stores.denoised["height"].values)]
    return []


def _map_caption(events: gpd.GeoDataFrame) -> str:
    if events.empty:
        return "Regions scanned, over shaded relief where the data hold a height. No event."
    return (
        "Regions scanned, footprints of the events, and circles at the centres of their sources, larger for larger Mw."
    )


def _event_sections(
    events: gpd.GeoDataFrame, stores: dict[str, list[TrackStores]], results_dir: Path
) -> list[page.EventSection]:
    rows: list[Event] = events.to_dict("records")
    daily = {region: _positions(results_dir / region / "stations") for region in stores if rows}
    sections = []
    for row in progress(rows, "event pages"):
        region = row["region"]
        section = _event_section(row, stores[region], results_dir)
        beside = [other for other in rows if other["region"] == region]
        sections.append(replace(section, gnss_more=_gnss_figures(row, beside, results_dir / region, daily[region])))
    return sections


def _positions(stations: Path) -> Daily | None:
    """Daily positions of a region's stations; None where the workflow has written none."""
    if not stations.is_dir():
        return None
    steps = steps_file(stations)
    return lay(read_stations(stations), read_steps(steps) if steps else {})


def _gnss_figures(event: Event, events: list[Event], directory: Path, daily: Daily | None) -> list[Picture]:
    """Vectors on a map, and series, of the event's stations."""
    table = _gnss_of(event, directory)
    if table is None:
        return []
    series = None if daily is None else gnss_figures.station_series(table, event, events, daily)
    return [picture for picture in (gnss_figures.vector_map(table, event), series) if picture is not None]


def _event_section(event: Event, tracks: list[TrackStores], results_dir: Path) -> page.EventSection:
    gnss = _gnss_of(event, results_dir / event["region"])
    seen_by = _tracks_of(event)
    pictures: list[tuple[str, list[Picture]]] = []
    for stores in tracks:
        if stores.track not in seen_by:
            continue
        seen = sighting(stores, event)
        shown = []
        if seen is not None:
            shown = [
                event_figures.transient_map(stores, seen, event, gnss),
                event_figures.history(stores, seen, event),
            ]
        pictures.append((stores.track, shown))
    return page.EventSection(
        event_id=event["event_id"],
        type=event["type"],
        verdict=event["gnss_verdict"],
        cells=words.table_cells(event),
        facts=words.facts(event),
        tracks=pictures,
        gnss=None if gnss is None else event_figures.gnss_comparison(gnss, event["event_id"]),
        gnss_rows=[] if gnss is None else words.gnss_rows(gnss),
    )


def _tracks_of(event: Event) -> set[str]:
    return {track.strip() for track in event["tracks"].split(",")}


def _gnss_of(event: Event, directory: Path) -> pd.DataFrame | None:
    """Rows of gnss.parquet of an event; None without any station, or where a newer scan replaced the event."""
    path = directory / "gnss.parquet"
    if not path.is_file():
        return None
    found, _ = read_events(directory / "events.parquet")
    same = (found["t50"] == event["t50"]) & (found["t05"] == event["t05"])
    same &= (found["longitude"] == event["longitude"]) & (found["latitude"] == event["latitude"])
    table = read_comparison(path)
    of_event = table["event"].isin(np.flatnonzero(same))
    named = table["station"].notna() & (table["station"] != "")
    rows = table[of_event & named]
    return None if rows.empty else rows.reset_index(drop=True)


def _region_section(
    region: Region,
    tracks: list[TrackStores],
    events: gpd.GeoDataFrame,
    scans: pd.DataFrame,
    grids: pd.DataFrame,
) -> page.RegionSection:
    own = events[events["region"] == region.id]
    return page.RegionSection(
        region=region.id,
        name=region.name,
        setting=region.tectonic_setting,
        events=list(own["event_id"]),
        tracks=[_track_section(stores, own, scans) for stores in tracks],
        completeness=completeness_figures.grid_maps(grids[grids["region"] == region.id]),
    )


def _track_section(stores: TrackStores, events: gpd.GeoDataFrame, scans: pd.DataFrame) -> page.TrackSection:
    seen = [event for event in events.to_dict("records") if stores.track in _tracks_of(event)]
    strongest = max(seen, key=lambda event: event["statistic"], default=None)
    rows = scans[(scans["region"] == stores.region) & (scans["track"] == stores.track)].to_dict("records")
    maps = [track_figures.velocity(stores), track_figures.coherence(stores)]
    noise = [track_figures.epoch_noise(stores), track_figures.spectrum(stores)]
    return page.TrackSection(
        track=stores.track,
        orbit_direction=str(stores.denoised.attrs.get("orbit_direction", "")),
        scanned=words.scanned(rows[0]) if rows else "The catalogue holds no scan of this track.",
        change_of=f"over event {strongest['event_id']}" if strongest else "from the first to the last epoch",
        change=track_figures.change(stores, strongest),
        maps=[picture for picture in maps if picture is not None],
        noise=[picture for picture in noise if picture is not None],
    )
