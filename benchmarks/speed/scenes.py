"""How fast training scenes are drawn, and where the time goes: one core, processor time, one table.

    python benchmarks/speed/scenes.py [--scenes 512] [--pixels 128] [--epochs 24]

Other jobs may run on the machine, so time is that of this process on its processor (`time.process_time`), not that
of the wall; a busy neighbour on the same core still slows caches and clock. The floor is what a scene needs if
everything but its bytes were free: normal deviates of the decorrelation, one pass over the series for each sum.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import platform
import pstats
import time
from collections.abc import Callable

import numpy as np
import torch

from slipscan.synthetic import pool
from slipscan.synthetic.scene import draw_scene

torch.set_num_threads(1)

FRESH = 48
"""Scenes drawn without pool and bank."""
Key = tuple[str, str]
STAGES: tuple[tuple[str, tuple[Key, ...], tuple[Key, ...]], ...] = (
    # name, functions whose time it is, functions of other rows inside of them
    (
        "block: turbulence and other fields",
        (("pool.py", "block_of"),),
        (("bank.py", "__init__"), ("pool.py", "scene_sources")),
    ),
    ("block: sources drawn", (("pool.py", "scene_sources"),), ()),
    ("block: sources evaluated at knots (Okada and others)", (("bank.py", "__init__"),), ()),
    ("maps of sources from knots", (("bank.py", "map"),), ()),
    ("windows of turbulence", (("pool.py", "turbulence"),), ()),
    ("windows of relief, coherence, gaps", tuple(("pool.py", f) for f in ("relief", "cover", "gaps")), ()),
    ("decorrelation (normal deviates)", (("simulate_parts.py", "decorrelation"),), ()),
    (
        "other parts of the noise",
        (("simulate.py", "parts"),),
        (("simulate_parts.py", "decorrelation"),),
    ),
    ("summits, rate and season", (("distribution.py", "raise_relief"), ("backdrop.py", "draw_ground")), ()),
    ("sum", (("scene.py", "_sum"),), ()),
)


def processor_ms(function: Callable[[], object], repeats: int) -> float:
    """Median processor time of a call, ms."""
    times = []
    for _ in range(repeats + 1):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return 1e3 * float(np.median(times[1:]))


def stages(profile: cProfile.Profile, scenes: int) -> list[tuple[str, float]]:
    """Milliseconds a scene of each stage, and of all the rest."""
    found = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    cumulative: dict[Key, float] = {}
    total = sum(entry[2] for entry in found.values())
    for (path, _, function), entry in found.items():
        if "slipscan" in path:
            key = (path.rsplit("/", 1)[-1], function)
            cumulative[key] = cumulative.get(key, 0.0) + entry[3]
    rows = [
        (name, sum(cumulative.get(k, 0.0) for k in own) - sum(cumulative.get(k, 0.0) for k in others))
        for name, own, others in STAGES
    ]
    rows.append(("the rest", total - sum(seconds for _, seconds in rows)))
    return [(name, 1e3 * seconds / scenes) for name, seconds in rows]


def floor(epochs: int, pixels: int) -> list[str]:
    """Lines about the least that a scene costs on this machine, now."""
    series = np.zeros((epochs, pixels, pixels), np.float32)
    other = np.ones_like(series)
    generator = np.random.default_rng(1)
    copy = processor_ms(lambda: np.copyto(series, other), 50)
    add = processor_ms(lambda: np.add(series, other, out=series), 50)
    normals = processor_ms(lambda: generator.standard_normal(series.shape, dtype=np.float32), 10)
    pixels_all, parts = series.size, 7
    least = normals + 2 * copy + 5 * add
    return [
        f"- series {series.nbytes / 1e6:.2f} MB; copy {copy:.2f} ms, sum in place {add:.2f} ms",
        f"- {pixels_all:,} normal deviates: {normals:.2f} ms",
        f"- ground motion as a matrix product: 2 x {pixels_all:,} x {parts} = {2 * parts * pixels_all / 1e6:.1f} Mflop",
        f"- floor = normals + windows and noise read once + five sums: {least:.1f} ms = {1e3 / least:.0f} scenes/s",
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=512, help="a multiple of a block's")
    parser.add_argument("--pixels", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=24)
    args = parser.parse_args()
    block = pool.SCENES_PER_BLOCK
    count = max(block, args.scenes // block * block)

    def draw(first: int, profile: cProfile.Profile | None = None) -> float:
        start = time.process_time()
        if profile is not None:
            profile.enable()
        for index in range(first, first + count):
            draw_scene(1, index, epochs=args.epochs, pixels=args.pixels)
        if profile is not None:
            profile.disable()
        return time.process_time() - start

    draw_scene(2, 0, epochs=args.epochs, pixels=args.pixels)
    seconds = draw(0)
    profile = cProfile.Profile(time.process_time)
    profiled = draw(count, profile)
    start = time.process_time()
    for index in range(FRESH):
        draw_scene(1, index, epochs=args.epochs, pixels=args.pixels, pooled=False)
    fresh = 1e3 * (time.process_time() - start) / FRESH
    print(f"{count} scenes of {args.pixels} x {args.pixels} x {args.epochs}, blocks of {block}; ", end="")
    print(f"{platform.processor() or platform.machine()}, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    per_scene = 1e3 * seconds / count
    print(f"- one core: **{1e3 / per_scene:.0f} scenes/s** ({per_scene:.1f} ms of processor time a scene)")
    print(f"- two cores, one process each: {2e3 / per_scene:.0f} scenes/s predicted")
    print(f"- without pool and bank (`pooled=False`): {fresh:.1f} ms\n")
    print(*floor(args.epochs, args.pixels), sep="\n")
    print("\n| where the time goes | ms a scene | share |\n|---|---|---|")
    for name, ms in stages(profile, count):
        print(f"| {name} | {ms:.2f} | {ms * count / profiled / 10:.0f} % |")
    print(f"| all, with the profiler | {1e3 * profiled / count:.2f} | 100 % |")


if __name__ == "__main__":
    main()
