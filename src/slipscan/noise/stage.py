"""The noise stage: a stack in, what the air does in it out."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import xarray as xr

from slipscan import seriesmodel, vocabulary
from slipscan.geometry import read_grid
from slipscan.noise.estimate import epoch_rms, spectrum, stratified_slope
from slipscan.settings import NoiseSettings
from slipscan.stack import add_history, heights, open_stack, segments
from slipscan.store import write_zarr

log = logging.getLogger(__name__)


def run(stack: Path, out: Path, settings: NoiseSettings) -> None:
    """Estimate the noise of the stack at `stack` and write the noise product to `out`."""
    result = estimate_noise(open_stack(stack), settings)
    log.info(
        "median epoch RMS %.1f mm, exponent %.2f, white floor %.1f mm",
        1e3 * float(result["epoch_rms"].median()), float(result["exponent"]), 1e3 * float(result["white_std"]),
    )  # fmt: skip
    write_zarr(result, out)


def estimate_noise(dataset: xr.Dataset, settings: NoiseSettings) -> xr.Dataset:
    """The noise product of a stack, from what rate and season leave of it."""
    displacement = dataset["displacement"].values
    series = displacement.reshape(len(displacement), -1).astype(float)
    matrix, _ = seriesmodel.design_matrix(dataset["time"].values, segments(dataset))
    residual = series - matrix @ seriesmodel.fit(matrix, series)
    pixel_m = float(np.mean(read_grid(dataset).spacing))
    in_space = spectrum(residual.reshape(displacement.shape), pixel_m, settings.spectrum_bins)
    out = xr.Dataset(
        {
            "epoch_rms": ("time", epoch_rms(residual)),
            "power_spectrum": ("wavenumber", in_space.power),
            "white_std": ((), in_space.white_std),
            "exponent": ((), in_space.exponent),
        },
        coords={
            "time": dataset["time"],
            "wavenumber": (
                "wavenumber",
                in_space.wavenumber,
                {"units": "1/km", "long_name": "cycles per km"},
            ),
        },
        attrs=dict(dataset.attrs),
    )
    height = heights(dataset)
    if height is not None:
        out["stratified_slope"] = ("time", stratified_slope(residual, height.ravel()))
    out.attrs["title"] = "noise"
    add_history(out, "noise: epoch RMS, slope with height, isotropic spectrum of the residual")
    out = vocabulary.annotate(out, "noise")
    vocabulary.check(out, "noise")
    return out
