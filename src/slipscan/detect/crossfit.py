"""A candidate in the raw data: its map of the even epochs, projected on the odd ones, and the other way round.

Both halves are whitened in space and time. Where noise is red in time halves have noise in common: of one half what
the other tells of its noise is taken out first. What a denoiser drew into noise would else agree with that very noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import pad

from slipscan.detect.window import Window, blurred

MEDIAN_OF_SQUARE: Final = 0.455
"""Of a standard normal variable."""


@dataclass(frozen=True)
class Tested:
    """A candidate as the data see it.

    Attributes
    ----------
    statistic
        cross-fitted signal-to-noise ratio
    history
        (time,) that it was tested with, 0 to 1
    course
        (time,) the white series projected on its map of all epochs, its noise being 1
    held_out
        (time,) the same of even epochs on the map of the odd ones, and the other way round: the noise of a map is that
        of no epoch which is projected on it
    map, std
        (y, x) its map of all epochs, less what is likely noise, and the standard deviation of that, m
    """

    statistic: float
    history: Tensor
    course: Tensor
    held_out: Tensor
    map: Tensor
    std: Tensor


def power_of_map(window: Window, field: Tensor, noise_variance: float = 0.0) -> Tensor:
    """Power (octave, y, x) of a map (y, x), m, in whitened units, averaged near by.

    Parameters
    ----------
    noise_variance
        of the map, where it is raw, over that of a typical epoch: it is taken off
    """
    modes = window.transformed(field[None])[0] * window.whitening
    parts = window.back(window.octaves * modes)
    out = [blurred(part.square(), number) for number, part in enumerate(parts)]
    noise = window.octaves.square().mean(dim=(1, 2)) * noise_variance
    return torch.stack([(one - own).clamp(min=0) for one, own in zip(out, noise, strict=True)])


def cross_fitted(window: Window, power: Tensor, history: Tensor, beside: Tensor) -> Tested | None:
    """Test a candidate.

    Parameters
    ----------
    power
        (octave, y, x) of its map, of a typical epoch's noise: where, and on which scales, it is looked for
    history, beside
        (time,), and those (time, n) of other events that are estimated along

    Returns
    -------
    tested
        None where background and other events leave too little of the history
    """
    temporal = window.temporal
    subsets = (*temporal.halves, temporal.every)
    even, odd, whole = (temporal.filters(history, beside, subset) for subset in subsets)
    if even is None or odd is None or whole is None:
        return None
    (u, s), (v, r), (w, q) = (window.amplitude(filters) for filters in (even, odd, whole))
    common = (window.spread(temporal.covariance(even, odd)) / (s * r)).clamp(-0.95, 0.95)
    own = (1 - common.square()).rsqrt()
    of_even, of_odd = _template(window, power, u, s), _template(window, power, v, r)
    halves = (
        _projection(window, of_even, window.back((v - common * u) * own)),
        _projection(window, of_odd, window.back((u - common * v) * own)),
    )
    template = _modes_of(window, _template(window, power, w, q))
    field, std = window.back(template * q / window.whitening), _std(window, power, q)
    in_even = temporal.halves[0].whiteners[0].diagonal() > 0
    white = window.modes * window.whitening
    course, on_odd, on_even = (
        _course(window, white, one) for one in (template, _modes_of(window, of_odd), _modes_of(window, of_even))
    )
    return Tested(sum(halves) / math.sqrt(2), history, course, torch.where(in_even, on_odd, on_even), field, std)


def _course(window: Window, white: Tensor, template: Tensor) -> Tensor:
    """White modes (time, ky, kx) projected on a template, (time,), over the noise of that."""
    return window.dot(white, template) / template.abs().square().sum().sqrt().clamp(min=1e-12)


def _template(window: Window, power: Tensor, modes: Tensor, size: Tensor) -> Tensor:
    """Parts (octave, y, x) of whitened modes, less what is likely noise (Wiener)."""
    return _gain(window, power, size) * window.back(window.octaves * modes)


def _modes_of(window: Window, template: Tensor) -> Tensor:
    """Modes of a template that is given by its parts (octave, y, x), 0 beyond the window."""
    top, left = window.edge
    wide = pad(template, (left, left, top, top))
    return (window.octaves * torch.fft.rfft2(wide, norm="ortho")).sum(0)


def _projection(window: Window, template: Tensor, data: Tensor) -> float:
    """Data (y, x), white, projected on a template that is given by its parts, over the noise of that; 0 of none."""
    # Where noise is strong, little is believed.
    modes = _modes_of(window, template / window.place)
    variance = float((window.back(window.octaves * modes).square() * window.place).sum())
    # What is not stationary in space, a delay that follows the relief say, shows in what epochs differ by.
    variance = max(variance, float(window.dot(window.changes, modes).square().median()) / MEDIAN_OF_SQUARE)
    return float((window.back(modes) * data).sum()) / math.sqrt(variance) if variance > 0 else 0.0


def _gain(window: Window, power: Tensor, size: Tensor) -> Tensor:
    """Share (octave, y, x) of an estimate that is likely no noise; `size` (ky, kx) is its standard deviation."""
    squared = window.octaves.square()
    variance = squared.mean(dim=(1, 2)) * (squared * size.square()).sum(dim=(1, 2)) / squared.sum(dim=(1, 2))
    return power / (power + variance[:, None, None] * window.place)


def _std(window: Window, power: Tensor, size: Tensor) -> Tensor:
    """Standard deviation (y, x) of a map that is estimated so, m."""
    noise = (window.octaves * size / window.whitening).square().mean(dim=(1, 2))
    return (_gain(window, power, size) * window.place * noise[:, None, None]).sum(0).sqrt()
