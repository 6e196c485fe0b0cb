"""The network: a spatial denoiser of the amplitude of a history.

For a given history (a step, a ramp, a relaxation) least squares gives its amplitude in every pixel: an image of what
moved like that, under red noise. The network cleans such an image, whatever the history is; the truth of an image is
what the same estimate makes of the events alone. Histories are found without it (`search`).

Fully convolutional in space; any number of epochs, at any dates, since histories live on the series' own epochs.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, pixel_shuffle, silu

from slipscan.denoise.methods.slipnet.image import BANDS, CHANNELS, Image
from slipscan.denoise.methods.slipnet.scales import COARSE, upsampled

MULTIPLE: Final = 16
"""Sides of a scene are multiples of this: whole pixels of the last scale, whole blocks."""
THIN: Final = 12
"""Channels at full resolution."""
MIN_LOG_STD, MAX_LOG_STD = -3.0, 5.0
CLOSED: Final = -2.0
"""Gates begin nearly closed."""


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
    """Decomposition of convolutions, each half the resolution of the one before; skips are added."""

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
    """A U-Net that gates the bands of an image, quiet and loud directions apart, and adds what it knows of shapes.

    Parameters
    ----------
    width
        channels on coarse pixels; twice and two and a half times as many at the next scales
    whitened
        its images are whitened by the spectrum of their noise in two dimensions; else their bands are in units of noise
    """

    def __init__(self, width: int = 48, whitened: bool = True) -> None:
        super().__init__()
        self.width = width
        self.whitened = whitened
        self.half_precision = True
        self.trunk = UNet(CHANNELS, (width, 2 * width, 5 * width // 2, 5 * width // 2))
        self.band_head = nn.Conv2d(width, 2 * BANDS + 2, 1)
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
