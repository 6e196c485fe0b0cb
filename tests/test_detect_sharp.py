"""Slip that breaks the surface: found where it jumps from pixel to pixel, without a map of faults."""

import numpy as np
import xarray as xr

from detecting import FAST, complete, scanner_of
from simulated import stack_dataset
from slipscan.detect import calibrate, stage
from slipscan.detect.ramp import Epochs
from slipscan.detect.ruptures import scanned
from slipscan.detect.scan import Scanner
from slipscan.detect.tail import fit_tail
from slipscan.detect.track import track_of
from slipscan.stack import observation_of

ROW, FIRST, LAST = 24, 10, 34


def rupture(slip_m: float, seed: int = 3) -> xr.Dataset:
    """A stack with a vertical fault between two rows, shallow slip on it in the middle of the series."""
    dataset = stack_dataset(epochs=60, seed=seed)
    across = np.arange(dataset.sizes["y"]) - ROW + 0.5
    moved = slip_m / np.pi * np.arctan2(1.0, across)  # from the surface to a depth of one pixel
    moved = np.where(across < 0, moved - slip_m, moved)
    dataset["displacement"].values[30:, :, FIRST:LAST] += moved[:, None].astype("f4")
    return dataset


def test_shallow_slip_is_found_in_the_sharpest_band_and_nothing_without_it() -> None:
    found = {}
    for slip in (0.0, 40e-3):
        dataset = rupture(slip)
        track = track_of(observation_of(dataset), FAST)
        assert track.scales_km[0] == 0.4 * 0.5 and tuple(track.scales_km[1:]) == FAST.scales_km
        calibration = calibrate.calibrate_track(track, FAST, threads=1)
        found[slip] = stage.detect(dataset, track, FAST, calibration)
    assert found[0.0].sizes["transient"] == 0
    out = found[40e-3]
    assert out.sizes["transient"] == 1
    rows, columns = np.nonzero(out["footprint"].values[0])
    assert abs(rows.mean() - ROW + 0.5) < 3 and abs(columns.mean() - (FIRST + LAST - 1) / 2) < 3
    assert out["peak_positive"].item() > 1e-3 and out["peak_negative"].item() < -1e-3


def test_the_sharpest_band_tells_of_no_ground_where_something_was_found() -> None:
    dataset = rupture(26e-3)
    rows, columns = np.indices(dataset["displacement"].shape[1:])
    track = track_of(observation_of(dataset), FAST)
    (alone,) = scanned(scanner_of(track), 4.0, [])
    for row, known in ((ROW, 1), (42, 2)):
        bump = 0.06 * np.exp(-((rows - row) ** 2 + (columns - 22) ** 2) / (2 * 5.0**2))
        other = dataset.copy(deep=True)
        other["displacement"].values[12:] += bump.astype("f4")
        search = scanner_of(track_of(observation_of(other), FAST))
        found = scanned(search, 4.0, [])
        assert len(found) == known
        assert abs(found[0].ramp.middle_d - alone.ramp.middle_d) > 100, "the broad one goes first"


def test_pieces_of_a_rupture_are_one_cluster_and_scattered_ones_are_none() -> None:
    """Lobes that are smaller than a footprint count where, near one another, they are as large as one."""
    values = np.random.default_rng(0).normal(size=(40, 30 * 40)).reshape(40, 30, 40)
    scattered, near = values.copy(), values.copy()
    for number in range(4):
        scattered[20:, 3 + 8 * (number % 3), 3 + 11 * number : 5 + 11 * number] += 14.0
        near[20:, 10, 5 + 4 * number : 7 + 4 * number] += 14.0
    epochs = Epochs(stack_dataset(epochs=40)["time"].values)
    settings = FAST.model_copy(update={"min_area_km2": 2.0, "pixel_threshold": 4.5})
    for series, many in ((near, True), (scattered, False)):
        band = complete(series.reshape(40, -1), (30, 40), place_km2=0.25, cell_km2=0.5)
        cluster = Scanner([band], epochs, (30, 40), 0.5, settings).strongest()
        assert (cluster is not None) is many
        assert cluster is None or len(cluster.places) == 8


def test_an_event_far_above_few_nulls_of_many_sizes_is_no_chance() -> None:
    """The tail is that of squares: nulls from 0 to 3 do not make 7 likely, though their mean excess is 1.5."""
    maxima = np.array([2.4, 0.7, 0.0, 1.5, 3.1, 0.5, 0.0, 0.9])
    tail = fit_tail(maxima, 1.0)
    assert float(tail.rate_above(7.0)) < 1e-4
    assert 0.05 < float(tail.rate_above(3.1)) < 0.3
