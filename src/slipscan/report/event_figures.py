"""Figures of one event: its map per track, its history, and GNSS beside InSAR."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray
from pyproj import Geod

from slipscan.geometry import Grid, from_lonlat
from slipscan.report import style
from slipscan.report.figures import MAP_WIDTH_IN, Picture, draw_map, extent, look_arrows, map_height_in
from slipscan.report.observed import Sighting, TrackStores
from slipscan.report.track_figures import date_axis, date_numbers

MARGIN = 0.5
"""Margin around footprint and fault on an event's map, in sizes of the larger of the two."""
MAX_STATIONS = 16

_EARTH = Geod(ellps="WGS84")


def fault_corners(event: dict[str, Any]) -> NDArray[np.float64] | None:
    """Corners of the source's rectangle at the surface.

    Parameters
    ----------
    event
        a row of the catalogue; longitude and latitude are those of the rectangle's centre

    Returns
    -------
    corners
        (4, 2) longitude and latitude: top edge from start to end along strike, then bottom edge back. The
        fault dips to the right of its strike (Aki & Richards). None where the source is no rectangle.
    """
    strike, dip = event["strike_deg"], event["dip_deg"]
    length, width = event["length_km"] * 1000, event["width_km"] * 1000
    if not all(math.isfinite(value) for value in (strike, dip, length, width)):
        return None
    across = width * math.cos(math.radians(dip)) / 2
    corners = []
    for along, down in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        lon, lat, _ = _EARTH.fwd(event["longitude"], event["latitude"], strike, along * length / 2)
        lon, lat, _ = _EARTH.fwd(lon, lat, strike + 90, down * across)
        corners.append((lon, lat))
    return np.array(corners)


def transient_map(stores: TrackStores, seen: Sighting, event: dict[str, Any], gnss: pd.DataFrame | None) -> Picture:
    """Draw the event's displacement with its footprint, fault and GNSS stations."""
    corners = fault_corners(event)
    places = corners if corners is not None else np.array([[event["longitude"], event["latitude"]]])
    x, y = from_lonlat(places[:, 0], places[:, 1], stores.grid.crs)
    rows, columns = _view(stores.grid, seen.footprint, x, y)
    grid = Grid(stores.grid.x[columns], stores.grid.y[rows], stores.grid.crs)
    limit = style.symmetric_limit(seen.map_mm[seen.footprint], percentile=100)
    with style.new_figure(MAP_WIDTH_IN, map_height_in(grid)) as figure:
        axes = figure.add_subplot()
        field = seen.map_mm[rows, columns]
        draw_map(figure, axes, grid, field, (-limit, limit), "LOS displacement, mm (+ toward the satellite)")
        _outline(axes, grid, seen.footprint[rows, columns])
        _source(axes, x, y, rectangle=corners is not None)
        if gnss is not None:
            _stations(axes, grid, gnss)
        axes.set_xlim(extent(grid)[:2])
        axes.set_ylim(extent(grid)[2:])
        look_arrows(axes, stores.transients)
        axes.set_title(f"{stores.track} {stores.denoised.attrs.get('orbit_direction', '')}".strip())
        png = style.to_png(figure)
    parts = ["Displacement over the whole event, mm, positive toward the satellite. Thin line: footprint."]
    if corners is not None:
        parts.append("Rectangle: source at the surface, its top edge thick.")
    else:
        parts.append("Cross: centre of the source.")
    if gnss is not None:
        parts.append("Triangles: GNSS stations.")
    return Picture(png, f"Map of event {event['event_id']} on track {stores.track}", " ".join(parts))


def _view(
    grid: Grid, footprint: NDArray[np.bool_], x: NDArray[np.floating], y: NDArray[np.floating]
) -> tuple[slice, slice]:
    """Rows and columns around footprint and source."""
    own_x = grid.x[footprint.any(axis=0)]
    own_y = grid.y[footprint.any(axis=1)]
    low_x, high_x = min(own_x.min(), x.min()), max(own_x.max(), x.max())
    low_y, high_y = min(own_y.min(), y.min()), max(own_y.max(), y.max())
    margin = MARGIN * max(high_x - low_x, high_y - low_y, 4 * grid.spacing[0])
    half = (max(high_x - low_x, high_y - low_y) / 2 + margin, max(0.6 * (high_x - low_x), high_y - low_y) / 2 + margin)
    columns = np.flatnonzero(np.abs(grid.x - (low_x + high_x) / 2) <= half[0])
    rows = np.flatnonzero(np.abs(grid.y - (low_y + high_y) / 2) <= half[1])
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _outline(axes: Axes, grid: Grid, footprint: NDArray[np.bool_]) -> None:
    """Outline of the footprint; a rim of zeros closes it where it leaves the view."""
    if not footprint.any():
        return
    dx, dy = grid.spacing
    x = np.concatenate([[grid.x[0] - dx], grid.x, [grid.x[-1] + dx]])
    y = np.concatenate([[grid.y[0] + dy], grid.y, [grid.y[-1] - dy]])
    padded = np.pad(footprint.astype(float), 1)
    axes.contour(x, y, padded, [0.5], colors="white", linewidths=2.2, zorder=5)
    axes.contour(x, y, padded, [0.5], colors=style.INK, linewidths=1.0, zorder=5)


def _source(axes: Axes, x: NDArray[np.floating], y: NDArray[np.floating], *, rectangle: bool) -> None:
    if not rectangle:
        axes.plot(x, y, "+", ms=12, mew=2, color=style.FAULT_COLOUR, path_effects=style.halo(3.5), zorder=6)
        return
    axes.plot(np.append(x, x[0]), np.append(y, y[0]), color=style.FAULT_COLOUR, lw=1, ls=(0, (3, 2)), zorder=6)
    axes.plot(x[:2], y[:2], color=style.FAULT_COLOUR, lw=2.6, path_effects=style.halo(4.5), zorder=6)


def _stations(axes: Axes, grid: Grid, gnss: pd.DataFrame) -> None:
    stations = gnss.drop_duplicates("station").sort_values("station")
    x, y = from_lonlat(stations["longitude"].to_numpy(float), stations["latitude"].to_numpy(float), grid.crs)
    west, east, south, north = extent(grid)
    for name, east_m, north_m in zip(stations["station"], x, y, strict=True):
        if west < east_m < east and south < north_m < north:
            axes.plot(east_m, north_m, "^", ms=6, mfc=style.STATION_COLOUR, mec=style.INK, mew=0.8, zorder=7)
            axes.annotate(
                name, (east_m, north_m), xytext=(5, 2), textcoords="offset points", fontsize=7,
                path_effects=style.halo(), zorder=7,
            )  # fmt: skip


def history(stores: TrackStores, seen: Sighting, event: dict[str, Any]) -> Picture:
    """Draw raw and denoised series of the event's lobes, and the fraction of the event reached."""
    with style.new_figure(5.6, 4.0) as figure:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3.4, 1])
        for axes in (upper, lower):
            _mark_times(axes, event)
            style.bare(axes)
        for lobe in seen.lobes:
            colour = style.TOWARD_COLOUR if lobe.sign > 0 else style.AWAY_COLOUR
            name = "toward" if lobe.sign > 0 else "away"
            upper.plot(seen.time, lobe.raw_mm, "o", ms=3, mew=0, color=colour, alpha=0.45, label=f"{name}, raw")
            upper.fill_between(
                seen.time, lobe.denoised_mm - lobe.std_mm, lobe.denoised_mm + lobe.std_mm, color=colour,
                alpha=0.15, lw=0,
            )  # fmt: skip
            upper.plot(seen.time, lobe.denoised_mm, color=colour, lw=1.8, label=f"{name}, denoised")
        upper.set_ylabel("LOS, mm (+ toward)")
        upper.set_title(f"History on {stores.track}")
        if seen.lobes:
            upper.legend(loc="upper left", ncols=2, columnspacing=1.2, handlelength=1.4)
            low, high = upper.get_ylim()
            upper.set_ylim(low, high + 0.22 * (high - low))
        lower.plot(seen.time, seen.history, color=style.INK)
        lower.set_ylim(-0.08, 1.08)
        lower.set_yticks([0, 0.5, 1])
        lower.set_ylabel("fraction")
        date_axis(lower)
        png = style.to_png(figure)
    caption = (
        "Median over the lobe toward the satellite (red) and away from it (blue): raw epochs (dots), denoised"
        " with one standard deviation (line and band), zero just before the event. Below: fraction of the event"
        " reached. Band: t05 to t95; line: t50. Positive toward the satellite."
    )
    return Picture(png, f"History of event {event['event_id']} on track {stores.track}", caption)


def _mark_times(axes: Axes, event: dict[str, Any]) -> None:
    t05, t50, t95 = date_numbers(event[name] for name in ("t05", "t50", "t95"))
    axes.axvspan(t05, t95, color=style.WINDOW_COLOUR, alpha=0.7, lw=0, zorder=0)
    axes.axvline(t50, color="#b8860b", lw=1, zorder=1)


def gnss_comparison(table: pd.DataFrame, event_id: str) -> Picture:
    """Draw InSAR, GNSS and the source's prediction in the line of sight, station by station, mm.

    Parameters
    ----------
    table
        rows of gnss.parquet that belong to the event, one per station and track
    event_id
        for the text
    """
    rows = table.sort_values(["distance_km", "station", "track"]).head(MAX_STATIONS).iloc[::-1]
    place = np.arange(len(rows), dtype=float)
    with style.new_figure(5.6, 1.2 + 0.27 * len(rows)) as figure:
        axes = figure.add_subplot()
        axes.axvline(0, color=style.QUIET, lw=0.8)
        for name, label, marker, colour, shift in (
            ("insar", "InSAR", "o", style.AWAY_COLOUR, 0.14),
            ("gnss", "GNSS", "s", style.GNSS_COLOUR, -0.14),
        ):
            axes.errorbar(
                rows[f"{name}_mm"], place + shift, xerr=rows[f"{name}_std_mm"], fmt=marker, ms=5, lw=1.2,
                color=colour, label=label,
            )  # fmt: skip
        axes.plot(rows["predicted_mm"], place, "D", ms=6, mfc="none", mec=style.INK, mew=1.1, label="source predicts")
        names = [f"{s}  {t}" for s, t in zip(rows["station"], rows["track"], strict=True)]
        axes.set_yticks(place, names)
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.set_xlabel("LOS displacement over the event, mm (+ toward the satellite)")
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        figure.legend(loc="outside lower center", ncols=3)
        png = style.to_png(figure)
    references = ", ".join(sorted(set(table["reference_station"]) - {""}))
    relative = f", relative to {references}" if references else ""
    more = f" The {MAX_STATIONS} nearest of {len(table)} rows." if len(table) > MAX_STATIONS else ""
    caption = (
        f"Line-of-sight displacement over the event{relative}, with one standard deviation, nearest station first."
        f" Positive toward the satellite.{more}"
    )
    return Picture(png, f"GNSS and InSAR displacements of event {event_id}", caption)
