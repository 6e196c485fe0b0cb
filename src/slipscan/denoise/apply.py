"""A displacement field in, its rate, season and events with sigma out: arrays to arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from slipscan import seriesmodel
from slipscan.denoise import background, cells, least_squares
from slipscan.denoise.cell import Cell, cell_events
from slipscan.denoise.classical import temporal_filter
from slipscan.denoise.nuisance import temporal_noise
from slipscan.denoise.pretrained import Weights
from slipscan.denoise.window_cache import WindowCache
from slipscan.errors import SlipscanError

Float32 = NDArray[np.float32]
Float = NDArray[np.float64]

Empty = Callable[[tuple[int, ...], type[np.float32]], Float32]

PIXEL_NOISE_RANGE = (0.5, 3.0)
"""A pixel's noise over the epoch's: clipped, since a scale of few epochs is itself noisy."""


class Sliced(Protocol):
    """An array (time, y, x) in memory or in a file, of which slices are read."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(time, y, x)."""
        ...

    def __getitem__(self, key: tuple[slice, slice, slice], /) -> Any: ...


@dataclass(frozen=True)
class Denoised:
    """The parts of a displacement field, all float32, metres, positive toward the satellite.

    Attributes
    ----------
    denoised, denoised_std, transient
        (time, y, x); `denoised` is offset + rate + season + transient
    rate
        (y, x) m/yr
    seasonal_amplitude, seasonal_phase
        (y, x) m and rad; NaN for a series shorter than a year
    evidence
        (y, x) energy that data and events have in common near by, noise being 1 (see `predict.WindowEvents`);
        0 for the classical method
    """

    denoised: Float32
    denoised_std: Float32
    transient: Float32
    rate: Float32
    seasonal_amplitude: Float32
    seasonal_phase: Float32
    evidence: Float32


def denoise(
    displacement: Sliced,
    time: NDArray[np.datetime64],
    height: NDArray[np.floating] | None,
    segment: NDArray[np.integer] | None,
    weights: Weights | None,
    *,
    pixel_m: float,
    background_known: bool = False,
    filter_d: float = 48.0,
    windows: WindowCache | None = None,
    empty: Empty = np.zeros,
) -> Denoised:
    """Denoise a stack.

    Parameters
    ----------
    displacement
        (time, y, x) m, NaN = no data; the network reads it cell by cell
    time
        (time,) datetime64[ns]
    height
        (y, x) m or None
    segment
        (time,) connected part of the network or None
    weights
        of the network; None runs the classical method, on the whole stack in memory
    pixel_m
        side of a cell
    background_known
        rate and season have been taken out beforehand (by the network only)
    filter_d
        standard deviation x 2 of the classical method's Gaussian filter in time, days
    windows
        where finished windows are kept
    empty
        makes the arrays of zeros that the results are put in

    Returns
    -------
    Denoised
        NaN where the valid epochs of a pixel do not determine rate and season

    Raises
    ------
    SlipscanError
        a stack without data, or of fewer than 5 epochs
    """
    if weights is None:
        return _classical(np.asarray(displacement[:, :, :]), time, height, segment, filter_d)
    epochs, rows, cols = displacement.shape
    windows = windows or WindowCache()
    names = seriesmodel.design_matrix(time, segment)[1]
    parts: list[Float32] = [empty((number, rows, cols), np.float32) for number in (*[epochs] * 3, len(names), 1)]
    down, across = cells.cells(rows), cells.cells(cols)
    seen_any = False
    for y, share_y in zip(down, cells.shares(down, rows), strict=True):
        for x, share_x in zip(across, cells.shares(across, cols), strict=True):
            relief = None if height is None else height[y, x]
            seen = np.asarray(displacement[:, y, x], np.float32)
            found = _parts_of(Cell(seen, time, segment, relief, pixel_m, background_known), weights, windows)
            for whole, part in zip(parts, found, strict=True):
                whole[:, y, x] += share_y[:, None] * share_x * part
            seen_any = seen_any or bool(np.isfinite(seen).any())
    if not seen_any:
        raise SlipscanError("the stack has no valid pixel: every displacement is NaN")
    denoised, variance, transient, parameters, evidence = parts
    amplitude, phase = _season(names, parameters)
    rate = parameters[names.index("rate")]
    return Denoised(denoised, np.sqrt(variance, out=variance), transient, rate, amplitude, phase, evidence[0])


def _parts_of(cell: Cell, weights: Weights, windows: WindowCache) -> tuple[Float32, ...]:
    """One cell: denoised, its variance, transient, parameters, evidence, each (time, column or 1, y, x)."""
    n, *grid = cell.displacement.shape
    matrix = seriesmodel.design_matrix(cell.time, cell.segment)[0]
    if not np.isfinite(cell.displacement).any():
        lost = np.full((n, *grid), np.nan, np.float32)
        return lost, lost, lost, np.full((matrix.shape[1], *grid), np.nan, np.float32), np.zeros((1, *grid), np.float32)
    device = next(weights.network.parameters()).device
    design = cell.design
    stack = cell.survey(device)
    events = cell_events(cell, stack, weights, windows)
    columns = torch.as_tensor(design, dtype=torch.float32, device=device)
    rest = (stack.cleaned - events.transient.flatten(1)) * stack.valid
    parameters = least_squares.background_parameters(rest, stack.valid, columns, stack.weight)
    open_pixels = least_squares.undetermined(stack.valid, columns)
    fitted = columns @ parameters
    noise = _pixel_noise((rest - fitted) / stack.delay.std[:, None], stack.valid)
    formal = torch.as_tensor(background.formal_std(design, stack.delay.std.double().cpu().numpy()), device=device)
    variance = (formal[:, None] * noise).square() + events.variance.flatten(1)
    transient = events.transient.flatten(1)
    denoised = stack.mean + fitted + transient
    whole = torch.zeros(matrix.shape[1], parameters.shape[1], device=device)
    whole[: len(parameters)] = parameters
    evidence = interpolate(events.evidence[None, None], size=tuple(grid), mode="bilinear", align_corners=False)[0]
    for part in (denoised, variance, transient, whole):
        part[:, open_pixels] = torch.nan
    fields = (part.float().reshape(-1, *grid) for part in (denoised, variance, transient, whole))
    return tuple(part.cpu().numpy() for part in (*fields, evidence))


def _pixel_noise(residual: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Noise of every pixel (pixel,) over that of the epochs, from differences of consecutive epochs, clipped."""
    both = valid[1:] & valid[:-1]
    size = (residual.diff(dim=0).abs() * both).sum(0) / both.sum(0).clamp(min=1)
    return (size * np.sqrt(np.pi) / 2).clamp(*PIXEL_NOISE_RANGE)


def _season(names: list[str], parameters: NDArray[np.floating]) -> tuple[Float32, Float32]:
    """Amplitude (m) and phase (rad) of the annual part, of the shape of one parameter."""
    if "annual_cos" not in names:
        unknown = np.full(parameters.shape[1:], np.nan, np.float32)
        return unknown, unknown
    cos, sin = parameters[names.index("annual_cos")], parameters[names.index("annual_sin")]
    return np.hypot(cos, sin).astype(np.float32), np.arctan2(sin, cos).astype(np.float32)


def _classical(
    displacement: Float32,
    time: NDArray[np.datetime64],
    height: NDArray[np.floating] | None,
    segment: NDArray[np.integer] | None,
    filter_d: float,
) -> Denoised:
    """The same by a filter in time."""
    n, *grid = displacement.shape
    shape = (grid[0], grid[1])
    series = displacement.reshape(n, -1).astype(float)
    closed = background.estimate(series, time, height, shape, segment)
    transient, variance = temporal_filter(closed, time, filter_d)
    parameters = seriesmodel.fit(closed.matrix, series - closed.nuisance - transient, 1 / closed.epoch_std**2)
    lost = ~np.isfinite(parameters).all(axis=0)
    transient[:, lost] = np.nan
    pixel_noise = np.clip(temporal_noise(closed.residual / closed.epoch_std[:, None]), *PIXEL_NOISE_RANGE)
    formal = background.formal_std(closed.matrix, closed.epoch_std)
    std = np.sqrt((formal[:, None] * pixel_noise) ** 2 + variance)
    std[:, lost] = np.nan
    amplitude, phase = _season(closed.names, parameters)
    fields = (closed.matrix @ parameters + transient, std, transient)
    maps = (parameters[closed.names.index("rate")], amplitude, phase, np.zeros(series.shape[1]))
    return Denoised(
        *(part.reshape(-1, *shape).astype(np.float32) for part in fields),
        *(part.reshape(shape).astype(np.float32) for part in maps),
    )
