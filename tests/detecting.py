"""Quick settings of detection, and bands made by hand."""

import numpy as np
import torch

from slipscan.detect import registry
from slipscan.detect.bands import Band, band_of
from slipscan.detect.scan import Scanner
from slipscan.detect.track import Track
from slipscan.settings import DetectSettings

FAST = DetectSettings(nulls=8, durations_d=(0.0, 48.0), scales_km=(0.5, 2.0), false_alarms_per_1e4km2_yr=1.0)


def scanner_of(track: Track, settings: DetectSettings = FAST) -> Scanner:
    search = registry.build("scan").search(track, settings)
    assert isinstance(search, Scanner)
    return search


def complete(values: np.ndarray, shape: tuple[int, int], place_km2: float = 1.0, cell_km2: float = 1.0) -> Band:
    series = torch.from_numpy(values.astype("f4"))
    return band_of(series, torch.ones_like(series, dtype=torch.bool), shape, 0, place_km2, cell_km2)
