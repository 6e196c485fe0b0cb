"""The overview map: regions, relief, footprints, and events as circles scaled by magnitude."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LightSource
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.ticker import FuncFormatter, MaxNLocator
from matplotlib.transforms import Bbox
from numpy.typing import NDArray
from shapely.geometry import Polygon

from slipscan.catalogue.footprint import split_at_antimeridian
from slipscan.geometry import Grid
from slipscan.regions import Region
from slipscan.report import style
from slipscan.report.figures import METRES_PER_DEGREE, degrees, scale_bar

SIZE_IN = (6.6, 5.6)
"""Largest width and height of the map itself."""
MAX_LABELS = 20
MAX_SCALED_DEG = 20.0
"""A wider map has no one scale, so it gets no bar."""
_RELIEF_PIXELS = 250


@dataclass(frozen=True)
class Relief:
    """Topography of a region for the background, (y, x) metres, NaN = no data."""

    grid: Grid
    height: NDArray[np.floating]


def overview(regions: list[Region], events: gpd.GeoDataFrame, reliefs: list[Relief]) -> bytes:
    """Draw all regions and events in longitude and latitude; returns the PNG.

    Parameters
    ----------
    regions
        at least one
    events
        active events of these regions (as `catalogue.geopackage.read` gives them); may be empty
    reliefs
        shaded below; may be empty
    """
    turn = _turn(regions)
    west, east, south, north = _bounds(regions, turn)
    stretch = 1 / math.cos(math.radians((south + north) / 2))
    ratio = (north - south) / (east - west) * stretch
    width_in = min(SIZE_IN[0], SIZE_IN[1] / ratio)
    with style.new_figure(max(width_in, 3.5) + 0.7, width_in * ratio + 0.75) as figure:
        axes = figure.add_subplot()
        axes.set_aspect(stretch)
        axes.set_facecolor("#f4f5f6")
        axes.grid(True, zorder=0)
        for relief in reliefs:
            _shade(axes, relief, turn)
        axes.set_xlim(west, east)
        axes.set_ylim(south, north)
        for region in regions:
            _draw_region(axes, region, turn)
        rows = events.sort_values("mw", ascending=False, kind="stable").to_dict("records")
        for row in rows:
            _draw_event(axes, row, turn)
        _edges(axes)
        if east - west < MAX_SCALED_DEG:
            scale_bar(axes, (west, east, south, north), METRES_PER_DEGREE / stretch)
        _legend(figure, rows)
        if len(rows) <= MAX_LABELS:
            _label(figure, axes, rows, turn)
        return style.to_png(figure)


def _turn(regions: list[Region]) -> bool:
    """Whether the map is centred on 180 degrees, since that makes it narrower, or a region lies across."""
    longitude = np.array([lon for region in regions for lon, _ in region.polygon])
    return bool(longitude.max() > 180 or np.ptp(longitude % 360) < np.ptp(longitude))


def _turned(longitude: Any, turn: bool) -> Any:
    return np.asarray(longitude) % 360 if turn else np.asarray(longitude)


def _bounds(regions: list[Region], turn: bool) -> tuple[float, float, float, float]:
    """West, east, south, north with a margin of 12 % and an aspect that fills the page."""
    longitude = _turned([lon for region in regions for lon, _ in region.polygon], turn)
    latitude = np.array([lat for region in regions for _, lat in region.polygon])
    middle = (longitude.min() + longitude.max()) / 2, (latitude.min() + latitude.max()) / 2
    squeeze = math.cos(math.radians(middle[1]))
    half_y = 0.62 * float(np.ptp(latitude))
    half_x = max(0.62 * float(np.ptp(longitude)), 0.9 * half_y / squeeze)
    half_y = max(half_y, 0.35 * half_x * squeeze)
    return middle[0] - half_x, middle[0] + half_x, max(middle[1] - half_y, -90), min(middle[1] + half_y, 90)


def _shade(axes: Axes, relief: Relief, turn: bool) -> None:
    """Hillshade of a region, light grey."""
    step = max(1, max(relief.grid.shape) // _RELIEF_PIXELS)
    height = relief.height[::step, ::step]
    valid = np.isfinite(height)
    if min(height.shape) < 3 or not valid.any():
        return
    longitude, latitude = relief.grid.lonlat()
    dx, dy = (spacing * step for spacing in relief.grid.spacing)
    filled = np.where(valid, height, np.median(height[valid]))
    exaggeration = 6.0 if not relief.grid.crs.is_geographic else 6.0 / METRES_PER_DEGREE
    light = LightSource(azdeg=315, altdeg=45).hillshade(filled, vert_exag=exaggeration, dx=dx, dy=dy)
    axes.pcolormesh(
        _turned(longitude[::step, ::step], turn), latitude[::step, ::step],
        np.ma.masked_where(~valid, light), cmap="gray", vmin=-0.9, vmax=1.0, shading="nearest", rasterized=True,
        alpha=0.75, lw=0, zorder=1,
    )  # fmt: skip


def _draw_region(axes: Axes, region: Region, turn: bool) -> None:
    ring = np.array(region.polygon)
    longitude = _turned(ring[:, 0], turn)
    axes.fill(longitude, ring[:, 1], color="white", lw=0, zorder=0.5)
    axes.plot(longitude, ring[:, 1], color=style.INK, lw=1.2, zorder=3)
    axes.annotate(
        region.name, (longitude.min(), ring[:, 1].max()), xytext=(1, 4), textcoords="offset points",
        fontsize=8.5, fontweight="bold", path_effects=style.halo(3), zorder=6, annotation_clip=True,
    )  # fmt: skip


def _draw_event(axes: Axes, row: dict[str, Any], turn: bool) -> None:
    colour = style.TYPE_COLOURS.get(row["type"], style.QUIET)
    footprint = split_at_antimeridian(row["geometry"])
    for part in getattr(footprint, "geoms", [footprint]):
        axes.add_patch(PathPatch(_path(part, turn), fc=colour, ec=colour, alpha=0.22, lw=0.8, zorder=4))
    longitude = float(_turned(row["longitude"], turn))
    size = circle_pt(row["mw"])
    axes.plot(longitude, row["latitude"], "o", ms=size, mfc="none", mec="white", mew=3.4, zorder=5)
    axes.plot(longitude, row["latitude"], "o", ms=size, mfc="none", mec=colour, mew=1.8, zorder=5)


def _label(figure: Figure, axes: Axes, rows: list[dict[str, Any]], turn: bool) -> None:
    """Names right of the circles; one that would lie on another goes below it: events of one asperity are a list."""
    placed: list[Bbox] = []
    figure.canvas.draw()  # a name's extent is known once the axes have theirs
    for row in sorted(rows, key=lambda one: -one["latitude"]):
        text = axes.annotate(
            row["event_id"], (float(_turned(row["longitude"], turn)), row["latitude"]),
            xytext=(0.5 * circle_pt(row["mw"]) + 3, 0), textcoords="offset points",
            va="center", fontsize=7.5, path_effects=style.halo(3), zorder=6, annotation_clip=True,
        )  # fmt: skip
        box = text.get_window_extent()
        down = 0.0
        while any(Bbox.intersection(box.translated(0.0, down), other) is not None for other in placed):
            down -= 0.25 * box.height
        placed.append(box.translated(0.0, down))
        text.xyann = (text.xyann[0], down * 72.0 / figure.dpi)


def _path(polygon: Polygon, turn: bool) -> Path:
    """Outline with holes, as matplotlib's compound path."""
    rings = [np.asarray(ring.coords)[:, :2] for ring in (polygon.exterior, *polygon.interiors)]
    closed = [Path(np.column_stack([_turned(r[:, 0], turn), r[:, 1]]), closed=True) for r in rings]
    return Path.make_compound_path(*closed)


def circle_pt(mw: float) -> float:
    """Diameter of an event's circle, points: 7 at Mw 4 or less, 6 more per unit, at most 31."""
    return float(np.clip(7 + 6 * (mw - 4), 7, 31)) if math.isfinite(mw) else 7.0


def _edges(axes: Axes) -> None:
    for axis, letters in ((axes.xaxis, "EW"), (axes.yaxis, "NS")):
        axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
        axis.set_major_formatter(FuncFormatter(lambda value, _, letters=letters: degrees(value, letters)))
    axes.tick_params(length=3, width=0.6)


def _legend(figure: Figure, rows: list[dict[str, Any]]) -> None:
    """Types that occur, and circles of the magnitudes around those that occur."""
    if not rows:
        return
    handles = [
        Line2D([], [], marker="s", ls="", ms=8, mew=0, color=colour, label=name.replace("_", " "))
        for name, colour in style.TYPE_COLOURS.items()
        if any(row["type"] == name for row in rows)
    ]
    sizes = [row["mw"] for row in rows if math.isfinite(row["mw"])]
    if sizes:
        for mw in range(math.floor(min(sizes)), math.ceil(max(sizes)) + 1):
            handles.append(
                Line2D([], [], marker="o", ls="", ms=circle_pt(mw), mfc="none", mec=style.INK, label=f"Mw {mw}")
            )
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 8), handletextpad=0.6)
