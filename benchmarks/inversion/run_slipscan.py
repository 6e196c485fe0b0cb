"""Invert a stack with `slipscan timeseries`; set PYTHONPATH to measure another state of the source.

    python run_slipscan.py STACK OUT [--weights coherence] [--threads 2] [--set key=value ...]

The command line is called within this process, so that memory and solver can be measured.
"""

from __future__ import annotations

import inspect
import sys

import measure

LIKE_THE_OTHERS = {
    "reference_radius_m": 120,
    "min_reference_pixels": 1,
    "min_coherence": 0,
    "min_pair_fraction": 0.01,
    "min_temporal_coherence": 0,
    "unwrapping_errors": "report",
    "max_phase_bias_mm_yr": "null",
}
"""One reference pixel, and no mask but the missing data themselves."""


def main() -> None:
    """Invert and measure."""
    options = measure.arguments(__doc__)
    # Imported here, as in every runner: the threads must be limited before.
    import slipscan.timeseries.stage  # (the command line imports it lazily)
    from slipscan.cli import app, timeseries
    from slipscan.settings import TimeseriesSettings

    asked = {"weights": options.weights, "norm": options.norm.lower()} | LIKE_THE_OTHERS
    known = TimeseriesSettings.model_fields  # an earlier state of the source may lack some
    if options.norm == "L1" and "norm" not in known:
        raise SystemExit("this slipscan has no L1 norm")
    settings = [f"{key}={value}" for key, value in asked.items() if key in known]
    command = ["timeseries", str(options.stack / "slipscan.zarr"), str(options.out / "stack.zarr")]
    for setting in [*settings, *options.settings]:
        command += ["--set", setting]
    if "threads" in inspect.signature(timeseries).parameters:
        command += ["--threads", str(options.threads)]
    solver = measure.Solver()
    for name in ("interferograms", "tile"):  # where it is called from, in the past and now
        module = sys.modules.get(f"slipscan.timeseries.{name}")
        if module and hasattr(module, "invert"):
            module.invert = solver.wrap(module.invert)
    said = {"settings": " ".join(command[3:]), "source": slipscan.__path__[0], "output": "stack.zarr"}
    measure.report("slipscan", options, lambda: app(command, standalone_mode=False), solver, **said)


if __name__ == "__main__":
    main()
