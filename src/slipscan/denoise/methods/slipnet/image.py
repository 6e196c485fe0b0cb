"""What the network sees: the amplitude of a history in every pixel, in scales, each in units of its own noise."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pixel_unshuffle

from slipscan.denoise.methods.slipnet import history, scales
from slipscan.denoise.methods.slipnet.history import LocalHistory
from slipscan.denoise.methods.slipnet.prepare import Prepared, bin_histories, step_statistics
from slipscan.denoise.methods.slipnet.scales import BAND_SIGMAS, COARSE, Levels

HEIGHT_UNIT_M: Final = 500.0
PIXEL_UNIT_M: Final = 500.0
EPOCHS_UNIT: Final = 24.0
MIN_KEPT: Final = 0.2
"""Share of a filter that gaps must leave in a pixel."""
BANDS: Final = len(BAND_SIGMAS) + 1
CHANNELS: Final = 2 * (BANDS + COARSE**2) + 1 + 5
"""Image and noise in bands and in detail, the removed delay; height, validity, error, size of a pixel, epochs."""
SIGNED: Final = CHANNELS - 5
"""So many channels, the first ones, change sign with the data."""
Orientation = tuple[bool, bool, bool]
"""Whether a scene is transposed, then its rows and its columns are reversed."""


@dataclass(frozen=True)
class Image:
    """Amplitude of a history in every pixel, over its formal error.

    Attributes
    ----------
    features
        (CHANNELS, y, x) on coarse pixels
    bands
        (band and removed delay, y, x) on coarse pixels
    detail
        (2, y, x) what coarse pixels do not hold of it, and of its noise
    detail_std
        () standard deviation of noise in the detail
    std
        (y, x) formal error of the amplitude, units
    filters
        (time, y, x) whose sum over time with a series is the amplitude where no epoch is missing
    """

    features: Tensor
    bands: Tensor
    detail: Tensor
    detail_std: Tensor
    std: Tensor
    filters: Tensor

    def turned(self, orientation: Orientation) -> Image:
        """What the network sees of it in another orientation; error and filters stay as they are."""
        bands, detail, features = (turned(part, orientation) for part in (self.bands, self.detail, self.features))
        first = 2 * BANDS
        # The pixels in a coarse pixel trade places.
        features[first : first + 2 * COARSE**2] = pixel_unshuffle(detail[None] / self.detail_std, COARSE)[0]
        return dataclasses.replace(self, features=features, bands=bands, detail=detail)


@dataclass(frozen=True)
class Decomposition:
    """What every image of a series needs.

    Attributes
    ----------
    levels
        of noise, of an image
    broad, fine
        (time, y, x) the residual on coarse pixels, and its detail
    first
        history, of the scan
    """

    levels: Levels
    broad: Tensor
    fine: Tensor
    first: LocalHistory


def turned(fields: Tensor, orientation: Orientation) -> Tensor:
    """Fields (..., y, x) in another orientation, as a copy."""
    transposed, down, across = orientation
    fields = fields.transpose(-1, -2) if transposed else fields
    return fields.flip([axis for axis, reverse in ((-2, down), (-1, across)) if reverse]).contiguous()


def turned_back(fields: Tensor, orientation: Orientation) -> Tensor:
    """What `turned` was made of."""
    transposed, down, across = orientation
    fields = fields.flip([axis for axis, reverse in ((-2, down), (-1, across)) if reverse])
    return fields.transpose(-1, -2) if transposed else fields


def decompose(prepared: Prepared, first_history: str = "scan") -> Decomposition:
    """Noise in scales, and the first history: of a scan of step statistics, or one 'ramp' over the whole series."""
    statistic = step_statistics(prepared)
    seen = prepared.seen
    broad = scales.coarse(statistic, seen)
    levels = scales.noise_levels(broad, scales.detail(statistic, broad, seen), seen)
    whitened = torch.stack(scales.bands(broad)) / levels.band_std[:, None, None, None]
    first = history.scan(prepared, whitened, bin_histories(len(prepared.days), prepared.days.device))
    if first_history == "ramp":
        ramp = torch.linspace(0, 1, len(prepared.days), device=prepared.days.device)[:, None]
        first = history.expected(prepared, ramp, ramp.new_ones(1, *first.std.shape))
    residual = scales.coarse(prepared.residual, seen)
    return Decomposition(levels, residual, scales.detail(prepared.residual, residual, prepared.valid), first)


def image_of(prepared: Prepared, parts: Decomposition, local: LocalHistory) -> Image:
    """The amplitude of a history in every pixel, and what the network sees of it."""
    shape = (prepared.residual.shape[1], prepared.residual.shape[2])
    filters = history.spread(local.filter, shape)
    std = history.spread(local.std[None], shape)[0]
    # Where epochs are missing, the others stand in for them.
    size = filters.abs()
    whole = size.sum(0)
    kept = size.mul_(prepared.valid).sum(0) / whole.clamp(min=1e-12)
    usable = kept > MIN_KEPT
    scale = torch.where(usable, 1 / kept.clamp(min=MIN_KEPT), 0.0) / std
    even, odd = ((filters[first::2] * prepared.residual[first::2]).sum(0) for first in (0, 1))
    # Every other epoch with the other sign: noise of the same size, and next to no event.
    images = torch.stack([even + odd, even - odd]) * scale
    broad = scales.filled(scales.coarse(images, usable), usable)
    detail = scales.detail(images, broad, usable)
    bands = torch.stack(scales.bands(broad))
    removed = (torch.tensordot(prepared.removed, filters, ([0], [0])) * prepared.columns).sum(0) / std
    ground = torch.stack([prepared.height / HEIGHT_UNIT_M, usable * kept, std.log()])
    coarse_maps = avg_pool2d(torch.cat([removed[None], ground])[None], COARSE)[0]
    constants = math.log(prepared.pixel_m / PIXEL_UNIT_M), math.log(len(prepared.days) / EPOCHS_UNIT)
    features = torch.cat([
        (bands / parts.levels.band_std[:, None, None, None]).flatten(0, 1),
        pixel_unshuffle(detail[None] / parts.levels.detail_std, COARSE)[0],
        coarse_maps,
        *(torch.full_like(coarse_maps[:1], constant) for constant in constants),
    ])  # fmt: skip
    broad_parts = torch.cat([bands[:, 0], coarse_maps[:1]])
    return Image(features, broad_parts, detail, parts.levels.detail_std, std, filters)


def next_history(prepared: Prepared, parts: Decomposition, image: Image, mean: Tensor) -> LocalHistory:
    """The history in every place that fits the projection of the data on a predicted map (y, x)."""
    template = scales.whitened(mean * image.std, prepared.seen, parts.levels)
    return history.fit(prepared, scales.projection(parts.broad, parts.fine, template))
