"""The bound: how small an event a matched filter finds that knows template, history and noise.

With noise that is white in time and stationary in space (covariance C), an event of amplitude a, template m (y, x)
of unit peak and history h (time) has the matched-filter signal-to-noise ratio

    SNR^2 = a^2  (m' C_perp^-1 m)  (h_perp' h_perp),

where C_perp^-1 leaves out what offset, ramp and height of an epoch explain, and h_perp what a pixel's offset
(and rate, and season) explain. All assumptions stand in a YAML file (benchmarks/skill/bound.yaml).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from slipbench.baselines.gls import StationaryNoise, projected_information
from slipbench.spectra import window_scaled
from slipscan import geometry
from slipscan.errors import SlipscanError
from slipscan.forward.history import history
from slipscan.models import Frozen, validate
from slipscan.noise.simulate import TurbulenceSpectrum
from slipscan.synthetic.backdrop import Frame, draw_relief
from slipscan.synthetic.sources import Kind, Source, peak_per_unit, source_map
from slipscan.texts import read_yaml

Float = NDArray[np.float64]
TEMPORAL = ("offset", "rate", "season")
_DAYS_PER_YEAR = 365.25


class BoundGrid(Frozen):
    """The scene: its window is the grid itself, without a taper."""

    rows: int = Field(128, ge=4, le=1024)
    columns: int = Field(128, ge=4, le=1024)
    pixel_m: float = Field(500.0, gt=0)


class BoundNoise(Frozen):
    """Turbulence (k^2 + k0^2)^(-exponent / 2) and a white floor, alike in every epoch."""

    exponent: float = Field(8 / 3, gt=2, lt=6, description="of the 2-D power spectral density")
    outer_scale_m: float = Field(80e3, gt=0)
    std_mm: tuple[float, ...] = Field((5.0, 10.0), min_length=1, description="within the window, its mean left out")
    white_mm: float = Field(1.0, ge=0)


class BoundView(Frozen):
    """How the satellite looks."""

    heading_deg: float = -13.0
    incidence_deg: float = Field(37.5, gt=0, lt=90)


class BoundSeries(Frozen):
    """Epochs, and the history of the event, in the middle of the series."""

    interval_d: float = Field(12.0, gt=0)
    epochs: tuple[Annotated[int, Field(ge=2, le=10000)], ...] = Field((24, 60), min_length=1)
    history: str = "gaussian_cdf"
    duration_d: float = Field(40.0, ge=0, description="t95 - t05")


class BoundSource(Frozen):
    """A source in the centre of the scene."""

    name: str
    kind: Literal["fault", "mogi"]
    depth_km: float = Field(ge=0, description="of the top edge, or of the point")
    strike_deg: float = 0.0
    dip_deg: float = Field(90.0, ge=0, le=90)
    rake_deg: float = 0.0
    length_km: float = Field(0.0, ge=0)
    width_km: float = Field(0.0, ge=0)
    size_mm: float | None = Field(
        None, gt=0, description="slip, or peak of a volume source: told is the SNR of that size"
    )
    published: tuple[float, ...] | None = Field(
        None, description="what others found, in the order of the rows: smallest peak in mm, or SNR of the given size"
    )


class BoundConfig(Frozen):
    """Everything that the bound assumes."""

    title: str
    grid: BoundGrid = BoundGrid()
    noise: BoundNoise = BoundNoise()
    view: BoundView = BoundView()
    series: BoundSeries = BoundSeries()
    nuisance: tuple[Literal["offset", "ramp", "height"], ...] = Field(
        ("offset", "ramp", "height"), description="unknown in every epoch"
    )
    relief_seed: int = Field(1, ge=0, lt=2**31, description="of the fractal heights")
    background: tuple[tuple[Literal["offset", "rate", "season"], ...], ...] = Field(
        (("offset",), ("offset", "rate"), ("offset", "rate", "season")),
        description="unknown in every pixel, case by case",
    )
    snr: float = Field(5.0, gt=0, description="at which an event counts as found")
    sources: tuple[BoundSource, ...] = Field(min_length=1)


def read_config(path: Path) -> BoundConfig:
    """Read the assumptions from YAML; raises SlipscanError where they make no sense."""
    return validate(BoundConfig, read_yaml(path, "configuration file"), str(path))


def table(config: BoundConfig) -> pd.DataFrame:
    """The bound for every source, noise, number of epochs and background.

    Returns
    -------
    table
        columns source, std_mm, epochs, background (what is unknown in a pixel), peak_mm (smallest peak of the
        line-of-sight displacement that reaches the SNR), snr (of the given size, or NaN), published (the same
        quantity: snr where a size is given, else peak_mm)
    """
    frame = Frame.rectangle((config.grid.rows, config.grid.columns), config.grid.pixel_m)
    angles = np.array(config.view.incidence_deg), np.array(config.view.heading_deg)
    los = np.stack(geometry.los_from_incidence_heading(*angles)).astype(np.float64)
    height = draw_relief(np.random.default_rng(config.relief_seed), frame).astype(float)
    nuisance = epoch_nuisance(height, config.nuisance)
    rows: list[dict[str, Any]] = []
    for std in config.noise.std_mm:
        noise = _noise(config, std / 1e3)
        for source in config.sources:
            planted = _planted(source)
            _, information = projected_information(noise, source_map(planted, frame, los).astype(float), nuisance)
            size_m = math.nan if source.size_mm is None else source.size_mm / 1e3
            if source.kind == "fault":
                size_m *= peak_per_unit(planted, frame, los)
            for epochs in config.series.epochs:
                for unknown in config.background:
                    sharpness = math.sqrt(information * temporal_information(config.series, epochs, unknown))
                    rows.append(
                        {
                            "source": source.name, "std_mm": std, "epochs": epochs, "background": "+".join(unknown),
                            "peak_mm": 1e3 * config.snr / sharpness, "snr": size_m * sharpness,
                        }
                    )  # fmt: skip
    out = pd.DataFrame(rows)
    out["published"] = np.nan
    first = out["background"] == "+".join(config.background[0])
    for source in config.sources:
        if source.published is not None:
            cells = out.index[first & (out["source"] == source.name)]
            if len(cells) != len(source.published):
                raise SlipscanError(
                    f"the source {source.name} has {len(source.published)} published values, not {len(cells)}"
                )
            out.loc[cells, "published"] = source.published
    return out


def epoch_nuisance(height: Float, names: tuple[str, ...] = ("offset", "ramp", "height")) -> Float:
    """What is unknown in every epoch: (column, y, x), each of order one; no column gives (0, y, x)."""
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in height.shape), indexing="ij")
    columns = {
        "offset": [np.ones_like(y)],
        "ramp": [x, y],
        "height": [(height - height.mean()) / max(height.std(), 1e-9)],
    }
    return np.array([column for name in names for column in columns[name]]).reshape(-1, *height.shape)


def temporal_information(series: BoundSeries, epochs: int, unknown: tuple[str, ...]) -> float:
    """h_perp' h_perp of the history in the middle of a series, beside what is unknown in a pixel."""
    days = np.asarray((np.arange(epochs) - (epochs - 1) / 2) * series.interval_d, dtype=np.float64)
    course = history(days, series.history, 0.0, series.duration_d)
    return float(np.sum(without(course, temporal_columns(days, unknown)) ** 2))


def temporal_columns(days: Float, unknown: tuple[str, ...]) -> Float:
    """Offset, rate, and annual and semi-annual waves (time, column)."""
    years = days / _DAYS_PER_YEAR
    columns = {
        "offset": [np.ones_like(years)],
        "rate": [years],
        "season": [wave(2 * np.pi * n * years) for n in (1, 2) for wave in (np.cos, np.sin)],
    }
    return np.array([column for name in unknown for column in columns[name]]).T.reshape(len(days), -1)


def without(course: Float, columns: Float, weight: Float | None = None) -> Float:
    """What a (weighted) least-squares fit of columns (time, column) leaves of a history (time,)."""
    root = np.ones(len(course)) if weight is None else np.sqrt(weight)
    fitted, *_ = np.linalg.lstsq(columns * root[:, None], course * root, rcond=None)
    return np.asarray(course - columns @ fitted)


def _noise(config: BoundConfig, std_m: float) -> StationaryNoise:
    spectrum = TurbulenceSpectrum(exponents=(config.noise.exponent,) * 3, outer_scale_m=config.noise.outer_scale_m)
    shape = (config.grid.rows, config.grid.columns)
    density = window_scaled(lambda kx, ky: spectrum.density(np.hypot(kx, ky)), shape, config.grid.pixel_m, std_m)
    return StationaryNoise(shape, config.grid.pixel_m, density, config.noise.white_mm / 1e3)


def _planted(source: BoundSource) -> Source:
    """A source of unit peak in the centre of the scene."""
    kind: Kind = "volume" if source.kind == "mogi" else "buried"
    return Source(
        kind=kind, east=0.0, north=0.0, depth=1e3 * source.depth_km, strike_deg=source.strike_deg,
        dip_deg=source.dip_deg, rake_deg=source.rake_deg, length=1e3 * source.length_km, width=1e3 * source.width_km,
        sign=1, peak_m=1.0, history="linear", t50_d=0.0, duration_d=0.0,
    )  # fmt: skip


def tabulate_bound(path: Path) -> str:
    """The table of a configuration as text: one line per source and background."""
    config = read_config(path)
    found = table(config)
    lines = [
        config.title,
        f"smallest peak in the line of sight, mm, at SNR {config.snr:g}; or, of a given size, its SNR",
    ]
    lines.append("in brackets: published")
    cases = [(std, epochs) for std in config.noise.std_mm for epochs in config.series.epochs]
    found["told"] = found["snr"].fillna(found["peak_mm"])
    body = [["source", "unknown in a pixel", *(f"{std:g} mm / {epochs}" for std, epochs in cases)]]
    for (source, background), part in found.groupby(["source", "background"], sort=False):
        pairs = zip(part["told"], part["published"], strict=True)
        cells = [f"{value:.2f}" + (f" ({other:g})" if math.isfinite(other) else "") for value, other in pairs]
        body.append([str(source), str(background), *cells])
    widths = [max(len(line[i]) for line in body) for i in range(len(body[0]))]
    lines += ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in body]
    off = (found["told"] / found["published"] - 1).dropna()
    if len(off):
        lines.append(f"against the published values: {100 * off.min():+.0f} % to {100 * off.max():+.0f} %")
    return "\n".join(lines) + "\n"
