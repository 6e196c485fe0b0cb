"""How good the maps of a denoiser are on series of four years whose rate and season are unknown.

    python benchmarks/long/run.py --scenes 6 --method slipnet
    python benchmarks/long/run.py --scenes 3 --first 100 --weights weights/slipscan-2.safetensors
    python benchmarks/long/run.py --scenes 20 --first 200 --told

A row a class: median over the scenes [range] of the NRMSE of the transient at every epoch and of the map from the first
to the last epoch (1.00 = zeros), over the valid pixels; and for scenes without an event the RMS of the transient and
the largest range of its values. `--told`: slipscan's network is given the true history, too, and the NRMSE of the
transient is compared with what it reaches then.
"""

from __future__ import annotations

import argparse
import time as clock

import numpy as np
import scenes
import torch

from slipbench.scenes import Scene
from slipscan.denoise.methods.slipnet.maps import map_of
from slipscan.denoise.methods.slipnet.method import SlipNetDenoiser
from slipscan.denoise.methods.slipnet.network import MULTIPLE
from slipscan.denoise.methods.slipnet.prepare import padded, prepare
from slipscan.denoise.methods.slipnet.steps import begun
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
    parser.add_argument("--told", action="store_true", help="compare with the true history, given")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    numbers = range(chosen.first, chosen.first + chosen.scenes)
    settings = DenoiseSettings(method=chosen.method, weights=chosen.weights, device="cpu")
    method, plan = build(settings), scenes.plan_of()
    pixel_epochs = seconds = 0.0
    print(
        f"{chosen.method}, {scenes.EPOCHS} epochs of {scenes.PIXELS} x {scenes.PIXELS} pixels of {scenes.PIXEL_M:g} m"
    )
    more = " true history given | over that: median | 90 % |" if chosen.told else ""
    print("| class | NRMSE of the transient | NRMSE of the map |" + more)
    print("|---|---|---|" + "---|" * more.count("|"))
    ratios = []
    for kind, (_, peak_m) in scenes.CLASSES.items():
        drawn = [scenes.draw(kind, number, plan) for number in numbers]
        start = clock.process_time()
        found = [transient_of(scene, method) for scene in drawn]
        seconds += clock.process_time() - start
        pixel_epochs += sum(field.size for field in found)
        errors = np.array([nrmse(scene, field) for scene, field in zip(drawn, found, strict=True)])
        row = f"| {kind}, {1e3 * peak_m:g} mm | {spread(errors[:, 0])} | {spread(errors[:, 1])} |"
        if chosen.told:
            told = np.array([nrmse(scene, told_history(scene, method))[0] for scene in drawn])
            ratios.append(errors[:, 0] / told)
            row += f" {spread(told)} | {np.median(ratios[-1]):.2f} | {np.quantile(ratios[-1], 0.9):.2f} |"
        print(row, flush=True)
    if chosen.told:
        every = np.concatenate(ratios)
        print(f"over the true history, {len(every)} events: {np.median(every):.2f}, 90 % {np.quantile(every, 0.9):.2f}")
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


def told_history(scene: Scene, method: SlipNetDenoiser) -> np.ndarray:
    """What is made of the scene's true history, (time, y, x) m."""
    seen = scene.observation(False)
    course = (scene.course - scene.course[0]) / (scene.course[-1] - scene.course[0])
    with torch.inference_mode():
        tile = padded(prepare(seen.cleaned(), seen.days, seen.pixel_m, seen.noise, seen.los), MULTIPLE)
        state = begun(tile, bool(method.network.whitened))
        mapped = map_of(state, torch.from_numpy(course.astype(np.float32)), method.network)
        found = (mapped * tile.unit_m).numpy()[: seen.shape[0], : seen.shape[1]]
    return (course - course.mean())[:, None, None] * found


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
