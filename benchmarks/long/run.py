"""How good the maps of a denoiser are on series of four years whose rate and season are unknown.

    python benchmarks/long/run.py --scenes 6 --method slipnet
    python benchmarks/long/run.py --scenes 3 --first 100 --weights weights/slipscan-2.safetensors

A row a class: median over the scenes [range] of the NRMSE of the transient at every epoch and of the map from the first
to the last epoch (1.00 = zeros), over the valid pixels; and for scenes without an event the RMS of the transient and
the largest range of its values.
"""

from __future__ import annotations

import argparse
import time as clock

import numpy as np
import scenes
import torch

from slipbench.scenes import Scene
from slipscan.denoise.registry import build
from slipscan.denoise.run import denoise
from slipscan.field import Denoiser
from slipscan.settings import DenoiseSettings


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=6, help="a class")
    parser.add_argument("--first", type=int, default=0, help="number of the first scene of a class")
    parser.add_argument("--method", default="slipnet")
    parser.add_argument("--weights", help="a name, or a file; default: the method's own")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    numbers = range(chosen.first, chosen.first + chosen.scenes)
    settings = DenoiseSettings(method=chosen.method, weights=chosen.weights, device="cpu")
    method, plan = build(settings), scenes.plan_of()
    pixel_epochs = seconds = 0.0
    print(
        f"{chosen.method}, {scenes.EPOCHS} epochs of {scenes.PIXELS} x {scenes.PIXELS} pixels of {scenes.PIXEL_M:g} m"
    )
    print("| class | NRMSE of the transient | NRMSE of the map |\n|---|---|---|")
    for kind, (_, peak_m) in scenes.CLASSES.items():
        drawn = [scenes.draw(kind, number, plan) for number in numbers]
        start = clock.process_time()
        found = [transient_of(scene, method) for scene in drawn]
        seconds += clock.process_time() - start
        pixel_epochs += sum(field.size for field in found)
        errors = np.array([nrmse(scene, field) for scene, field in zip(drawn, found, strict=True)])
        print(f"| {kind}, {1e3 * peak_m:g} mm | {spread(errors[:, 0])} | {spread(errors[:, 1])} |", flush=True)
    nulls = [scenes.draw(scenes.NULL, number, plan) for number in numbers]
    quiet = [1e3 * transient_of(scene, method)[:, scene.valid] for scene in nulls]
    rms = np.array([np.sqrt((field**2).mean()) for field in quiet])
    print(
        f"nulls: RMS {np.median(rms):.3f} mm [{rms.min():.3f}, {rms.max():.3f}], peak {max(map(np.ptp, quiet)):.1f} mm"
    )
    print(f"{pixel_epochs / seconds / 1e6:.1f} million pixel-epochs a second of one core")


def transient_of(scene: Scene, method: Denoiser) -> np.ndarray:
    """What the method says happened, (time, y, x) m."""
    return np.nan_to_num(denoise(scene.observation(False), method).transient)


def nrmse(scene: Scene, found: np.ndarray) -> tuple[float, float]:
    """Of the transient about its temporal mean, and of the map."""
    truth = scene.events - scene.events.mean(axis=0)
    found = found - found.mean(axis=0)
    pairs = (
        (found[:, scene.valid], truth[:, scene.valid]),
        ((found[-1] - found[0])[scene.valid], scene.map[scene.valid]),
    )
    field, last = (float(np.sqrt(((one - other) ** 2).mean() / (other**2).mean())) for one, other in pairs)
    return field, last


def spread(values: np.ndarray) -> str:
    """Median and range."""
    return f"{np.median(values):.2f} [{values.min():.2f}, {values.max():.2f}]"


if __name__ == "__main__":
    main()
