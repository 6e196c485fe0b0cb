"""How fast every stage is and what it holds in memory, as the command line runs it, by size of the stack."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import tempfile
import time as clock
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import xarray as xr

from slipscan.atomic import write_text
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid, utm_crs, write_grid
from slipscan.noise.simulate import TurbulenceSpectrum
from slipscan.noise.simulate_turbulence import random_fields
from slipscan.outofcore import Empty, scratch_arrays, sharded
from slipscan.outputs import check_outputs, text_kind
from slipscan.store import write_zarr
from slipscan.vocabulary import annotate

PIXEL_M: Final = 200.0
TORUS: Final = 512
"""Side of the fields that the air of an epoch is made of, repeated over the scene: they have no seam."""
AIR_M, WHITE_M, EVENT_M, EVENT_KM, RELIEF_M = 8e-3, 1e-3, 3e-2, 3.0, 400.0
COPIED: Final = 1 << 28
"""Bytes that are copied to measure the bandwidth of the memory."""
ROUNDS: Final = 5
POLLED_S: Final = 0.02
START: Final = "import slipscan.cli, slipscan.denoise.stage, slipscan.detect.stage, slipscan.source.stage"
TOLD: Final = 0.25
"""Of the start: a stage whose own share is less has no rate that can be told."""


@dataclass(frozen=True)
class Size:
    """Rows, columns and epochs of a stack."""

    rows: int
    columns: int
    epochs: int

    @classmethod
    def of(cls, text: str) -> Size:
        """From '512x512x120'; raises SlipscanError."""
        found = re.fullmatch(r"(\d+)x(\d+)x(\d+)", text)
        if found is None or min(map(int, found.groups())) < 1:
            raise SlipscanError(f"a size {text!r} is none: write ROWSxCOLUMNSxEPOCHS, say 512x512x120")
        return cls(*map(int, found.groups()))

    @property
    def pixel_epochs(self) -> int:
        """Number of values."""
        return self.rows * self.columns * self.epochs

    def __str__(self) -> str:
        return f"{self.rows:,} x {self.columns:,} x {self.epochs}"


@dataclass(frozen=True)
class Cost:
    """What one stage took: wall and processor seconds, bytes read and written, peak of the memory in bytes."""

    stage: str
    wall_s: float
    cpu_s: float
    file_bytes: int
    peak_bytes: int


def measure_stages(
    sizes: Sequence[Size], directory: Path | None, nulls: int, options: Sequence[str] = (),
    completeness: Sequence[str] = (), page: Path | None = None, command: str = "slipscan bench stages",
) -> str:  # fmt: skip
    """Make a stack of every size, run the stages on it, one process each, and say what they took.

    Parameters
    ----------
    sizes
        of the stacks, which lie in the memory of no process here
    directory
        where stacks and products are kept; None: in a temporary one
    nulls
        null stacks of each kind in the calibration
    options, completeness
        of `slipscan denoise` and `slipscan completeness`: key=value
    page
        Markdown that is written too
    command
        that the page states

    Returns
    -------
    text
        a table in Markdown
    """
    if page is not None:
        check_outputs([(page, KIND)])
    load = os.getloadavg()[0]
    bandwidth = memory_bandwidth()
    start = _cost("start", ["-c", START])
    lines = [
        "| rows x columns x epochs | stage | wall, s | processor, s | million pixel-epochs/s | floor, s | wall / floor"
        " | files, GB | peak memory, GB |",
        "|" + " --- |" * 9,
    ]
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="slipscan-bench-", dir=directory) as place:
            stack = Path(place) / "stack.zarr"
            make_stack(stack, size)
            costs = measured(stack, nulls, options, completeness)
        lines += [_row(size, cost, bandwidth, start.cpu_s) for cost in [*costs, _together(costs, start)]]
    about = _about(load, bandwidth, nulls, start)
    table = "\n".join(lines)
    if page is not None:
        write_text(page, PAGE.format(command=command, about=about, table=table), KIND)
    return f"{about}\n\n{table}"


def _about(load: float, bandwidth: float, nulls: int, start: Cost) -> str:
    """On what machine, and how busy that was."""
    busy = " (busy: its wall times say little)" if load > 1 else ""
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, one thread a stage;"
        f" load of the machine before: {load:.1f}{busy};"
        f" memory copies {bandwidth / 1e9:.1f} GB/s; {nulls} null stacks of each kind; the start of a process takes"
        f" {start.cpu_s:.1f} s of the processor and {start.peak_bytes / 1e9:.2f} GB"
    )


def measured(stack: Path, nulls: int, options: Sequence[str], completeness: Sequence[str]) -> list[Cost]:
    """The cost of noise, denoise, calibrate, detect, source and completeness; products lie beside the stack."""
    names = ("noise.zarr", "denoised.zarr", "c.json", "t.zarr", "e.parquet", "m.parquet")
    path = {name: str(stack.with_name(name)) for name in names}
    noise = ["--noise", path["noise.zarr"]]
    chosen, injected = ([part for one in some for part in ("--set", one)] for some in (options, completeness))
    calibrated = ["--denoised", path["denoised.zarr"], *noise, "--set", f"nulls={nulls}"]
    calls = {
        "noise": [str(stack), path["noise.zarr"]],
        "denoise": [str(stack), path["denoised.zarr"], *chosen],
        "calibrate": [str(stack), path["c.json"], *calibrated],
        "detect": [str(stack), path["t.zarr"], *calibrated, "--calibration", path["c.json"]],
        "source": [path["t.zarr"], *noise, "--out", path["e.parquet"]],
        "completeness": [str(stack), "--calibration", path["c.json"], *noise, "--out", path["m.parquet"], *injected],
    }
    return [cost_of(stage, arguments) for stage, arguments in calls.items()]


def cost_of(stage: str, arguments: Sequence[str]) -> Cost:
    """Run one stage of the command line to its end; raises SlipscanError where it fails."""
    return _cost(stage, ["-m", "slipscan", stage, *arguments])


def _cost(stage: str, arguments: Sequence[str]) -> Cost:
    start, peak = clock.monotonic(), 0
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen([sys.executable, *arguments], stdout=said, stderr=said)
        while os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
            # Not what wait4 says: the peak of this process, from before the child became one of its own, is in that.
            peak = max(peak, _peak_bytes(child.pid))
            clock.sleep(POLLED_S)
        wall, moved = clock.monotonic() - start, _bytes_through_files(child.pid)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        if child.returncode:
            raise SlipscanError(f"slipscan {stage} failed: {(said.read().decode().strip().splitlines() or ['?'])[-1]}")
    return Cost(stage, wall, used.ru_utime + used.ru_stime, moved, peak)


def _bytes_through_files(pid: int) -> int:
    """Read and written by a process that has ended but is not reaped; 0 where the system does not tell."""
    try:
        lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    except OSError:
        return 0
    counted = dict(line.split(": ") for line in lines)
    return int(counted["rchar"]) + int(counted["wchar"])


def _peak_bytes(pid: int) -> int:
    """Largest resident set of a process so far; 0 where it has ended or the system does not tell."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return 1024 * int(found[1]) if found else 0


def memory_bandwidth() -> float:
    """Bytes a second that a copy reads and writes, the best of ROUNDS."""
    one, other = np.ones(COPIED, np.uint8), np.empty(COPIED, np.uint8)
    times = []
    for _ in range(ROUNDS):
        start = clock.perf_counter()
        np.copyto(other, one)
        times.append(clock.perf_counter() - start)
    return 2 * COPIED / min(times)


def make_stack(path: Path, size: Size) -> None:
    """Write a stack with air, relief and one step, an epoch at a time."""
    rows, columns = np.ogrid[: size.rows, : size.columns]
    x, y = (500_000 + (np.arange(size.columns) + 0.5) * PIXEL_M, 4_500_000 - (np.arange(size.rows) + 0.5) * PIXEL_M)
    away_km2 = ((rows - size.rows / 2) ** 2 + (columns - size.columns / 2) ** 2) * (PIXEL_M / 1e3) ** 2
    event = (EVENT_M * np.exp(-away_km2 / (2 * EVENT_KM**2))).astype(np.float32)
    relief = RELIEF_M * (1 + np.sin(rows / 40) * np.cos(columns / 55))
    los = {"los_east": -0.6, "los_north": -0.11, "los_up": float(np.sqrt(1 - 0.6**2 - 0.11**2))}
    time = np.datetime64("2014-10-10", "ns") + np.arange(size.epochs) * np.timedelta64(12, "D")
    with scratch_arrays(path) as empty:
        series = _series(size, event, empty)
        dataset = xr.Dataset(
            {
                "displacement": (("time", "y", "x"), sharded(series)),
                "height": (("y", "x"), relief.astype(np.float32)),
                **{name: (("y", "x"), np.full(event.shape, value, np.float32)) for name, value in los.items()},
            },
            coords={"time": time, "reference_time": time[0]},
            attrs={"title": "benchmark", "region": "BENCH", "track": "087A", "orbit_direction": "ascending"},
        )
        write_zarr(annotate(write_grid(dataset, Grid(x, y, utm_crs(33, 40.6))), "stack"), path)


def _series(size: Size, event: np.ndarray, empty: Empty) -> np.ndarray:
    generator = np.random.default_rng(1)
    mode_std = TurbulenceSpectrum().mode_std((TORUS, TORUS), PIXEL_M)
    out = empty((size.epochs, size.rows, size.columns), np.float32)
    wrapped = np.ix_(np.arange(size.rows) % TORUS, np.arange(size.columns) % TORUS)
    first = np.zeros(event.shape, np.float32)
    for epoch in range(size.epochs):
        air = AIR_M * random_fields(generator, mode_std, (TORUS, TORUS), 1)[0][wrapped]
        air += WHITE_M * generator.standard_normal(event.shape, dtype=np.float32)
        out[epoch] = air + event * (epoch >= size.epochs // 2)
        first = first if epoch else out[0].copy()
        out[epoch] -= first
    return out


def _together(costs: Sequence[Cost], start: Cost) -> Cost:
    """Calibrate and detect, what a scan costs, as if of one process."""
    both = [cost for cost in costs if cost.stage in ("calibrate", "detect")]
    return Cost(
        "calibrate + detect",
        sum(cost.wall_s for cost in both),
        sum(cost.cpu_s for cost in both) - start.cpu_s,
        sum(cost.file_bytes for cost in both),
        max(cost.peak_bytes for cost in both),
    )


def _row(size: Size, cost: Cost, bandwidth: float, start_s: float) -> str:
    floor, own = 4 * size.pixel_epochs / bandwidth, cost.cpu_s - start_s
    rate = f"{size.pixel_epochs / own / 1e6:.3g}" if own > TOLD * start_s else "-"
    cells = [
        str(size), cost.stage, f"{cost.wall_s:.1f}", f"{cost.cpu_s:.1f}", rate,
        f"{floor:.2g}", f"{cost.wall_s / floor:,.0f}", f"{cost.file_bytes / 1e9:.2f}", f"{cost.peak_bytes / 1e9:.2f}",
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


KIND: Final = text_kind("a page of the speed of stages", "# Speed and memory of the stages")
PAGE: Final = """# Speed and memory of the stages

Written by `{command}`.

{about}.

Every row is one process of the command line on a synthetic stack (air with the power law of the atmosphere, relief, one
step of 3 cm), from its start, imports included, to its end. Million pixel-epochs a second are those of a second of one
processor beyond the start; "-" where the start is nearly all. Other work on the machine lengthens wall time more than
processor time. The floor is the time in which the
memory delivers the stack once, at the bandwidth that a copy reaches here; files count what was read and written, the
imports among it. The peak is the largest resident set, pages of mapped files included.

{table}
"""
