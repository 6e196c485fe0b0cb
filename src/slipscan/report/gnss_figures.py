"""GNSS figures of an event: what stations did and should have done on a map, and their series with event windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Ellipse
from numpy.typing import NDArray

from slipscan.fit.model import days_since_2014
from slipscan.geometry import from_lonlat
from slipscan.gnss.offsets import Daily, ramp_columns
from slipscan.report import style
from slipscan.report.event_figures import fault_corners
from slipscan.report.figures import Picture
from slipscan.report.track_figures import date_axis, date_numbers
from slipscan.source.sources import local_crs

Float = NDArray[np.float64]
MAX_STATIONS = 6
"""Series that are drawn: of the stations where the source predicts most."""
AROUND_D = 400.0
AVERAGED_D = 5
ARROW_SHARE = 0.2
"""Of the map's width, for the longest arrow."""


def vector_map(table: pd.DataFrame, event: dict[str, Any]) -> Picture | None:
    """Draw the horizontal displacement that stations showed and that the source predicts.

    Parameters
    ----------
    table
        rows of gnss.parquet that belong to the event
    event
        its row of the catalogue

    Returns
    -------
    picture
        None for an event without a source, of which nothing was predicted
    """
    rows = table.drop_duplicates("station").sort_values("station")
    if not np.isfinite(rows["predicted_east_mm"].to_numpy(float)).all():
        return None
    frame = local_crs(float(event["longitude"]), float(event["latitude"]))
    places = from_lonlat(rows["longitude"].to_numpy(float), rows["latitude"].to_numpy(float), frame)
    x, y = (v.astype(np.float64) / 1e3 for v in places)
    width = max(20.0, 1.3 * float(max(np.ptp(x), np.ptp(y), 2 * np.abs(x).max(), 2 * np.abs(y).max())))
    with style.new_figure(5.6, 5.2) as figure:
        axes = figure.add_subplot()
        corners = fault_corners(event)
        if corners is not None:
            ex, ny = (v / 1e3 for v in from_lonlat(corners[:, 0], corners[:, 1], frame))
            axes.plot(np.append(ex, ex[0]), np.append(ny, ny[0]), color=style.FAULT_COLOUR, lw=1, ls=(0, (3, 2)))
        _vectors(axes, rows, x, y, width)
        axes.set(xlim=(-width / 2, width / 2), ylim=(-width / 2, width / 2), aspect="equal")
        axes.set_xlabel("km east of the source")
        axes.set_ylabel("km north")
        axes.set_title("Horizontal displacement of the stations")
        figure.legend(loc="outside lower center", ncols=2)
        png = style.to_png(figure)
    caption = (
        "Horizontal displacement over the event: what GNSS measured, and what the source says that InSAR alone gave."
        " Dashed: the source at the surface."
    )
    return Picture(png, f"GNSS displacement vectors of event {event['event_id']}", caption)


def _vectors(axes: Axes, rows: pd.DataFrame, x: Float, y: Float, width: float) -> None:
    """Draw stations at places (km) with both arrows each, and the scale of the arrows, on a map of a width (km)."""
    moved, std, predicted = (
        rows[[kind.format(c) for c in ("east", "north")]].to_numpy(float)
        for kind in ("gnss_{}_mm", "gnss_{}_std_mm", "predicted_{}_mm")
    )
    longest = style.round_up(max(float(np.abs(moved).max()), float(np.abs(predicted).max()), 1.0))
    km_per_mm = ARROW_SHARE * width / longest
    _arrows(axes, x, y, km_per_mm * predicted, style.INK, "source predicts (InSAR alone)")
    _arrows(axes, x, y, km_per_mm * moved, style.GNSS_COLOUR, "GNSS, ellipse of one standard deviation")
    for i, name in enumerate(rows["station"]):
        tip = (x[i] + km_per_mm * moved[i, 0], y[i] + km_per_mm * moved[i, 1])
        axes.add_patch(Ellipse(tip, *(2 * km_per_mm * std[i]), fill=False, color=style.GNSS_COLOUR, lw=0.8))
        axes.annotate(name, (x[i], y[i]), xytext=(4, 4), textcoords="offset points", fontsize=7)
    axes.plot(x, y, "^", ms=4, mfc=style.STATION_COLOUR, mec=style.INK, mew=0.7)
    axes.plot([-0.45 * width, -0.45 * width + km_per_mm * longest], [-0.47 * width] * 2, color=style.INK, lw=2)
    axes.annotate(f"{longest:g} mm", (-0.45 * width, -0.46 * width), fontsize=7.5, va="bottom")


def _arrows(axes: Axes, x: Float, y: Float, vectors: Float, colour: str, label: str) -> None:
    axes.quiver(
        x,
        y,
        vectors[:, 0],
        vectors[:, 1],
        angles="xy",
        scale_units="xy",
        scale=1,
        width=0.004,
        color=colour,
        label=label,
    )


def station_series(
    table: pd.DataFrame, event: dict[str, Any], events: Sequence[dict[str, Any]], daily: Daily
) -> Picture | None:
    """Draw series of stations around an event, along the displacement that is predicted there.

    Parameters
    ----------
    table
        rows of gnss.parquet that belong to the event
    event, events
        its row of the catalogue, and the rows of all events of the region, whose windows are shaded
    daily
        positions of the region's stations (`gnss.offsets.lay`)

    Returns
    -------
    picture
        None where no station of the table is there, or nothing was predicted
    """
    names = [station.name for station in daily.stations]
    rows = table.drop_duplicates("station")
    rows = rows[rows["station"].isin(names) & np.isfinite(rows["predicted_east_mm"].to_numpy(float))]
    if rows.empty:
        return None
    predicted = rows[[f"predicted_{c}_mm" for c in ("east", "north", "up")]].to_numpy(float)
    order = np.argsort(-np.linalg.norm(predicted, axis=1), kind="stable")[:MAX_STATIONS]
    middle = days_since_2014(np.array([event["t50"][:10]], "M8[ns]"))[0]
    shown = np.abs(daily.days - middle) <= AROUND_D
    time = np.datetime64("2014-01-01", "ns") + (daily.days[shown] * 86400e9).astype("m8[ns]")
    with style.new_figure(5.6, 0.8 + 0.95 * len(order)) as figure:
        panels = np.atleast_1d(figure.subplots(len(order), 1, sharex=True))
        for axes, row in zip(panels, order, strict=True):
            name = str(rows["station"].iloc[row])
            way = predicted[row] / max(float(np.linalg.norm(predicted[row])), 1e-9)
            series, course = _along(daily, names.index(name), way, events)
            _shade(axes, events)
            axes.plot(time, series[shown], ".", ms=2.5, mew=0, color=style.AWAY_COLOUR, alpha=0.6)
            axes.plot(time, course[shown], color=style.INK, lw=1.2)
            axes.set_ylabel(f"{name}, mm")
            style.bare(axes)
        panels[0].set_xlim(time[0], time[-1])
        panels[0].set_title("Daily positions along the predicted displacement")
        date_axis(panels[-1])
        png = style.to_png(figure)
    caption = (
        f"Positions along the displacement that the source predicts, without offset, rate, season and steps, means of"
        f" {AVERAGED_D} days (dots), and the events fitted beside them (line). Bands: events of the region, t05 to t95."
    )
    return Picture(png, f"GNSS series around event {event['event_id']}", caption)


def _shade(axes: Axes, events: Sequence[dict[str, Any]]) -> None:
    """Shade the events from t05 to t95."""
    for event in events:
        start, end = date_numbers(event[name] for name in ("t05", "t95"))
        axes.axvspan(start, end, color=style.WINDOW_COLOUR, alpha=0.7, lw=0)


def _along(daily: Daily, number: int, way: Float, events: Sequence[dict[str, Any]]) -> tuple[Float, Float]:
    """Series (day,) of a station along a direction without its background, and the events fitted to it, mm."""
    rows = slice(3 * number, 3 * number + 3)
    series = way @ daily.series[rows]
    ends = np.array([days_since_2014(np.array([e["t05"][:10], e["t95"][:10]], "M8[ns]")) for e in events])
    histories = ramp_columns(daily.days, ends.mean(axis=1), ends[:, 1] - ends[:, 0])
    columns = np.concatenate([daily.columns[rows][0], histories])
    present = np.isfinite(series)
    fitted = np.linalg.lstsq(columns[:, present].T, series[present], rcond=None)[0]
    background = len(columns) - len(histories)
    left = pd.Series(1e3 * (series - fitted[:background] @ columns[:background]))
    averaged = left.rolling(AVERAGED_D, center=True, min_periods=2).mean().to_numpy()
    return np.asarray(averaged), 1e3 * (fitted[background:] @ histories)
