"""What every runner measures about itself; needs the standard library only, so that it runs in any peer's environment.

    RUNNER STACK OUT --weights uniform|coherence --norm L2|L1 --threads N

A runner prints one line of JSON last: wall_s of the call that reads, inverts and writes (imports apart), processor_s
of it (all threads and workers), solve_s of the solver inside of it (the time that at least one thread was in it), peak
memory of the process, versions, settings.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import resource
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

STARTED = time.perf_counter()


def arguments(description: str | None) -> argparse.Namespace:
    """Read a runner's command line; before any numerical import, since it limits the threads."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stack", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", choices=["uniform", "coherence"], default="uniform")
    parser.add_argument("--norm", choices=["L2", "L1"], default="L2")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--set", dest="settings", action="append", default=[], help="slipscan: key=value")
    options = parser.parse_args()
    limit_threads(options.threads)
    options.about = json.loads((options.stack / "stack.json").read_text(encoding="utf-8"))
    shutil.rmtree(options.out, ignore_errors=True)
    options.out.mkdir(parents=True)
    return options


def limit_threads(threads: int) -> None:
    """Give the process and all its pools this many threads and, where the system can, cores."""
    for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMBA", "RAYON"):
        os.environ[f"{name}_NUM_THREADS"] = str(threads)
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[-threads:])


class Solver:
    """Counts the time that at least one thread spends in wrapped functions."""

    def __init__(self) -> None:
        self.spans: list[tuple[float, float]] = []
        self._lock = threading.Lock()

    def wrap(self, function: Callable[..., Any], finish: Callable[[Any], Any] = lambda result: result) -> Any:
        """Return a function that does the same and notes when; `finish` waits for lazy results."""

        def timed(*args: Any, **keywords: Any) -> Any:
            start = time.perf_counter()
            result = finish(function(*args, **keywords))
            with self._lock:
                self.spans.append((start, time.perf_counter()))
            return result

        return timed

    def seconds(self) -> float | None:
        """Return the length of the union of all spans; None when nothing was called."""
        total, end = 0.0, 0.0
        for start, stop in sorted(self.spans):
            total += max(0.0, stop - max(start, end))
            end = max(end, stop)
        return total if self.spans else None


def peak_mib() -> float:
    """Return the largest resident set of this process or of its largest child, MiB."""
    status = Path("/proc/self/status")
    scale = 2**20 if platform.system() == "Darwin" else 2**10
    if status.exists():  # getrusage counts what the parent held when it forked this process
        own = next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    else:
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / scale


def processor_s() -> float:
    """Return the processor time of this process and its ended children, all threads, s."""
    return sum(os.times()[:4])


def report(
    tool: str, options: argparse.Namespace, call: Callable[[], None], solver: Solver | None, **said: object
) -> None:
    """Time the call and print the line of JSON; import everything before."""
    imports = time.perf_counter() - STARTED
    before = peak_mib()
    start, processor = time.perf_counter(), processor_s()
    call()
    wall, processor = time.perf_counter() - start, processor_s() - processor
    names = (tool, "numpy", "scipy", "jax", "zarr", "h5py")
    line = {
        "tool": tool,
        "variant": options.about["variant"],
        "pixels": options.about["pixels"],
        "weights": options.weights,
        "norm": options.norm,
        "threads": options.threads,
        "wall_s": wall,
        "solve_s": solver.seconds() if solver else None,
        "processor_s": processor,
        "import_s": imports,
        "peak_mib": peak_mib(),
        "imported_mib": before,
        "versions": {name: version for name in names if (version := _version(name))},
        **said,
    }
    print(json.dumps(line), flush=True)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
