"""The noise stage: a stack in, what the air does in it out."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from slipscan import vocabulary
from slipscan.geometry import read_grid
from slipscan.noise.estimate import NoiseEstimate, measure
from slipscan.noise.parameters import UNKNOWN, at_border, parameters
from slipscan.outputs import check_outputs, store_kind
from slipscan.settings import NoiseSettings
from slipscan.stack import add_history, observation_of, open_stack
from slipscan.store import write_zarr

log = logging.getLogger(__name__)


def write_noise(stack: Path, out: Path, settings: NoiseSettings) -> None:
    """Estimate the noise of the stack at `stack`, tile by tile, and write the noise product to `out`."""
    check_outputs([(out, store_kind("noise"))], [stack])
    result = estimate_noise(open_stack(stack, in_memory=False), settings)
    if UNKNOWN not in result.attrs:
        log.info(
            "median epoch RMS %.1f mm, exponent %.2f, white floor %.1f mm",
            1e3 * float(result["epoch_rms"].median()), float(result["exponent"]), 1e3 * float(result["white_std"]),
        )  # fmt: skip
    write_zarr(result, out)


def estimate_noise(dataset: xr.Dataset, settings: NoiseSettings) -> xr.Dataset:
    """The noise product of a stack, from what rate and season leave of it."""
    dx, dy = read_grid(dataset).spacing
    found = measure(observation_of(dataset), (dy, dx), settings.spectrum_bins)
    out = dataset_of(found, dataset["time"].values)
    out.attrs = dataset.attrs | out.attrs
    add_history(out, "noise: turbulence, slope with height, ramps and white floor of the residual, red part in time")
    out = vocabulary.annotate(out, "noise")
    vocabulary.check(out, "noise")
    return out


def dataset_of(found: NoiseEstimate, time: NDArray[np.datetime64]) -> xr.Dataset:
    """What was measured of the noise of epochs (time,), under the names of the product."""
    out = xr.Dataset(
        {
            "epoch_rms": ("time", found.epoch_rms),
            "power_spectrum": ("wavenumber", found.power),
            "band_std": (("time", "band"), found.band_std),
            **{name: ((), value) for name, value in parameters(found).items()},
            "bounded": ((), vocabulary.flags("noise", "bounded", _said(found))),
        },
        coords={
            "time": time,
            "wavenumber": ("wavenumber", found.wavenumber, {"units": "1/km", "long_name": "cycles per km"}),
            "band": ("band", found.band_m / 1e3, {"units": "km", "long_name": "larger width of the two Gaussians"}),
        },
        attrs={"title": "noise"} | ({UNKNOWN: found.lacking} if found.turbulence is None else {}),
    )
    if found.turbulence is not None:
        out["turbulence_epoch_std"] = ("time", found.turbulence.epoch_std)
    if (temporal := found.temporal) is not None:
        out["band_white_std"] = (("time", "band"), temporal.white_std)
        out["red_variance"] = ("band", temporal.red)
        out["red_variance_error"] = ("band", temporal.red_error)
        out["red_averaging"] = ("band", temporal.averaging_d)
    if found.stratified is not None:
        out["stratified_slope"] = ("time", found.stratified.slope)
        out["stratified_slope_error"] = ("time", found.stratified.slope_error)
    return out


def _said(found: NoiseEstimate) -> frozenset[str]:
    """Estimates that a bound set; says in the log which, and what is unknown."""
    if found.turbulence is None:
        log.warning("turbulence, white floor and ramps stay unknown: %s", found.lacking)
    if bounded := at_border(found):
        log.warning(
            "set by a bound and not by the data (flagged in the product's 'bounded'): %s", ", ".join(sorted(bounded))
        )
    return bounded
