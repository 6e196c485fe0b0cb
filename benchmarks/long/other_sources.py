"""Maps of sources that are unlike those which the denoiser fits, with and without its fits.

    python benchmarks/long/other_sources.py --scenes 24

Development scenes of family A of the set `long` with an SNR over 8, whose sources are replaced: four patches of a fault
that slip by different amounts in different directions, cracks under pressure, reservoirs, dikes.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch

from slipbench import scenes
from slipbench.measures import measure
from slipbench.network import answer_of_denoiser
from slipbench.plan import read_plan
from slipbench.scenes import Key, draw
from slipscan.denoise.registry import build
from slipscan.field import Denoiser
from slipscan.settings import DenoiseSettings
from slipscan.synthetic.backdrop import Frame
from slipscan.synthetic.sources import Kind, Source, scale_to_peak, source_map

PLAN = read_plan(Path(__file__).resolve().parents[1] / "skill" / "long.yaml")
LEAST_SNR = 8.0
FIRST = 100
"""Number of the first scene. The error of a source (`maps.UNLIKE`) was chosen on cracks and reservoirs of 18 scenes."""
Map = Callable[[Source, Frame, np.ndarray], np.ndarray]


def main() -> None:
    """Print a line a kind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=24)
    count = parser.parse_args().scenes
    torch.set_num_threads(1)
    both = [build(DenoiseSettings(options={"sources": sources}, device="cpu")) for sources in (True, False)]
    print("source, scenes; NRMSE with fits and without: median, mean")
    for name, (kind, made) in SOURCES.items():
        rows = np.array(list(nrmse_of(kind, made, both, count)))
        print(f"{name}, {len(rows)};", *(f"{part(rows, axis=0).round(2)}" for part in (np.median, np.mean)), flush=True)


def nrmse_of(kind: str, made: Map, methods: list[Denoiser], count: int):
    """NRMSE of every method, scene by scene."""
    for number in range(FIRST, FIRST + count):
        with patch.object(scenes, "source_map", made):  # the rest of the scene, its SNR too, is as it would be
            scene, snr = draw(Key("development", "A", kind, number, "long"), PLAN)
        if snr > LEAST_SNR:
            seen = scene.observation(False)
            yield [measure(scene, answer_of_denoiser(seen, method))["nrmse_transient"] for method in methods]


def generator_of(source: Source) -> np.random.Generator:
    """Random numbers of a source alone."""
    return np.random.default_rng(int(abs(source.east) * 7 + abs(source.north)))


def patches(source: Source, frame: Frame, los: np.ndarray) -> np.ndarray:
    """Four patches of a fault beside one another."""
    generator, strike = generator_of(source), math.radians(source.strike_deg)
    total = np.zeros(frame.shape)
    for along in (np.arange(4) - 1.5) * source.length / 4:
        one = dataclasses.replace(
            source,
            east=source.east + along * math.sin(strike),
            north=source.north + along * math.cos(strike),
            length=source.length / 4,
            width=source.width * generator.uniform(0.4, 1),
            rake_deg=source.rake_deg + generator.uniform(-20, 20),
            peak_m=generator.uniform(0.1, 1),
        )
        total += source_map(one, frame, los)
    return scale_to_peak(source, total)


def other(kind: Kind) -> Map:
    """A source of another kind in the place of one."""

    def made(source: Source, frame: Frame, los: np.ndarray) -> np.ndarray:
        generator = generator_of(source)
        depth, length = generator.uniform(2e3, 6e3), generator.uniform(3e3, 12e3)
        if kind == "crack":
            shape = {"length": min(length, 3 * depth)}
        elif kind == "reservoir":
            depth = generator.uniform(300, 2000)
            shape = {
                "length": length,
                "width": length * generator.uniform(0.3, 1),
                "strike_deg": generator.uniform(0, 180),
            }
        else:
            shape = {
                "length": length,
                "width": min(length, 1.5 * depth),
                "strike_deg": generator.uniform(0, 360),
                "dip_deg": generator.uniform(70, 90),
            }
        return source_map(dataclasses.replace(source, kind=kind, depth=depth, **shape), frame, los)

    return made


SOURCES: dict[str, tuple[str, Map]] = {
    "patches of a fault": ("buried 3-7 km", patches),
    "crack": ("Mogi 2-5 km", other("crack")),
    "reservoir": ("Mogi 2-5 km", other("reservoir")),
    "dike": ("buried 3-7 km", other("dike")),
}
"""And the class of the scene in which it is put."""


if __name__ == "__main__":
    main()
