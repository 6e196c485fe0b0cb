"""What the inversion would take if everything but its bytes and products were free: this machine's limits, measured.

    python benchmarks/inversion/floor.py STACK

Prints JSON and writes floor.json beside the results: memory bandwidth, product rates of one core, the time in which
the stack's bytes and products pass, and what reading the input and writing the output alone take with slipscan's files.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import measure

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Measure the limits for one stack."""
    measure.limit_threads(1)
    import numpy as np
    import xarray as xr

    from slipscan.store import open_zarr, write_zarr

    stack = Path(sys.argv[1])
    about = json.loads((stack / "stack.json").read_text(encoding="utf-8"))
    pixels, pairs, epochs = about["pixels"] ** 2, about["pairs"], about["epochs"]
    generator = np.random.default_rng(0)
    estimator = generator.standard_normal((epochs - 1, pairs))
    data = generator.standard_normal((pairs, 65536))
    big = np.ones(2**25)
    into = np.empty_like(big)
    found: dict[str, float] = {"pixels": about["pixels"]}
    found["copy_gb_s"] = 2e-9 * big.nbytes / least(lambda: np.copyto(into, big))
    operations = 2e-9 * estimator.size * data.shape[1]
    single = estimator.astype(np.float32), data.astype(np.float32)
    found["gflop_s_float64"] = operations / least(lambda: estimator @ data)
    found["gflop_s_float32"] = operations / least(lambda: single[0] @ single[1])
    moved = 4e-9 * pixels * (pairs + 2 * epochs + 2)  # phase in; displacement, its deviation and two maps out
    found["gb_moved"], found["gflop"] = moved, 2e-9 * estimator.size * pixels
    found["bytes_s"], found["product_s"] = moved / found["copy_gb_s"], found["gflop"] / found["gflop_s_float64"]
    found["read_zarr_s"] = least(lambda: open_zarr(stack / "slipscan.zarr")["interferogram"].load(), 3)
    found["read_npy_s"] = least(lambda: np.load(stack / "insar_rs" / "phase.npy"), 3)
    truth = np.load(stack / "truth.npy")
    days = np.datetime64("2020-01-03", "ns") + np.arange(epochs) * np.timedelta64(12, "D")
    layers = {name: (("time", "y", "x"), truth * factor) for name, factor in (("a", 1.0), ("b", 0.1))}
    with tempfile.TemporaryDirectory(dir=stack) as beside:
        out = xr.Dataset({n: (d, v.astype("f4")) for n, (d, v) in layers.items()}, coords={"time": days})
        found["write_zarr_s"] = least(lambda: write_zarr(out, Path(beside) / "out.zarr"), 3)
    text = json.dumps({key: round(value, 4) for key, value in found.items()}, indent=1)
    print(text)
    (HERE / "floor.json").write_text(text + "\n", encoding="utf-8")


def least(call: Callable[[], object], repeats: int = 7) -> float:
    """Return the least time of several calls, s."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


if __name__ == "__main__":
    main()
