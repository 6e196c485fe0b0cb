"""Invert a stack with insar-rs' `invert_sbas`: an array in memory, loaded from and saved to .npy.

    /tmp/peers/insar_rs/bin/python run_insar_rs.py STACK OUT [--threads 2]

It has no weights, and returns the displacement only.
"""

from __future__ import annotations

import json

import measure


def main() -> None:
    """Invert and measure."""
    options = measure.arguments(__doc__)
    if options.weights != "uniform" or options.norm != "L2":
        raise SystemExit("insar-rs has neither weights nor an L1 norm")
    import insar_rs
    import numpy as np

    solver = measure.Solver()
    invert_sbas = solver.wrap(insar_rs.invert_sbas)

    def invert() -> None:
        """Load, reference to the one pixel, invert, save."""
        network = json.loads((options.stack / "insar_rs" / "pairs.json").read_text(encoding="utf-8"))
        phase = np.load(options.stack / "insar_rs" / "phase.npy")
        row, column = options.about["reference"]
        phase -= phase[:, row, column][:, None, None].copy()
        wavelength = network["wavelength_m"]
        series = invert_sbas(
            phase, network["reference"], network["secondary"], network["days"], wavelength_m=wavelength
        )
        np.save(options.out / "series.npy", series)

    measure.report("insar-rs", options, invert, solver, settings="invert_sbas", output="series.npy")


if __name__ == "__main__":
    main()
