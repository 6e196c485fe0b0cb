"""Could the network tell faults from volumes and water? A linear probe of what it sees, on synthetic scenes.

    python benchmarks/experiments/separable.py        (about 15 minutes on one core)

Scenes with one source are cleaned with the shipped weights; the trunk's features are averaged over the map of the
event, and a logistic regression learns the family of the source from them. Other scenes test it. If a linear probe
cannot tell families, separate output channels of this network have nothing to go by.
"""

import argparse
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, cross_entropy

from slipbench.frozen import one_thread
from slipscan.denoise.methods.slipnet import scales
from slipscan.denoise.methods.slipnet.image import SIGNED, image_of
from slipscan.denoise.methods.slipnet.method import SlipNetDenoiser
from slipscan.denoise.methods.slipnet.network import MULTIPLE, SlipNet
from slipscan.denoise.methods.slipnet.predict import odd_prediction
from slipscan.denoise.methods.slipnet.prepare import padded, prepare
from slipscan.denoise.methods.slipnet.scales import COARSE
from slipscan.denoise.methods.slipnet.steps import begun, best_course
from slipscan.denoise.registry import build
from slipscan.denoise.training.scenes import PIXELS_M, draw_labelled
from slipscan.field import Observation
from slipscan.settings import DenoiseSettings, TrainSettings
from slipscan.synthetic.backdrop import Frame
from slipscan.synthetic.pool import scene_sources

FAMILIES = ("fault", "volumetric", "hydrological")
SEEDS = {"learn": 71, "test": 72}
SCENES = {"learn": 3000, "test": 1500}
EVIDENCE = (0.0, 3.0, 6.0, 12.0, 25.0, np.inf)
"""Bins of the network's own signal-to-noise ratio."""
DECAY = 3e-3


def main() -> None:
    """Print the confusion of the families by the network's own signal-to-noise ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--share", type=float, default=1.0, help="of the scenes: less, to try it")
    share = parser.parse_args().share
    one_thread()
    method = build(DenoiseSettings(device="cpu"))
    assert isinstance(method, SlipNetDenoiser)
    network = method.network
    assert isinstance(network, SlipNet)
    learn, test = (probed(network, SEEDS[name], round(share * SCENES[name])) for name in ("learn", "test"))
    mean, std = learn[0].mean(0), learn[0].std(0) + 1e-6
    weights = fitted((learn[0] - mean) / std, learn[1])
    guess = (torch.cat([(test[0] - mean) / std, torch.ones(len(test[0]), 1)], 1) @ weights).argmax(1)
    print(f"{len(learn[1])} scenes with one source learnt from, {len(test[1])} tested; classes weighted alike")
    print("own SNR    scenes " + " ".join(f"{name:>12}" for name in FAMILIES) + "   mean (chance 0.33)")
    for low, high in pairwise(EVIDENCE):
        inside = (test[2] >= low) & (test[2] < high)
        right = [float((guess == k)[inside & (test[1] == k)].float().mean()) for k in range(len(FAMILIES))]
        cells = " ".join(f"{value:12.2f}" for value in right)
        print(f"{low:4.0f}-{high:<4.0f} {int(inside.sum()):8d} {cells}   {np.nanmean(right):.2f}")


def probed(network: SlipNet, seed: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Features, family and own signal-to-noise ratio of the scenes with one source among `count`."""
    settings = TrainSettings(seed=seed, pixels=96, easy_scenes=1)
    frame = Frame.rectangle((settings.pixels, settings.pixels), PIXELS_M[0])
    rows, labels, evidence = [], [], []
    for index in range(count):
        sources = scene_sources(settings.seed, index, frame)
        if len(sources) != 1:
            continue
        features, strength = features_of(network, draw_labelled(settings, index).observation)
        rows.append(features)
        labels.append(FAMILIES.index(sources[0].family))
        evidence.append(strength)
    return torch.stack(rows), torch.tensor(labels), torch.tensor(evidence)


def features_of(network: SlipNet, seen: Observation) -> tuple[Tensor, float]:
    """Features of either sign averaged over the event, its relief with them; and the root of the energy that it has."""
    with torch.inference_mode():
        tile = begun(padded(prepare(seen.cleaned(), seen.days, seen.pixel_m), MULTIPLE), network.whitened)
        image = image_of(tile.prepared, tile.levels, best_course(tile))
        (mean,), _ = odd_prediction(network, [image])
        signs = torch.ones_like(image.features[:, :1, :1])
        signs[:SIGNED] = -1
        both = torch.stack([image.features, image.features * signs])
        with torch.autocast("cpu", torch.bfloat16):
            trunk = network.trunk(both.contiguous(memory_format=torch.channels_last))
        trunk = trunk.float().mean(0)
        weight = avg_pool2d(mean.abs()[None], COARSE)[0]
        weight = weight / weight.sum().clamp(min=1e-9)
        pooled = torch.cat([(trunk * weight).sum((1, 2)), trunk.amax((1, 2)), trunk.mean((1, 2))])
        template = scales.template(mean, tile.prepared.seen, tile.levels)
        energy = scales.projection(image.white[None], image.detail[:1], template).sum()
    return pooled, float(energy.clamp(min=0).sqrt())


def fitted(features: Tensor, labels: Tensor) -> Tensor:
    """Weights (feature and one, class) of a logistic regression in which every class counts alike."""
    inputs = torch.cat([features, torch.ones(len(features), 1)], 1)
    weights = torch.zeros(inputs.shape[1], len(FAMILIES), requires_grad=True)
    share = len(labels) / (len(FAMILIES) * torch.bincount(labels, minlength=len(FAMILIES)).clamp(min=1).float())
    optimiser = torch.optim.LBFGS([weights], max_iter=300)

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = cross_entropy(inputs @ weights, labels, weight=share) + DECAY * weights.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    return weights.detach()


if __name__ == "__main__":
    main()
