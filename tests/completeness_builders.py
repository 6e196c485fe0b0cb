"""Stacks of white noise with a line of sight, and calibrations of a stated threshold."""

import numpy as np
import xarray as xr

from simulated import LOS, dates, grid
from slipscan.completeness.stage import Opened
from slipscan.detect.calibration import Calibration
from slipscan.detect.tail import Tail
from slipscan.detect.track import track_in
from slipscan.geometry import write_grid
from slipscan.settings import CompletenessSettings, DetectSettings
from slipscan.vocabulary import annotate

SHAPE = (48, 48)
EPOCHS = 32
THRESHOLD = 6.0
ONE = CompletenessSettings(places=1, depths_km=(3.0,), durations_d=(30.0,), kinds=("strike_slip",), injections=6)
DETECTION = DetectSettings(scales_km=(1.0, 2.0))


def white_stack(
    std_m: float = 5e-3, seed: int = 0, los: np.ndarray = LOS, track: str = "087A", **attrs: float
) -> xr.Dataset:
    """Noise that is white in time and space."""
    generator = np.random.default_rng(seed)
    values = generator.normal(0, std_m, (EPOCHS, *SHAPE))
    dataset = xr.Dataset(
        {
            "displacement": (("time", "y", "x"), (values - values[0]).astype("f4")),
            **{f"los_{name}": (("y", "x"), np.full(SHAPE, value, "f4"))
               for name, value in zip(("east", "north", "up"), los, strict=True)},
        },
        coords={"time": dates(EPOCHS), "reference_time": dates(EPOCHS)[0]},
        attrs={"region": "TEST", "track": track, **attrs},
    )  # fmt: skip
    return annotate(write_grid(dataset, grid(SHAPE)), "stack")


def calibration(threshold: float = THRESHOLD) -> Calibration:
    tails = {kind: Tail(threshold, 0.1, 0.0, 1.0) for kind in ("permutation", "blocks")}
    return Calibration(tails, 0.1, threshold, threshold, threshold, 1.0, 10.0, 32, 1, "2019-04-17")


def opened(dataset: xr.Dataset, threshold: float = THRESHOLD) -> Opened:
    seen, track = track_in(dataset, DETECTION)
    return seen, track, calibration(threshold)
