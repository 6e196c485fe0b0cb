"""Invert a stack with MintPy's `ifgram_inversion`; with two threads or more, by as many Dask workers.

    /tmp/peers/mintpy/bin/python run_mintpy.py STACK OUT [--weights coherence] [--threads 2]

Weights 'fim' (Fisher information: 2 L g^2 / (1 - g^2)) are slipscan's 'coherence', but for every pixel. With workers,
the solver runs in their processes: its time is unknown, and the peak memory is that of the largest process.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import measure


def main() -> None:
    """Invert and measure."""
    options = measure.arguments(__doc__)
    import dask
    import mintpy.ifgram_inversion as inversion
    from mintpy.cli.ifgram_inversion import cmd_line_parse

    command = [
        str((options.stack / "mintpy" / "inputs" / "ifgramStack.h5").resolve()),
        *("-w", {"uniform": "no", "coherence": "fim"}[options.weights]),
        *("-o", "timeseries.h5", "temporalCoherence.h5", "numInvIfgram.h5"),
    ]
    if options.threads > 1:
        command += ["-c", "local", "--num-worker", str(options.threads)]
        dask.config.set({"distributed.comm.timeouts.connect": "60s"})
    solver = measure.Solver()
    inversion.estimate_timeseries = solver.wrap(inversion.estimate_timeseries)

    def invert() -> None:
        """Run as the command line does, in the output directory, with its messages in a file."""
        with contextlib.chdir(options.out), Path("log").open("w") as log, contextlib.redirect_stdout(log):
            inversion.run_ifgram_inversion(cmd_line_parse(command))

    said = {"settings": " ".join(command[1:]), "output": "timeseries.h5"}
    measure.report("mintpy", options, invert, solver, **said)


if __name__ == "__main__":
    main()
