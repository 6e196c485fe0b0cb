"""Maps of a field on its grid: north up, longitude and latitude on the edges, a scale bar, the radar's look."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Transform, offset_copy
from numpy.typing import NDArray

from slipscan.geometry import Grid, from_lonlat, to_lonlat
from slipscan.report import style

MAP_WIDTH_IN = 3.6
METRES_PER_DEGREE = 111_195.0


@dataclass(frozen=True)
class Picture:
    """A PNG with what a reader needs who does not see it.

    Attributes
    ----------
    png
        bytes of the file
    alt
        what is to be seen, in a sentence
    caption
        what it is, its unit and sign
    """

    png: bytes
    alt: str
    caption: str


def map_height_in(grid: Grid, width_in: float = MAP_WIDTH_IN) -> float:
    """Height of a figure that holds one map of `grid` with its colour bar below."""
    west, east, south, north = extent(grid)
    ratio = (north - south) / (east - west) * _stretch(grid)
    return float(np.clip((width_in - 0.65) * ratio + 1.15, 2.6, 8.0))


def extent(grid: Grid) -> tuple[float, float, float, float]:
    """West, east, south and north edge of a grid, in the units of its CRS."""
    dx, dy = grid.spacing
    return (
        float(grid.x[0]) - dx / 2,
        float(grid.x[-1]) + dx / 2,
        float(grid.y[-1]) - dy / 2,
        float(grid.y[0]) + dy / 2,
    )


def _stretch(grid: Grid) -> float:
    """Length of a unit of y over a unit of x on the ground."""
    if not grid.crs.is_geographic:
        return 1.0
    return 1 / math.cos(math.radians(float(np.mean(grid.y))))


def draw_map(
    figure: Figure,
    axes: Axes,
    grid: Grid,
    values: NDArray[np.floating],
    limits: tuple[float, float],
    label: str,
) -> None:
    """Draw a field with its colour bar, edges in longitude and latitude, and a scale bar.

    Parameters
    ----------
    figure, axes
        where
    grid
        of the field
    values
        (y, x), NaN = no data, in the unit that `label` states
    limits
        of the colour scale; centred at zero gives the diverging colours
    label
        of the colour bar, with unit and sign
    """
    centred = limits[0] == -limits[1]
    image = axes.imshow(
        np.ma.masked_invalid(values),
        extent=extent(grid),
        origin="upper",
        aspect=_stretch(grid),
        cmap=style.diverging() if centred else style.sequential(),
        norm=Normalize(*limits),
        interpolation="nearest",
    )
    outside = _extend(values, limits)
    bar = figure.colorbar(
        image, ax=axes, orientation="horizontal", shrink=0.82, aspect=32, pad=0.02, label=label, extend=outside
    )
    if centred:
        bar.set_ticks([limits[1] * share for share in (-1, -0.5, 0, 0.5, 1)])
    bar.outline.set_linewidth(0.5)
    bar.ax.tick_params(length=2.5, width=0.6)
    label_edges(axes, grid)
    metres_per_unit = METRES_PER_DEGREE / _stretch(grid) if grid.crs.is_geographic else 1.0
    scale_bar(axes, extent(grid), metres_per_unit)


def _extend(values: NDArray[np.floating], limits: tuple[float, float]) -> Any:
    """Which ends of the colour bar get a point, since values lie beyond them."""
    finite = values[np.isfinite(values)]
    below, above = bool((finite < limits[0]).any()), bool((finite > limits[1]).any())
    return {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[below, above]


def label_edges(axes: Axes, grid: Grid) -> None:
    """Ticks where meridians cross the lower edge and parallels the left one: exact in any projection."""
    west, east, south, north = extent(grid)
    x, y = np.linspace(west, east, 200), np.linspace(south, north, 200)
    longitude, _ = to_lonlat(x, np.full_like(x, south), grid.crs)
    _, latitude = to_lonlat(np.full_like(y, west), y, grid.crs)
    longitude = np.unwrap(longitude, period=360)
    meridians, parallels = _round_values(longitude), _round_values(latitude)
    axes.set_xticks(np.interp(meridians, longitude, x), [degrees(v, "EW") for v in meridians])
    axes.set_yticks(np.interp(parallels, latitude, y), [degrees(v, "NS") for v in parallels])
    axes.tick_params(length=3, width=0.6)


def _round_values(values: NDArray[np.floating]) -> NDArray[np.float64]:
    low, high = float(values.min()), float(values.max())
    ticks = np.asarray(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high))
    return ticks[(ticks >= low) & (ticks <= high)]


def degrees(value: float, letters: str) -> str:
    """Format a longitude (letters 'EW', brought into -180..180) or latitude ('NS')."""
    value = (value + 180) % 360 - 180 if letters == "EW" else value
    letter = letters[0] if value > 0 else letters[1] if value < 0 else ""
    return f"{round(abs(value), 6):g}°{letter}"


def scale_bar(axes: Axes, edges: tuple[float, float, float, float], metres_per_unit: float) -> None:
    """Bar of a round length, about a quarter of the map, in the lower left corner.

    edges: west, east, south, north in map units; metres_per_unit: length of a unit of x on the ground.
    """
    west, east, south, north = edges
    length_km = style.round_up((east - west) * metres_per_unit / 1000 / 6)
    length = length_km * 1000 / metres_per_unit
    x0, y0 = west + 0.05 * (east - west), south + 0.05 * (north - south)
    axes.plot([x0, x0 + length], [y0, y0], color="white", lw=4.5, solid_capstyle="butt", zorder=8)
    axes.plot([x0, x0 + length], [y0, y0], color=style.INK, lw=2, solid_capstyle="butt", zorder=9)
    axes.annotate(
        f"{length_km:g} km", (x0 + length / 2, y0), xytext=(0, 3), textcoords="offset points", ha="center",
        va="bottom", fontsize=7.5, path_effects=style.halo(3), zorder=9,
    )  # fmt: skip


def look_arrows(axes: Axes, dataset: xr.Dataset) -> None:
    """Flight direction (long arrow) and look direction (short arrow) in the upper right corner."""
    if not {"los_east", "los_north"} <= set(dataset.variables):
        return
    east, north = (float(np.nanmedian(dataset[name].values)) for name in ("los_east", "los_north"))
    size = math.hypot(east, north)
    if not size > 0:
        return
    look = np.array([-east, -north]) / size
    flight = np.array([-look[1], look[0]])  # the radar looks to the right of its flight
    middle = np.array([-24.0, -24.0])  # points from the upper right corner
    axes.plot(1, 1, "o", ms=40, mew=0, color="white", alpha=0.8, zorder=8, transform=_from_corner(axes, middle))
    for direction, start, length in ((flight, middle - 14 * flight, 29.0), (look, middle, 13.0)):
        axes.annotate(
            "",
            xy=(1, 1),
            xytext=(1, 1),
            xycoords=_from_corner(axes, start + length * direction),
            textcoords=_from_corner(axes, start),
            arrowprops={
                "arrowstyle": "-|>,head_width=0.16,head_length=0.32",
                "lw": 1.2,
                "color": style.INK,
                "shrinkA": 0,
                "shrinkB": 0,
            },
            zorder=9,
        )


def _from_corner(axes: Axes, offset: NDArray[np.float64]) -> Transform:
    """Transform of (1, 1) to a place `offset` points from the upper right corner of the axes."""
    x, y = offset
    return offset_copy(axes.transAxes, axes.get_figure(root=True), float(x), float(y), units="points")


def mark_reference(axes: Axes, dataset: xr.Dataset, grid: Grid) -> None:
    """Square at the centre of the reference area, where the store names it."""
    lon, lat = (dataset.attrs.get(name) for name in ("reference_lon", "reference_lat"))
    if lon is None or lat is None:
        return
    x, y = from_lonlat(np.array(float(lon)), np.array(float(lat)), grid.crs)
    west, east, south, north = extent(grid)
    if west <= float(x) <= east and south <= float(y) <= north:
        axes.plot(x, y, "s", ms=6, mfc="none", mec=style.INK, mew=1.4, path_effects=style.halo(), zorder=7)
