"""The grid of completeness: a small map for each kind of source, depth and duration."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.patheffects import withStroke

from slipscan.report import style
from slipscan.report.figures import Picture, degrees
from slipscan.report.words import words

WIDTH_IN, HEIGHT_IN = 2.4, 2.1
"""Of a map."""
MOST = 6
"""Kinds with strikes, and depths with durations, that are shown."""
SIZE = 700.0
"""Of a node's square with three of them along a side, points^2."""


def grid_maps(table: pd.DataFrame) -> Picture | None:
    """Maps of mc90, rows by kind and strike, columns by depth and duration; None without a magnitude.

    Parameters
    ----------
    table
        rows of one region of the catalogue's layer `completeness`
    """
    known = table["mc90"].dropna().astype(float)
    if known.empty:
        return None
    kinds = list(dict.fromkeys(zip(table["kind"], table["strike_deg"].fillna(-1.0), strict=True)))[:MOST]
    times = list(dict.fromkeys(zip(table["depth_km"], table["duration_d"], strict=True)))[:MOST]
    colours = Normalize(math.floor(2 * known.min()) / 2, math.ceil(2 * known.max()) / 2)
    with style.new_figure(WIDTH_IN * len(times) + 0.6, HEIGHT_IN * len(kinds) + 0.6) as figure:
        every = figure.subplots(len(kinds), len(times), squeeze=False, sharex=True, sharey=True)
        for line, (kind, strike) in zip(every, kinds, strict=True):
            for axes, (depth, duration) in zip(line, times, strict=True):
                same = (table["kind"] == kind) & (table["strike_deg"].fillna(-1.0) == strike)
                own = table[same & (table["depth_km"] == depth) & (table["duration_d"] == duration)]
                _panel(axes, own, colours)
                name = words(kind) if strike < 0 else f"{words(kind)}, strike {strike:g}°"
                axes.set_title(f"{name}\n{depth:g} km, {duration:g} d")
        figure.colorbar(
            figure.axes[0].collections[0], ax=every, orientation="horizontal", shrink=0.6, aspect=40, pad=0.02,
            label="magnitude from which 90 % of events are detected",
        )  # fmt: skip
        png = style.to_png(figure)
    caption = (
        "Magnitude from which 90 % of events are detected, by events injected into the region's own noise;"
        " a dash: none is. Depth is that of the source's centre, the time that from t05 to t95."
    )
    return Picture(png, f"Maps of magnitudes from {known.min():.1f} to {known.max():.1f}", caption)


def _panel(axes: Axes, nodes: pd.DataFrame, colours: Normalize) -> None:
    """Squares at the places, with their magnitudes."""
    lon, lat, values = (nodes[name].to_numpy(dtype=float) for name in ("longitude", "latitude", "mc90"))
    side = max(len(np.unique(lon)), 1)
    colour_map = style.sequential()
    axes.scatter(
        lon, lat, c=np.ma.masked_invalid(values), s=SIZE * (3 / side) ** 2, marker="s", cmap=colour_map, norm=colours,
        plotnonfinite=True, edgecolors=style.QUIET, linewidths=0.5,
    )  # fmt: skip
    for x, y, value in zip(lon, lat, values, strict=True):
        text = f"{value:.1f}" if math.isfinite(value) else "–"
        axes.text(
            x, y, text, ha="center", va="center", fontsize=8, path_effects=[withStroke(linewidth=2, foreground="white")]
        )
    axes.margins(0.3)
    axes.set_aspect(1 / max(math.cos(math.radians(float(lat.mean()))), 0.1))
    axes.xaxis.set_major_formatter(lambda value, _: degrees(value, "EW"))
    axes.yaxis.set_major_formatter(lambda value, _: degrees(value, "NS"))
    axes.locator_params(nbins=3)
