"""How far the shipped network's answer changes when the data are flipped, turned, scaled or cropped.

    python benchmarks/skill/symmetries.py [--orientations 8]

Twelve scenes of the validation split, family A, their event at SNR 30, rate and season known. Change of the map, RMS
over the RMS of the map.
"""

import argparse
import dataclasses
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

from slipbench.network import answer_of_denoiser
from slipbench.plan import read_plan
from slipbench.scenes import Key, draw
from slipscan.denoise.registry import build
from slipscan.field import Denoiser, Observation
from slipscan.settings import DenoiseSettings

SCENES, SNR, CROP = 12, 30.0, 16
LEAST_MM = 0.1
"""A map smaller than this is none."""


def main() -> None:
    """Print the changes."""
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orientations", type=int, choices=(1, 8), default=1)
    parser.add_argument("--scenes", type=int, default=SCENES)
    chosen = parser.parse_args()
    method = build(DenoiseSettings(device="cpu", options={"orientations": chosen.orientations}))
    plan = read_plan(Path(__file__).parent / "slipbench.yaml")
    kinds = list(plan.classes)
    changes = defaultdict(list)
    for number in range(chosen.scenes):
        scene, snr = draw(Key("validation", "A", kinds[number % len(kinds)], 500 + number), plan)
        seen = dataclasses.replace(scene, amplitude=SNR / snr).observation(True)
        field = seen.displacement
        first = answer(method, seen, field)
        size = np.sqrt((first**2).mean())
        if size < LEAST_MM / 1e3:
            continue
        others = {
            "sign": -answer(method, seen, -field),
            "amplitude x 7": answer(method, seen, 7 * field) / 7,
            "other reference epoch": answer(method, seen, field - field[[7]]),
            "flip x": answer(method, seen, field[:, :, ::-1], seen.height[:, ::-1])[:, ::-1],
            "flip y": answer(method, seen, field[:, ::-1], seen.height[::-1])[::-1],
            "transpose": answer(method, seen, field.transpose(0, 2, 1), seen.height.T).T,
        }
        for name, other in others.items():
            changes[name].append(np.sqrt(((other - first) ** 2).mean()) / size)
        cropped = answer(method, seen, field[:, CROP:, CROP:], seen.height[CROP:, CROP:])[CROP:-CROP, CROP:-CROP]
        inner = first[2 * CROP : -CROP, 2 * CROP : -CROP]
        changes[f"crop by {CROP} px, inner part"].append(np.sqrt(((cropped - inner) ** 2).mean()) / size)
    for name, values in changes.items():
        print(f"{name:28s} median {np.median(values):.4f}, largest {max(values):.4f}, {len(values)} scenes")


def answer(method: Denoiser, seen: Observation, field: np.ndarray, height: np.ndarray | None = None) -> np.ndarray:
    """Map of the network for changed data."""
    height = seen.height if height is None else height
    changed = dataclasses.replace(seen, displacement=np.ascontiguousarray(field), height=np.ascontiguousarray(height))
    return answer_of_denoiser(changed, method).map


if __name__ == "__main__":
    main()
