"""The network: a spatial denoiser of the amplitude of a history, applied twice with a history fitted in between.

For a given history (a step, a ramp) least squares gives its amplitude in every pixel: an image of what moved like
that, under red noise. The network cleans such an image, whatever the history is; the truth of an image is what the
same estimate makes of the events alone. The first history comes from a scan of step statistics; the data are projected
on the first map, which gives a better history in every place (`local_history`), and its image is cleaned again.

The displacement of a window is map x history, in every place: no list of events. Fully convolutional in space; any
number of epochs, at any dates, since histories live on the window's own epochs.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, pixel_shuffle, pixel_unshuffle, silu

from slipscan.denoise import local_history, scales
from slipscan.denoise.front_end import Window, bin_histories, step_statistics
from slipscan.denoise.local_history import LocalHistory
from slipscan.denoise.scales import BAND_SIGMAS, COARSE, Levels, upsampled

MULTIPLE: Final = 16
"""Sides of a window are multiples of this: whole pixels of the last scale, whole blocks."""
HEIGHT_UNIT_M: Final = 500.0
PIXEL_UNIT_M: Final = 500.0
EPOCHS_UNIT: Final = 24.0
THIN: Final = 12
"""Channels at full resolution."""
MIN_LOG_STD, MAX_LOG_STD = -3.0, 5.0
MIN_KEPT: Final = 0.2
"""Share of a filter that gaps must leave in a pixel."""
_BANDS: Final = len(BAND_SIGMAS) + 1
CHANNELS: Final = 2 * (_BANDS + COARSE**2) + 1 + 5
"""Image and noise in bands and in detail, the removed delay; height, validity, error, size of a pixel, epochs."""
SIGNED: Final = CHANNELS - 5
"""So many channels, the first ones, change sign with the data."""
CLOSED: Final = -2.0
"""Gates begin nearly closed."""
Orientation = tuple[bool, bool, bool]
"""Whether a scene is transposed, then its rows and its columns are reversed."""


class Prediction(NamedTuple):
    """What the network says of a batch of images.

    Attributes
    ----------
    mean, log_std
        (batch, y, x) displacement from the first to the last epoch over the error of its estimate in a pixel, and log
        of its standard deviation
    """

    mean: Tensor
    log_std: Tensor


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
        first = 2 * _BANDS
        # The pixels in a coarse pixel trade places.
        features[first : first + 2 * COARSE**2] = pixel_unshuffle(detail[None] / self.detail_std, COARSE)[0]
        return dataclasses.replace(self, features=features, bands=bands, detail=detail)


@dataclass(frozen=True)
class Closed:
    """What every image of a window needs.

    Attributes
    ----------
    levels
        of noise, of an image
    broad, fine
        (time, y, x) the window's residual on coarse pixels, and its detail
    first
        history, of the scan
    """

    levels: Levels
    broad: Tensor
    fine: Tensor
    first: LocalHistory


class Block(nn.Module):
    """Two 3 x 3 convolutions with a residual connection."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs, y, x) to (batch, outputs, y, x)."""
        return silu(self.second(silu(self.first(x))) + self.skip(x))


class UNet(nn.Module):
    """Scales of convolutions, each half the resolution of the one before; skips are added."""

    def __init__(self, inputs: int, widths: Sequence[int]) -> None:
        super().__init__()
        sizes = list(widths)
        self.down = nn.ModuleList(Block(a, b) for a, b in zip([inputs, *sizes[:-1]], sizes, strict=True))
        self.lift = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(sizes))
        self.up = nn.ModuleList(Block(a, a) for a in sizes[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs, y, x) to (batch, widths[0], y, x)."""
        scales = []
        for level, block in enumerate(self.down):
            x = block(avg_pool2d(x, 2) if level else x)
            scales.append(x)
        for level in reversed(range(len(self.up))):
            lifted = interpolate(self.lift[level](x), scale_factor=2, mode="bilinear", align_corners=False)
            x = self.up[level](scales[level] + lifted)
        return x


class SlipNet(nn.Module):
    """A U-Net that gates the bands of an image and adds what it knows of shapes.

    Parameters
    ----------
    width
        channels on coarse pixels; twice and two and a half times as many at the next scales
    """

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.width = width
        self.half_precision = True
        self.trunk = UNet(CHANNELS, (width, 2 * width, 5 * width // 2, 5 * width // 2))
        self.band_head = nn.Conv2d(width, _BANDS + 2, 1)
        self.fine = nn.Conv2d(width, THIN * COARSE**2, 1)
        self.thin = Block(THIN + 2, THIN)
        self.fine_head = nn.Conv2d(THIN, 2, 1)
        self.std_head = nn.Sequential(nn.Conv2d(THIN, THIN, 3, padding=1), nn.SiLU(), nn.Conv2d(THIN, 1, 1))
        for head in (self.band_head, self.fine_head):
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)  # type: ignore[arg-type]
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, images: Sequence[Image]) -> Prediction:
        """Clean images of one size, sides multiples of MULTIPLE.

        Convolutions run in bfloat16 where `half_precision` is set, what has a closed form and the heads in float32.
        """
        features = torch.stack([image.features for image in images])
        detail = torch.stack([image.detail for image in images])
        bands = torch.stack([image.bands for image in images])
        sharp = detail / torch.stack([image.detail_std for image in images])[:, None, None, None]
        with torch.autocast(features.device.type, torch.bfloat16, enabled=self.half_precision):
            seen = self.trunk(features.contiguous(memory_format=torch.channels_last))
            shuffled = pixel_shuffle(self.fine(seen), COARSE)
            thin = torch.cat([shuffled, sharp.to(shuffled.dtype)], 1)
            thin = self.thin(thin.contiguous(memory_format=torch.channels_last)).float()
        gates = self.band_head(seen.float())
        broad = (torch.sigmoid(gates[:, :-1] + CLOSED) * bands).sum(1, keepdim=True) + gates[:, -1:]
        fine = self.fine_head(thin)
        mean = upsampled(broad)[:, 0] + torch.sigmoid(fine[:, 0] + CLOSED) * detail[:, 0] + fine[:, 1]
        # The standard deviation learns from the features of the mean without changing them.
        log_std = self.std_head(thin.detach())[:, 0].clamp(MIN_LOG_STD, MAX_LOG_STD)
        return Prediction(mean, log_std)


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


def closed_form(window: Window) -> Closed:
    """Noise in scales, and the first history, from step statistics."""
    statistic = step_statistics(window)
    seen = window.valid.any(0)
    broad = scales.coarse(statistic, seen)
    levels = scales.noise_levels(broad, scales.detail(statistic, broad, seen), seen)
    whitened = torch.stack(scales.bands(broad)) / levels.band_std[:, None, None, None]
    first = local_history.scan(window, whitened, bin_histories(len(window.days), window.days.device))
    residual = scales.coarse(window.residual, seen)
    return Closed(levels, residual, scales.detail(window.residual, residual, window.valid), first)


def image_of(window: Window, closed: Closed, history: LocalHistory) -> Image:
    """The amplitude of a history in every pixel, and what the network sees of it."""
    shape = (window.residual.shape[1], window.residual.shape[2])
    filters = local_history.spread(history.filter, shape)
    std = local_history.spread(history.std[None], shape)[0]
    # Where epochs are missing, the others stand in for them.
    size = filters.abs()
    kept = (size * window.valid).sum(0) / size.sum(0).clamp(min=1e-12)
    usable = kept > MIN_KEPT
    scale = torch.where(usable, 1 / kept.clamp(min=MIN_KEPT), 0.0) / std
    weighted = filters * window.residual
    # Every other epoch with the other sign: noise of the same size, and next to no event.
    alternating = torch.ones(len(filters), device=filters.device)
    alternating[1::2] = -1
    images = torch.stack([weighted.sum(0), torch.tensordot(alternating, weighted, 1)]) * scale
    broad = scales.filled(scales.coarse(images, usable), usable)
    detail = scales.detail(images, broad, usable)
    bands = torch.stack(scales.bands(broad))
    removed = torch.einsum("tyx,tc,cyx->yx", filters, window.removed, window.columns) / std
    ground = torch.stack([window.height / HEIGHT_UNIT_M, usable * kept, std.log()])
    coarse_maps = avg_pool2d(torch.cat([removed[None], ground])[None], COARSE)[0]
    constants = math.log(window.pixel_m / PIXEL_UNIT_M), math.log(len(window.days) / EPOCHS_UNIT)
    features = torch.cat([
        (bands / closed.levels.band_std[:, None, None, None]).flatten(0, 1),
        pixel_unshuffle(detail[None] / closed.levels.detail_std, COARSE)[0],
        coarse_maps,
        *(torch.full_like(coarse_maps[:1], constant) for constant in constants),
    ])  # fmt: skip
    broad_parts = torch.cat([bands[:, 0], coarse_maps[:1]])
    return Image(features, broad_parts, detail, closed.levels.detail_std, std, filters)


def next_history(window: Window, closed: Closed, image: Image, mean: Tensor) -> LocalHistory:
    """The history in every place that fits the projection of the data on a predicted map (y, x)."""
    template = scales.whitened(mean * image.std, window.valid.any(0), closed.levels)
    return local_history.fit(window, scales.projection(closed.broad, closed.fine, template))
