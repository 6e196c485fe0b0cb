"""The look of all figures: type, colours, colour scales, and PNG bytes that depend on nothing but the figure."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.patheffects import AbstractPathEffect, withStroke
from numpy.typing import NDArray

from slipscan.png import PNG_AUTHOR

INK = "#1d2733"
QUIET = "#66727f"
TOWARD_COLOUR = "#b2182b"
AWAY_COLOUR = "#2166ac"
NO_DATA = "#d4d6d9"
FAULT_COLOUR = "#111111"
GNSS_COLOUR = "#e69f00"
"""Of what GNSS measured, beside InSAR and the source."""
STATION_COLOUR = "#f0e442"
WINDOW_COLOUR = "#f2dfb4"
"""Of the span from t05 to t95."""
# Okabe & Ito's palette: told apart by readers with any colour vision.
TYPE_COLOURS = {
    "slow_slip": "#d55e00",
    "afterslip": "#cc79a7",
    "creep_rate_change": "#e69f00",
    "coseismic": "#000000",
    "volumetric": "#009e73",
    "hydrological": "#56b4e9",
    "residue": "#999999",
}
DPI = 150

_RC: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8.5,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.unicode_minus": True,
    "text.color": INK,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "grid.color": "#e3e6e9",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.4,
    "svg.hashsalt": "slipscan",
}


@contextlib.contextmanager
def new_figure(width_in: float, height_in: float) -> Iterator[Figure]:
    """Yield an empty figure in slipscan's style; draw and encode it inside the block."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_RC)
        figure = Figure(figsize=(width_in, height_in), dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure


def to_png(figure: Figure) -> bytes:
    """Encode a figure as PNG, as slipscan's; without the version and date that would change its bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": PNG_AUTHOR})
    return buffer.getvalue()


def diverging() -> Colormap:
    """Red toward, blue away, white at zero (ColorBrewer's RdBu, safe for colour-blind readers); grey: no data."""
    return mpl.colormaps["RdBu_r"].with_extremes(bad=NO_DATA)


def sequential() -> Colormap:
    """Dark to light (cividis, made for colour-blind readers); grey: no data."""
    return mpl.colormaps["cividis"].with_extremes(bad=NO_DATA)


def halo(width: float = 2.0) -> list[AbstractPathEffect]:
    """White edge around text and lines that lie on a map."""
    return [withStroke(linewidth=width, foreground="white")]


def symmetric_limit(*fields: NDArray[np.floating], percentile: float = 99.0) -> float:
    """Limit of a colour scale centred at zero: a round number just above the percentile of |values|.

    NaN are left out; 1 where nothing is left or all is zero.
    """
    finite = [np.abs(field[np.isfinite(field)]) for field in fields]
    values = np.concatenate(finite) if finite else np.array([])
    top = float(np.percentile(values, percentile)) if values.size else 0.0
    return round_up(top) if top > 0 else 1.0


def round_up(value: float) -> float:
    """Smallest of 1, 1.5, 2, 3, 4, 5, 6, 8 times a power of ten that is not below a positive value."""
    power = 10.0 ** math.floor(math.log10(value))
    for step in (1, 1.5, 2, 3, 4, 5, 6, 8):
        if step * power >= value * (1 - 1e-9):
            return step * power
    return 10 * power


def bare(axes: Any) -> None:
    """Leave only the left and bottom spines, with a quiet horizontal grid."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
