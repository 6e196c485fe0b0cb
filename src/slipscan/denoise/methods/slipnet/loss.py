"""What slipscan's network learns: to clean the image of a history, and how sure of it to be."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from slipscan.denoise.methods.slipnet import scales
from slipscan.denoise.methods.slipnet.examples import Example
from slipscan.denoise.methods.slipnet.image import Image, image_of, levels_of
from slipscan.denoise.methods.slipnet.network import Prediction
from slipscan.denoise.methods.slipnet.scales import Levels

DETECTABLE_SNR: Final = 5.0
NULL_POWER: Final = 0.1
"""Mean square of an undetectable map where there is none to tell, over the squared error of a pixel."""
SOFT_POWER: Final = 0.003
"""Mean square below which an example counts by the root of its power: else small ones teach to answer zero."""
WHITENED_SHARE: Final = 0.5
"""Of the loss: what is measured with every scale in units of its noise, without which thin surface breaks, whose
signal is all in the finest scale and whose power is in the broad ones, are given up."""
STD_WEIGHT: Final = 0.05
LINEAR_FROM: Final = 3.0
"""Standard deviations from which the likelihood grows linearly."""


def loss(network: nn.Module, batch: list[Example]) -> tuple[Tensor, float]:
    """Error of the cleaned images, and the likelihood of their standard deviations.

    The truth of an image is what its own filter makes of the events. An example's squared error is measured with the
    power of its truth, or, for an event that hides in noise, with that of one that just does not: every event counts
    nearly alike, whatever its extent. Half of the loss is the same of maps with every scale in units of its noise. The
    second value is the share of power explained.
    """
    device = next(network.parameters()).device
    batch = [example.to(device) for example in batch]
    with torch.no_grad():
        levels = [levels_of(example.prepared) for example in batch]
        images = [
            image_of(example.prepared, level, example.history) for example, level in zip(batch, levels, strict=True)
        ]
    return _loss_of(batch, levels, images, network(images))


def _loss_of(
    batch: list[Example], levels: list[Levels], images: list[Image], prediction: Prediction
) -> tuple[Tensor, float]:
    truth = torch.stack([truth_of(example, image) for example, image in zip(batch, images, strict=True)])
    valid = torch.stack([example.prepared.seen for example in batch]).float()
    count = valid.sum((1, 2)).clamp(min=1)
    power = truth.square().mean((1, 2))
    gain = torch.tensor([example.gain for example in batch], device=truth.device)
    # Power of a map of that shape that is just detectable.
    detectable = torch.where(gain > 0, (DETECTABLE_SNR / gain.clamp(min=1e-6)).square(), NULL_POWER).clamp(max=10.0)
    scale = power + detectable
    squared = (valid * (prediction.mean - truth) ** 2).sum((1, 2)) / count
    plain = softened(squared / (scale * (scale + SOFT_POWER)).sqrt()).mean()
    wrong, right = (_whitened_energy(field, valid, levels) for field in (prediction.mean - truth, truth))
    out = (1 - WHITENED_SHARE) * plain + WHITENED_SHARE * softened(wrong / (right + DETECTABLE_SNR**2)).mean()
    size = (prediction.mean - truth).detach().abs() * torch.exp(-prediction.log_std)
    misfit = torch.where(size < LINEAR_FROM, 0.5 * size**2, LINEAR_FROM * (size - 0.5 * LINEAR_FROM))
    out = out + STD_WEIGHT * (valid * (prediction.log_std + misfit)).sum() / count.sum()
    seen = power > detectable
    explained = (1 - squared.detach() / power.clamp(min=1e-12)).clamp(min=0)[seen]
    return out, float(explained.mean()) if len(explained) else 0.0


def _whitened_energy(fields: Tensor, valid: Tensor, levels: list[Levels]) -> Tensor:
    """Energy (example,) of fields (example, y, x) with every scale in units of its noise: of a truth, about SNR^2."""
    broad = scales.coarse(fields, valid)
    energy = scales.detail(fields, broad, valid).square().sum((1, 2)) / torch.stack([part.detail for part in levels])
    of_bands = torch.stack([part.bands for part in levels], 1)
    for band, level in zip(scales.bands(broad), of_bands, strict=True):
        energy = energy + band.square().sum((1, 2)) / level
    return energy


def truth_of(example: Example, image: Image) -> Tensor:
    """What an image's filter makes of the events, over the image's error, (y, x)."""
    if len(example.maps) == 0:
        return torch.zeros_like(example.prepared.height)
    return torch.tensordot(image.filter @ example.courses, example.maps, 1) / image.std


def softened(loss: Tensor) -> Tensor:
    """Linear where small, a root where large: no single scene wrecks a step."""
    return (1 + 2 * loss).sqrt() - 1
