"""When did what the network sees happen: data projected on its map, a history fitted, block by block.

A network that reads times off its features misses them by weeks. The projection of the data on the map, whitened in
space, is a series with nearly all of an event's signal, and the marginal likelihood of steps and ramps in it gives a
history to days. It is taken block by block and smoothly in space, so that two events at two places have histories of
their own and nothing depends on how a wide scene is cut up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import interpolate, max_pool2d, pad

from slipscan.denoise.methods.slipnet.prepare import Prepared
from slipscan.denoise.methods.slipnet.scales import BLOCK
from slipscan.fit.ramps import middles, projected, ramps

DURATIONS_D: Final = (0.0, 24.0, 60.0, 120.0)
MAX_TIMES: Final = 96
"""More intervals than this are thinned out."""
UPSIDE_DOWN: Final = 6.0
"""Logarithm of the odds against a history in which the projection on a map falls."""
CERTAIN: Final = 1 - 1e-6
"""A fit that leaves nothing has a finite likelihood."""
MIN_INFORMATION: Final = 1e-4
"""1/unit^2: the amplitude of a history that the background absorbs has a finite error."""
FAIR_SHARE: Final = 0.05
"""Of the best candidate's information: histories with less look like the background."""


@dataclass(frozen=True)
class LocalHistory:
    """A history in every block.

    Attributes
    ----------
    course
        (time, by, bx) fraction of the change from the first to the last epoch, expected over the likelihood
    filter
        (time, by, bx) whose sum over time with a series is the amplitude of that history, rate and season unknown;
        expected over the likelihood, so that a doubtful time makes it smaller instead of noisier
    std
        (by, bx) standard deviation of that amplitude for a pixel, units
    """

    course: Tensor
    filter: Tensor
    std: Tensor


def expected(prepared: Prepared, columns: Tensor, likelihood: Tensor) -> LocalHistory:
    """Course and filter expected over candidates.

    Parameters
    ----------
    prepared
        for weights and background
    columns
        (time, candidate) from 0 at the first to 1 at the last epoch
    likelihood
        (candidate, by, bx) summing to 1
    """
    rest = projected(columns, prepared.design, prepared.weight)
    information = (rest.square() * prepared.weight[:, None]).sum(0)
    filters = rest * prepared.weight[:, None] / information.clamp(min=MIN_INFORMATION)
    shape = likelihood.shape[1:]
    mixed = filters @ likelihood.flatten(1)
    std = (mixed.square() / prepared.weight[:, None]).sum(0).clamp(min=1e-12).sqrt()
    course = columns @ likelihood.flatten(1)
    return LocalHistory(course.reshape(-1, *shape), mixed.reshape(-1, *shape), std.reshape(shape))


def usable(prepared: Prepared, columns: Tensor) -> Tensor:
    """(candidate,) whether the background leaves a fair share of what the best candidate has."""
    information = (projected(columns, prepared.design, prepared.weight).square() * prepared.weight[:, None]).sum(0)
    return information > FAIR_SHARE * information.max()


def scan(prepared: Prepared, whitened_bands: Tensor, histories: Tensor) -> LocalHistory:
    """A first history in every block: candidates weighed by their strongest bump near by.

    Parameters
    ----------
    prepared
        for weights and background
    whitened_bands
        (band, candidate, y, x) step statistics in bands over the noise of each, coarse pixels
    histories
        (time, candidate)
    """
    peaks = max_pool2d(whitened_bands.abs().amax(0)[None], BLOCK)
    near = max_pool2d(peaks, 3, stride=1, padding=1)[0]
    logit = 0.5 * near.square()
    logit = torch.where(usable(prepared, histories)[:, None, None], logit, -math.inf)
    return expected(prepared, histories, torch.softmax(logit, 0))


def fit(prepared: Prepared, projected_map: Tensor) -> LocalHistory:
    """Fit a history in every block to the projection of the data on a map.

    Parameters
    ----------
    prepared
        for dates, weights and background
    projected_map
        (time, by, bx) of `scales.projection`, of the residual on a whitened map
    """
    series = smoothed_blocks(projected_map)
    columns = candidates(prepared.days)
    rest = projected(columns, prepared.design, prepared.weight)
    weight = prepared.weight[:, None]
    information = (rest.square() * weight).sum(0)
    flat = series.flatten(1)
    amplitude = ((rest * weight).T @ flat) / information.clamp(min=1e-12)[:, None]
    energy = (projected(flat, prepared.design, prepared.weight).square() * weight).sum(0).clamp(min=1e-20)
    explained = (amplitude.square() * information[:, None] / energy).clamp(max=CERTAIN)
    freedom = max(1, len(columns) - prepared.design.shape[1] - 2)
    logit = -0.5 * freedom * torch.log1p(-explained)
    # Beside rate and season a wrong time shows an event upside down, and the next image turns it: such a candidate is
    # unlikely, not excluded.
    logit = logit - UPSIDE_DOWN * (amplitude < 0)
    logit = torch.where(usable(prepared, columns)[:, None], logit, -math.inf)
    return expected(prepared, columns, torch.softmax(logit, 0).reshape(-1, *series.shape[1:]))


def candidates(days: Tensor) -> Tensor:
    """Steps and ramps, (time, candidate), from 0 at the first to 1 at the last epoch."""
    out = []
    for duration in DURATIONS_D:
        ramp = ramps(days, middles(days, MAX_TIMES), duration)
        change = (ramp[-1] - ramp[0]).clamp(min=1e-3)
        out.append((ramp - ramp[0]) / change)
    return torch.cat(out, 1)


def spread(blocks: Tensor, shape: tuple[int, int]) -> Tensor:
    """Fields (n, by, bx) of blocks on the pixels of a scene, (n, y, x), linear in between."""
    return interpolate(blocks[None], size=shape, mode="bilinear", align_corners=False)[0]


def smoothed_blocks(series: Tensor) -> Tensor:
    """Means over neighbouring blocks, weights 1 2 1."""
    out = pad(series[:, None], (1, 1, 1, 1), mode="replicate")
    out = out[..., :-2] + 2 * out[..., 1:-1] + out[..., 2:]
    return (out[..., :-2, :] + 2 * out[..., 1:-1, :] + out[..., 2:, :])[:, 0] / 16
