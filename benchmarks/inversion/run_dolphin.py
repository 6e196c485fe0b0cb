"""Invert a stack with dolphin's `timeseries.invert_stack`, between its own readers and writers.

    /tmp/peers/dolphin/bin/python run_dolphin.py STACK OUT [--weights coherence] [--norm L1] [--threads 2]

All valid and uniform, or L1: `invert_unw_network`, dolphin's function from files to files. Otherwise the loop of that
function is repeated here around `invert_stack`, since `invert_unw_network` blanks every pixel that lacks one
interferogram, and takes the phase variance itself as weight (see docs/benchmarks/inversion.md).
"""

from __future__ import annotations

import argparse
from typing import Any

import measure


def main() -> None:
    """Invert and measure."""
    options = measure.arguments(__doc__)
    import jax
    from dolphin import timeseries

    own = options.norm == "L1" or (options.about["missing_share"] == 0 and options.weights == "uniform")
    # dolphin's default block, smaller where every pixel has a matrix of its own
    side = 256 if options.weights == "uniform" else 128
    solver = measure.Solver()
    for name in ("invert_stack", "invert_stack_l1"):
        setattr(timeseries, name, solver.wrap(getattr(timeseries, name), jax.block_until_ready))
    said = {
        "settings": f"{'invert_unw_network' if own else 'invert_stack'}, block {side}, {options.threads} threads",
        "output": ".",
    }
    call = network_inversion if own else stack_inversion
    measure.report("dolphin", options, lambda: call(options, (side, side)), solver, **said)


def network_inversion(options: argparse.Namespace, block: tuple[int, int]) -> None:
    """Call dolphin's own function from files to files."""
    from dolphin import timeseries

    timeseries.invert_unw_network(
        sorted((options.stack / "dolphin").glob("*.unw.tif")),
        timeseries.ReferencePoint(*options.about["reference"]),
        options.out,
        wavelength=options.about["wavelength_m"],
        method=timeseries.InversionMethod(options.norm),
        block_shape=block,
        num_threads=options.threads,
    )


def stack_inversion(options: argparse.Namespace, block: tuple[int, int]) -> None:
    """Read blocks, call `invert_stack` with weights or with flags of valid data, write."""
    import numpy as np
    from dolphin import io, timeseries
    from opera_utils import get_dates

    unwrapped = sorted((options.stack / "dolphin").glob("*.unw.tif"))
    pairs = [get_dates(path)[:2] for path in unwrapped]
    dates = sorted({day for pair in pairs for day in pair})
    matrix = timeseries.get_incidence_matrix(pairs, dates)
    files = {"unw": unwrapped}
    if options.weights == "coherence":
        files["cor"] = sorted((options.stack / "dolphin").glob("*.cor.tif"))
    readers = [
        io.VRTStack(paths, outfile=options.out / f"{name}.vrt", skip_size_check=True, read_masked=name == "unw")
        for name, paths in files.items()
    ]
    row, column = options.about["reference"]
    reference = np.asarray(readers[0][:, row, column]).reshape(-1, 1, 1)
    factor = -options.about["wavelength_m"] / (4 * np.pi)

    def solve(readers: list[Any], rows: slice, cols: slice) -> tuple[Any, slice, slice]:
        observed = readers[0][:, rows, cols]
        valid = ~np.ma.getmaskarray(observed)
        observed = (observed - reference).filled(0)
        if len(readers) == 2:
            g2 = np.clip(readers[1][:, rows, cols], 0.05, 0.99) ** 2
            phase, residuals = timeseries.invert_stack(matrix, observed, np.where(valid, g2 / (1 - g2), 0))
        else:
            # Without weights, whatever they are, `invert_stack` does not look at the flags.
            phase, residuals = timeseries.invert_stack(matrix, observed, np.ones_like(observed), valid)
        return np.vstack([factor * np.asarray(phase), np.asarray(residuals)[None]]), rows, cols

    names = [f"{dates[0]:%Y%m%d}_{day:%Y%m%d}.tif" for day in dates[1:]]
    writer = io.BackgroundStackWriter(
        [options.out / name for name in [*names, "unw_inversion_residuals.tif"]],
        like_filename=unwrapped[0],
        nodata=np.nan,
    )
    io.process_blocks(readers, writer, solve, block_shape=block, num_threads=options.threads)
    writer.notify_finished()


if __name__ == "__main__":
    main()
