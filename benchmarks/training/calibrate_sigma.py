"""Calibrate sigma of the shipped weights, and measure them on other scenes: `calibration` and `validation` of the card.

    python benchmarks/training/calibrate_sigma.py --scenes 600 --measured 120

Some twenty minutes of one core. The card is written anew.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

import slipscan.denoise
from slipscan.denoise.methods.slipnet.method import SlipNetDenoiser
from slipscan.denoise.methods.slipnet.validate import calibration_card
from slipscan.denoise.registry import build
from slipscan.denoise.training.skill import skill
from slipscan.settings import DenoiseSettings, TrainSettings

CARD = Path(slipscan.denoise.__file__).parent / "weights" / "slipscan-1.json"


def main() -> None:
    """Write the card."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=600, help="that calibrate")
    parser.add_argument("--measured", type=int, default=120, help="others, that are measured on")
    given = parser.parse_args()
    torch.set_num_threads(1)
    card = json.loads(CARD.read_text())
    of_training = card["training"]
    settings = TrainSettings(
        network=of_training["network"],
        name=card["name"],
        seed=of_training["seed"],
        epochs=of_training["epochs"],
        pixels=128,
        validation_scenes=given.scenes,
    )
    denoiser = build(DenoiseSettings(device="cpu"))
    assert isinstance(denoiser, SlipNetDenoiser)
    card |= calibration_card(denoiser.network, settings)
    CARD.write_text(json.dumps(card, indent=2) + "\n")
    card["validation"] = skill(build(DenoiseSettings(device="cpu")), settings, given.measured)
    CARD.write_text(json.dumps(card, indent=2) + "\n")


if __name__ == "__main__":
    main()
