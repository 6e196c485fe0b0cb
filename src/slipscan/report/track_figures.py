"""Figures of one region and track: velocity, raw against denoised change, coherence, and the noise."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from slipscan.report import style
from slipscan.report.figures import (
    MAP_WIDTH_IN,
    Picture,
    draw_map,
    look_arrows,
    map_height_in,
    mark_reference,
)
from slipscan.report.observed import MM, TrackStores, interval
from slipscan.report.words import number

KOLMOGOROV_2D = -8 / 3
"""Exponent of the 2-D spectrum of turbulence between 1.5 and 50 km (Hanssen 2001, one more than the 1-D -5/3)."""


def velocity(stores: TrackStores) -> Picture:
    """Draw the secular rate of the denoised series, mm/yr."""
    rate = stores.denoised["rate"].values.astype(float) * MM
    limit = style.symmetric_limit(rate)
    with style.new_figure(MAP_WIDTH_IN, map_height_in(stores.grid)) as figure:
        axes = figure.add_subplot()
        draw_map(figure, axes, stores.grid, rate, (-limit, limit), "LOS velocity, mm/yr (+ toward the satellite)")
        mark_reference(axes, stores.denoised, stores.grid)
        look_arrows(axes, stores.denoised)
        axes.set_title("Velocity")
        png = style.to_png(figure)
    lowest, middle, highest = (number(value, 1, signed=True) for value in _percentiles(rate))
    caption = (
        "Secular line-of-sight velocity, estimated together with season and events;"
        f" 1st, 50th and 99th percentile {lowest}, {middle} and {highest} mm/yr."
        " Positive toward the satellite. Square: centre of the reference area."
    )
    if "los_east" in stores.denoised:
        caption += " Arrows: flight direction (long) and look direction (short)."
    return Picture(png, f"Map of the line-of-sight velocity of {stores.region}, track {stores.track}", caption)


def _percentiles(field: NDArray[np.floating]) -> tuple[float, ...]:
    finite = field[np.isfinite(field)]
    return tuple(np.percentile(finite, (1, 50, 99))) if finite.size else (np.nan, np.nan, np.nan)


def change(stores: TrackStores, event: dict[str, Any] | None) -> list[Picture]:
    """Draw raw, denoised and removed change between two epochs on one colour scale.

    Parameters
    ----------
    stores
        of the track
    event
        the event whose interval is shown; None: last epoch minus first
    """
    time = stores.denoised["time"].values
    first, last = interval(time, event)
    dates = f"{time[first].astype('datetime64[D]')} to {time[last].astype('datetime64[D]')}"
    fields = {}
    for name in ("displacement", "denoised", "removed"):
        ends = stores.denoised[name].isel(time=[first, last]).values.astype(float)
        fields[name] = (ends[1] - ends[0]) * MM
    limit = style.symmetric_limit(fields["displacement"], percentile=98)
    texts = {
        "displacement": ("Raw", "Displacement as the network inversion gives it, atmosphere included"),
        "denoised": ("Denoised", "Rate, season and events: what is taken for motion of the ground"),
        "removed": ("Removed", "Raw minus denoised: atmosphere, decorrelation, unwrapping errors"),
    }
    pictures = []
    for name, (title, meaning) in texts.items():
        with style.new_figure(MAP_WIDTH_IN, map_height_in(stores.grid)) as figure:
            axes = figure.add_subplot()
            draw_map(
                figure, axes, stores.grid, fields[name], (-limit, limit), "LOS change, mm (+ toward the satellite)"
            )
            axes.set_title(title)
            png = style.to_png(figure)
        alt = f"Map of the {title.lower()} change of {stores.region}, track {stores.track}, {dates}"
        caption = f"{meaning}, {dates}. Positive toward the satellite."
        pictures.append(Picture(png, alt, caption))
    return pictures


def coherence(stores: TrackStores) -> Picture | None:
    """Draw the temporal coherence of the network inversion, where the stack holds it."""
    if "temporal_coherence" not in stores.denoised:
        return None
    field = stores.denoised["temporal_coherence"].values.astype(float)
    with style.new_figure(MAP_WIDTH_IN, map_height_in(stores.grid)) as figure:
        axes = figure.add_subplot()
        draw_map(figure, axes, stores.grid, field, (0.0, 1.0), "temporal coherence, 0 to 1")
        axes.set_title("Temporal coherence")
        png = style.to_png(figure)
    valid = float(np.isfinite(stores.denoised["rate"].values).mean())
    caption = (
        f"How well the interferograms agree in the network inversion; {100 * valid:.0f} % of the pixels are valid."
    )
    return Picture(png, f"Map of the temporal coherence of {stores.region}, track {stores.track}", caption)


def epoch_noise(stores: TrackStores) -> Picture | None:
    """Draw the RMS of every epoch's residual over time, where there is a noise product."""
    if stores.noise is None:
        return None
    time, rms = stores.noise["time"].values, stores.noise["epoch_rms"].values.astype(float) * MM
    finite = rms[np.isfinite(rms)]
    middle = float(np.median(finite)) if finite.size else np.nan
    with style.new_figure(MAP_WIDTH_IN, 3.0) as figure:
        axes = figure.add_subplot()
        axes.vlines(time, 0, rms, color="#9db2c7", lw=2.2)
        axes.plot(time, rms, "o", ms=3.2, color=style.AWAY_COLOUR)
        if finite.size:
            axes.axhline(middle, color=style.QUIET, lw=0.9, ls=(0, (4, 3)))
        axes.set_ylim(0, float(finite.max()) * 1.12 if finite.size and finite.max() > 0 else 1.0)
        axes.set_ylabel("RMS of an epoch, mm")
        axes.set_title("Noise of each epoch")
        date_axis(axes)
        style.bare(axes)
        png = style.to_png(figure)
    caption = (
        f"RMS over space of what rate and season leave of each epoch, mm; dashed: median, {middle:.1f} mm."
        " High epochs are those with a turbulent or layered atmosphere."
    )
    return Picture(png, f"Noise of each epoch of {stores.region}, track {stores.track}", caption)


def spectrum(stores: TrackStores) -> Picture | None:
    """Draw the isotropic power spectrum of the residual, where there is a noise product."""
    if stores.noise is None:
        return None
    wavenumber = stores.noise["wavenumber"].values.astype(float)
    power = stores.noise["power_spectrum"].values.astype(float) * MM**2
    good = np.isfinite(power) & (power > 0) & (wavenumber > 0)
    wavenumber, power = wavenumber[good], power[good]
    exponent, white = float(stores.noise["exponent"]), float(stores.noise["white_std"]) * MM
    with style.new_figure(MAP_WIDTH_IN, 3.0) as figure:
        axes = figure.add_subplot()
        if power.size:
            middle = len(power) // 3
            reference = power[middle] * (wavenumber / wavenumber[middle]) ** KOLMOGOROV_2D
            above = reference >= power.min() / 2
            axes.loglog(wavenumber, power, "o-", ms=3.5, color=style.AWAY_COLOUR, label="residual")
            axes.loglog(
                wavenumber[above], reference[above], ls=(0, (4, 3)), lw=1, color=style.QUIET,
                label="turbulence, slope −8/3",
            )  # fmt: skip
            axes.legend(loc="lower left")
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_xlabel("wavenumber, cycles per km")
        axes.set_ylabel("power, mm² per Fourier cell")
        axes.set_title("Noise against scale")
        style.bare(axes)
        png = style.to_png(figure)
    caption = (
        f"Isotropic power of the residual; fitted exponent −{exponent:.2f}, white floor {white:.1f} mm."
        " Steeper means smoother delay; the floor is decorrelation."
    )
    return Picture(png, f"Power spectrum of the noise of {stores.region}, track {stores.track}", caption)


def date_axis(axes: Any) -> None:
    """Ticks of a time axis that say year and month once."""
    locator = AutoDateLocator(minticks=3, maxticks=7)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    formatter = ConciseDateFormatter(locator, show_offset=False)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(formatter)


def date_numbers(dates: Iterable[str]) -> list[float]:
    """ISO dates as matplotlib counts them on a time axis: days since 1970."""
    return [float(np.datetime64(date[:10], "D").astype(np.int64)) for date in dates]
