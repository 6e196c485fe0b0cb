"""How fast the denoiser is, beside what the same core can do at most."""

from __future__ import annotations

import resource
import time as clock
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from slipbench import network
from slipbench.plan import SkillPlan, read_plan
from slipbench.scenes import Key, draw
from slipscan.denoise.methods.slipnet.events import tile_events
from slipscan.denoise.methods.slipnet.method import SlipNetDenoiser
from slipscan.denoise.methods.slipnet.network import MULTIPLE
from slipscan.denoise.methods.slipnet.prepare import padded, prepare
from slipscan.denoise.registry import build
from slipscan.settings import DenoiseSettings

SCENES, ROUNDS = 3, 5
MATRIX = 1024


def measure_speed(plan_path: Path, weights: str | None = None) -> str:
    """Time the parts of the denoiser on scenes of slipbench, on one thread.

    Parameters
    ----------
    plan_path
        of the benchmark
    weights
        name or path

    Returns
    -------
    text
        a table: processor time of each part, operations a pixel and epoch, pixel-epochs a second, share of the rate
        of a matrix product of the same core in the same precision, peak memory of the process
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        method = build(DenoiseSettings(weights=weights, device="cpu"))
        assert isinstance(method, SlipNetDenoiser)
        return _table(read_plan(plan_path), method)
    finally:
        torch.set_num_threads(threads)


def _table(plan: SkillPlan, method: SlipNetDenoiser) -> str:
    kinds = list(plan.classes)
    observations = [draw(Key("validation", "A", kinds[i], i), plan)[0].observation(False) for i in range(SCENES)]
    pixel_epochs = float(np.mean([observation.values.size for observation in observations]))
    product = {kind: _product_rate(kind) for kind in (torch.bfloat16, torch.float32)}
    tiles = [padded(prepare(o.cleaned(), o.days, o.pixel_m, los=o.los), MULTIPLE) for o in observations]
    with FlopCounterMode(display=False) as counter:
        tile_events(tiles[:1], method.network, None)
    operations = counter.get_total_flops() / tiles[0].residual.numel()
    seconds = {
        "closed form of a tile (delay, noise)": _time(lambda: [replace(o).cleaned() for o in observations]),
        "tile: histories, images, network": _time(
            lambda: [tile_events([tile], method.network, None) for tile in tiles]
        ),
        "all, rate and season fitted": _time(
            lambda: [network.answer_of_denoiser(replace(o), method) for o in observations]
        ),
    }
    whole = seconds["all, rate and season fitted"] / SCENES
    half, single = product[torch.bfloat16], product[torch.float32]
    floor = operations * pixel_epochs / half / 1e9
    rows = {
        **{name: f"{1e3 * value / SCENES:8.1f} ms a scene" for name, value in seconds.items()},
        "pixel-epochs a second": f"{pixel_epochs / whole / 1e6:8.2f} million",
        "operations a pixel and epoch": f"{operations / 1e3:8.2f} thousand",
        "matrix product, bfloat16 / float32": f"{half:8.0f} / {single:.0f} GF/s",
        "floor: operations at the bfloat16 rate": f"{1e3 * floor:8.1f} ms a scene",
        "share of that rate, all included": f"{floor / whole:8.1%}",
        "peak memory of the process": f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:8.2f} GB",
    }
    head = (
        f"{plan.epochs} epochs of {plan.pixels} x {plan.pixels} pixels, one thread, {SCENES} scenes, best of {ROUNDS}"
    )
    return "\n".join([head, *(f"{name:40s} {value}" for name, value in rows.items())])


def _product_rate(kind: torch.dtype) -> float:
    """Billions of operations a second of a product of square matrices."""
    one, other = (torch.randn(MATRIX, MATRIX).to(kind) for _ in range(2))
    return 2 * MATRIX**3 / _time(lambda: one @ other) / 1e9


def _time(function: Callable[[], object]) -> float:
    """Least processor time of ROUNDS calls, seconds; other processes lengthen wall time, not this."""
    function()
    times = []
    for _ in range(ROUNDS):
        start = clock.process_time()
        function()
        times.append(clock.process_time() - start)
    return min(times)
