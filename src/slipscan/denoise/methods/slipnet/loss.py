"""What slipscan's network learns: to clean the image of a history, and how sure of it to be."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from slipscan.denoise.methods.slipnet import scales
from slipscan.denoise.methods.slipnet.examples import Example

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
    prediction = network([example.image for example in batch])
    truth = torch.stack([example.truth for example in batch])
    valid = torch.stack([example.seen for example in batch]).float()
    count = valid.sum((1, 2)).clamp(min=1)
    power = truth.square().mean((1, 2))
    gain = torch.tensor([example.gain for example in batch], device=device)
    # Power of a map of that shape that is just detectable.
    detectable = torch.where(gain > 0, (DETECTABLE_SNR / gain.clamp(min=1e-6)).square(), NULL_POWER).clamp(max=10.0)
    scale = power + detectable
    squared = (valid * (prediction.mean - truth) ** 2).sum((1, 2)) / count
    plain = softened(squared / (scale * (scale + SOFT_POWER)).sqrt()).mean()
    wrong, right = (
        torch.stack([whitened_energy(*one) for one in zip(fields, batch, strict=True)])
        for fields in (prediction.mean - truth, truth)
    )
    out = (1 - WHITENED_SHARE) * plain + WHITENED_SHARE * softened(wrong / (right + DETECTABLE_SNR**2)).mean()
    size = (prediction.mean - truth).detach().abs() * torch.exp(-prediction.log_std)
    misfit = torch.where(size < LINEAR_FROM, 0.5 * size**2, LINEAR_FROM * (size - 0.5 * LINEAR_FROM))
    out = out + STD_WEIGHT * (valid * (prediction.log_std + misfit)).sum() / count.sum()
    shown = power > detectable
    explained = (1 - squared.detach() / power.clamp(min=1e-12)).clamp(min=0)[shown]
    return out, float(explained.mean()) if len(explained) else 0.0


def whitened_energy(field: Tensor, example: Example) -> Tensor:
    """Energy () of a field (y, x) with every scale in units of its noise: of a truth, about SNR^2."""
    levels, seen = example.levels, example.seen[None]
    broad = scales.complete(field[None] * seen, seen)[0]
    energy = scales.detail(field[None], broad, example.seen).square().sum() / levels.detail
    for band, level in zip(scales.bands(levels.whitening.whitened(broad)), levels.bands, strict=True):
        energy = energy + band.square().sum() / level
    return energy


def softened(loss: Tensor) -> Tensor:
    """Linear where small, a root where large: no single scene wrecks a step."""
    return (1 + 2 * loss).sqrt() - 1
