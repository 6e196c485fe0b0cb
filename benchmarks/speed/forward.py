"""Okada's rectangle: slipscan beside cutde's triangles and Okada's formulas in plain numpy, in one table.

    python benchmarks/speed/forward.py [--faults 32] [--points 16384] [--repeats 5] [--out docs/benchmarks/forward.md]

The same faults and points for all, one thread each, their turns interleaved; the best turn of each counts. Time is
that of this process on its processor (`time.process_time`), since other jobs may run on the machine. cutde is given
what suits it best: all triangles in one call, which sums over them.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import cutde.halfspace
import numpy as np
import torch
from numpy.typing import NDArray

from slipscan.forward.okada import okada_surface

torch.set_num_threads(1)

Float = NDArray[np.float64]
POISSON_RATIO = 0.25


def draw_faults(count: int) -> dict[str, Float]:
    """Faults of 5 to 50 km, buried and not, dips of 10 to 90 degrees (one in eight vertical)."""
    g = np.random.default_rng(1985)
    return {
        "east0": g.uniform(-2e4, 2e4, count), "north0": g.uniform(-2e4, 2e4, count),
        "depth_top": np.where(np.arange(count) % 4 == 0, 0.0, g.uniform(1e3, 1e4, count)),
        "strike_deg": g.uniform(0, 360, count),
        "dip_deg": np.where(np.arange(count) % 8 == 1, 90.0, g.uniform(10, 80, count)),
        "length": g.uniform(5e3, 5e4, count), "width": g.uniform(5e3, 2e4, count),
        "rake_deg": g.uniform(-180, 180, count), "slip": g.uniform(0.1, 1, count),
        "opening": g.uniform(-0.2, 0.2, count),
    }  # fmt: skip


def okada_numpy(east: Float, north: Float, fault: dict[str, float]) -> Float:
    """Okada (1985), equations 24 to 29 as they are printed, one fault; (P, 3)."""
    strike, dip, rake = (math.radians(fault[n]) for n in ("strike_deg", "dip_deg", "rake_deg"))
    length, width = fault["length"], fault["width"]
    s, c = math.sin(dip), 0.0 if fault["dip_deg"] == 90 else math.cos(dip)
    e, n = east - fault["east0"], north - fault["north0"]
    x = e * math.sin(strike) + n * math.cos(strike) + length / 2
    y = n * math.sin(strike) - e * math.cos(strike) + width * c
    d = fault["depth_top"] + width * s
    p, q = y * c + d * s, y * s - d * c
    slips = fault["slip"] * math.cos(rake), fault["slip"] * math.sin(rake), fault["opening"]
    total = np.zeros((3, len(east)))
    for sign, xi, eta in ((1, x, p), (-1, x, p - width), (-1, x - length, p), (1, x - length, p - width)):
        total += sign / (2 * math.pi) * _chinnery(xi, eta, q, s, c, slips)
    along, across, up = total
    return np.stack(
        (
            along * math.sin(strike) - across * math.cos(strike),
            along * math.cos(strike) + across * math.sin(strike),
            up,
        ),
        axis=1,
    )


def _chinnery(xi: Float, eta: Float, q: Float, s: float, c: float, slips: tuple[float, float, float]) -> Float:
    """Equations 25 to 27 at one corner, without 1 / (2 pi)."""
    k = 1 - 2 * POISSON_RATIO
    r = np.sqrt(xi**2 + eta**2 + q**2)
    y, d = eta * c + q * s, eta * s - q * c
    x_q, log_r_eta = np.sqrt(xi**2 + q**2), np.log(r + eta)
    if c == 0:
        i1 = -k / 2 * xi * q / (r + d) ** 2
        i3 = k / 2 * (eta / (r + d) + y * q / (r + d) ** 2 - log_r_eta)
        i4, i5 = -k * q / (r + d), -k * xi * s / (r + d)
    else:
        i5 = k * 2 / c * np.arctan((eta * (x_q + q * c) + x_q * (r + x_q) * s) / (xi * (r + x_q) * c))
        i4 = k / c * (np.log(r + d) - s * log_r_eta)
        i3 = k * (y / (c * (r + d)) - log_r_eta) + s / c * i4
        i1 = k * (-xi / (c * (r + d))) - s / c * i5
    i2 = -k * log_r_eta - i3
    angle = np.arctan(xi * eta / (q * r))
    u1, u2, u3 = slips
    wedge = xi * q / (r * (r + eta)) - angle
    return np.stack(
        (
            -u1 * (xi * q / (r * (r + eta)) + angle + i1 * s)
            - u2 * (q / r - i3 * s * c)
            + u3 * (q**2 / (r * (r + eta)) - i3 * s**2),
            -u1 * (y * q / (r * (r + eta)) + q * c / (r + eta) + i2 * s)
            - u2 * (y * q / (r * (r + xi)) + c * angle - i1 * s * c)
            + u3 * (-d * q / (r * (r + xi)) - s * wedge - i1 * s**2),
            -u1 * (d * q / (r * (r + eta)) + q * s / (r + eta) + i4 * s)
            - u2 * (d * q / (r * (r + xi)) + s * angle - i5 * s * c)
            + u3 * (y * q / (r * (r + xi)) + c * wedge - i5 * s**2),
        )
    )


def triangles(fault: dict[str, float]) -> tuple[Float, Float]:
    """Two triangles (2, 3, 3) of a rectangle and their slips (2, 3), as cutde wants them."""
    strike, dip, rake = (math.radians(fault[n]) for n in ("strike_deg", "dip_deg", "rake_deg"))
    along = np.array([math.sin(strike), math.cos(strike), 0.0])
    down = np.array([math.cos(strike) * math.cos(dip), -math.sin(strike) * math.cos(dip), -math.sin(dip)])
    normal = np.cross(down, along)
    top = np.array([fault["east0"], fault["north0"], -fault["depth_top"]])
    a, b = top - along * fault["length"] / 2, top + along * fault["length"] / 2
    both = np.array([[a, b, b + down * fault["width"]], [a, b + down * fault["width"], a + down * fault["width"]]])
    turned = np.einsum("ti,i->t", np.cross(both[:, 1] - both[:, 0], both[:, 2] - both[:, 0]), normal) < 0
    both[turned] = both[turned][:, ::-1]
    slip = fault["slip"] * (math.cos(rake) * along - math.sin(rake) * down) + fault["opening"] * normal
    axis = np.cross([0, 0, 1], normal) / math.hypot(normal[0], normal[1])
    return both, np.tile([slip @ axis, slip @ np.cross(normal, axis), slip @ normal], (2, 1))


def floor(pairs: int, block: int = 16384) -> Callable[[], Float]:
    """What Okada's rectangle needs at least: 4 roots, 4 arc tangents, 2 logarithms a pair, all else free."""
    x, y = (torch.rand(block, dtype=torch.float64) + 0.5 for _ in range(2))

    def run() -> Float:
        for _ in range(pairs // block):
            for _ in range(4):
                torch.sqrt(x)
                torch.atan2(x, y)
            torch.log(x)
            torch.log(y)
        return np.empty((0, 0, 3))

    return run


def methods(faults: dict[str, Float], east: Float, north: Float) -> dict[str, Callable[[], Float]]:
    """Each gives the displacement (fault, point, 3), cutde (1, point, 3) summed over faults, the floor nothing."""
    single = [dict(zip(faults, row, strict=True)) for row in zip(*faults.values(), strict=True)]
    parts = [triangles(fault) for fault in single]
    corners, slips = (np.ascontiguousarray(np.concatenate(column)) for column in zip(*parts, strict=True))
    observed = np.ascontiguousarray(np.stack((east, north, np.zeros_like(east)), axis=1))

    def ours(dtype: torch.dtype) -> Callable[[], Float]:
        batch = {name: torch.from_numpy(value).to(dtype) for name, value in faults.items()}
        points = torch.from_numpy(east).to(dtype), torch.from_numpy(north).to(dtype)
        return lambda: okada_surface(*points, **batch, poisson_ratio=POISSON_RATIO).numpy()

    def cutde_of(dtype: type) -> Callable[[], Float]:
        arrays = [v.astype(dtype) for v in (observed, corners, slips)]
        return lambda: cutde.halfspace.disp_free(*arrays, POISSON_RATIO)[None]

    return {
        "floor: its roots, arc tangents and logarithms alone, float64": floor(len(single) * len(east)),
        "slipscan, float64": ours(torch.float64),
        "slipscan, float32": ours(torch.float32),
        "numpy, Okada 1985 as printed, float64": lambda: np.array([okada_numpy(east, north, f) for f in single]),
        "cutde, two triangles, float64": cutde_of(np.float64),
        "cutde, two triangles, float32": cutde_of(np.float32),
    }


def measure(run: dict[str, Callable[[], Float]], repeats: int) -> tuple[dict[str, float], dict[str, Float]]:
    """Best processor time of each in seconds, in interleaved turns, and the results."""
    best, results = dict.fromkeys(run, math.inf), {}
    for _ in range(repeats + 1):  # the first turn warms up
        for name, function in run.items():
            start = time.process_time()
            displacement = function()
            best[name] = min(best[name], time.process_time() - start)
            results[name] = displacement.sum(axis=0, dtype=float)
    return best, results


def table(best: dict[str, float], results: dict[str, Float], pairs: int) -> str:
    """Markdown rows."""
    reference = results["slipscan, float64"]
    rows = [
        "| | million faults x points a second | ns a pair | time / slipscan float64 | largest difference / peak |",
        "|---|---|---|---|---|",
    ]
    for name, seconds in best.items():
        difference = ""
        if results[name].size and name != "slipscan, float64":
            finite = np.isfinite(results[name]).all(axis=1)
            difference = f"{np.abs(results[name] - reference)[finite].max() / np.abs(reference).max():.1e}"
            if not finite.all():
                difference += f"; NaN at {(~finite).sum()} of {len(finite)} points"
        rows.append(
            f"| {name} | {pairs / seconds / 1e6:.2f} | {seconds / pairs * 1e9:.0f} "
            f"| {seconds / best['slipscan, float64']:.2f} | {difference} |"
        )
    return "\n".join(rows)


def machine() -> str:
    """One line about the machine and the libraries."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    )
    libraries = ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy", "cutde"))
    return f"{model}, {os.cpu_count()} cores, one thread used; load {os.getloadavg()[0]:.1f}; {libraries}"


def main() -> None:
    """Print the table, and write the page if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faults", type=int, default=32)
    parser.add_argument("--points", type=int, default=16384)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    east, north = np.random.default_rng(7).uniform(-4e4, 4e4, (2, options.points))
    best, results = measure(methods(draw_faults(options.faults), east, north), options.repeats)
    text = table(best, results, options.faults * options.points)
    about = f"{options.faults} faults, {options.points} points, best of {options.repeats} turns. {machine()}"
    print(about, text, sep="\n\n")
    if options.out:
        options.out.write_text(PAGE.format(about=about, table=text))


PAGE = """# Speed of the forward model

Written by `python benchmarks/speed/forward.py --out docs/benchmarks/forward.md`.
{about}.

{table}

Processor time of one thread; all share the same faults (one in eight vertical, one in four breaking the surface) and
points, in one run, in interleaved turns. Read the ratios: the machine's neighbours slow all rows, not all alike, and
in another run plain numpy took 1.30 times slipscan's time. The difference is that of the displacement summed over
all faults, over its peak. A GPU was not measured.

Okada's formulas as printed take 8 roots, 8 arc tangents and 8 logarithms for a pair of a fault and a point, and two
triangles take several times that. Combined over the corners, slipscan takes 4, 4 and 2 (for vertical faults 4, 2 and
1, and short series): the floor in the first row. The rest is about 200 passes of additions and multiplications in
blocks that nearly stay in the cache. On this processor numpy's logarithm and arc tangent are 2.7 and 4.4 times as fast
as torch's in float64, which is why plain numpy is not farther behind; it has no gradients, no batches and no other
device, and divides by zero on edges and traces.
"""


if __name__ == "__main__":
    main()
