from pathlib import Path

import numpy as np
import pytest

from detecting import FAST, scanner_of
from simulated import dates, stack_dataset
from slipscan import vocabulary
from slipscan.denoise.registry import build as build_denoiser
from slipscan.detect import calibrate as calibrate_stage
from slipscan.detect import registry, stage
from slipscan.detect.maps import amplitude_maps
from slipscan.detect.ramp import Ramp
from slipscan.detect.track import track_of
from slipscan.detect.transient import Transient
from slipscan.errors import SlipscanError
from slipscan.fit.model import days_since_2014
from slipscan.settings import DenoiseSettings, DetectSettings
from slipscan.stack import observation_of
from slipscan.store import same_store


def test_a_planted_event_is_found_once_and_an_empty_stack_is_empty() -> None:
    dataset = stack_dataset(epochs=40, seed=3, event_m=0.03, missing=0.05)
    planted = track_of(observation_of(dataset), FAST)
    out = stage.detect(dataset, planted, FAST, calibrate_stage.calibrate_track(planted, FAST, threads=2))
    vocabulary.check(out, "transients")
    assert out.sizes["transient"] == 1 and out.attrs["detector"] == "scan"
    middle = dates(40)[20] - np.timedelta64(6, "D")
    assert abs(out["t50"].values[0] - middle) <= np.timedelta64(12, "D")
    # The map is not shrunk: the planted lobes are +30 and -30 mm, under 6 mm of turbulence per epoch.
    assert 0.018 < out["map"].values[0, 18, 26] < 0.042 and -0.042 < out["map"].values[0, 30, 26] < -0.018
    footprint = out["footprint"].values[0]
    assert footprint[18, 26] and footprint[30, 26] and not footprint[45, 3]
    # Of 8 nulls no smaller one is believed, and that is said.
    assert out["p_value"].values[0] < 0.013 and out["p_is_bound"].values[0]
    dataset = stack_dataset(epochs=40, seed=3, missing=0.05)
    quiet = track_of(observation_of(dataset), FAST)
    calibration = calibrate_stage.calibrate_track(quiet, FAST, threads=1)
    assert stage.detect(dataset, quiet, FAST, calibration).sizes["transient"] == 0


def test_two_events_at_one_place_are_two() -> None:
    dataset = stack_dataset(epochs=60, seed=5, event_m=0.03)
    bump = dataset["displacement"].values[-1] * 0
    yy, xx = np.indices(bump.shape)
    bump = 0.03 * np.exp(-((yy - 18) ** 2 + (xx - 26) ** 2) / (2 * 4.0**2))
    dataset["displacement"].values[12:] += bump.astype("f4")
    track = track_of(observation_of(dataset), FAST)
    found = scanner_of(track).find(floor=6.0)
    assert len(found) == 2
    days = track.epochs.days
    assert sorted(round(t.ramp.middle_d) for t in found) == pytest.approx([days[12] - 6, days[30] - 6], abs=12)


def test_a_map_holds_its_own_event_beside_a_stronger_one() -> None:
    dataset = stack_dataset(epochs=100, seed=5, event_m=0.06)
    rows, columns = np.indices(dataset["displacement"].shape[1:])
    bump = 0.03 * np.exp(-((rows - 18) ** 2 + (columns - 26) ** 2) / (2 * 4.0**2))
    dataset["displacement"].values[20:] += bump.astype("f4")
    track = track_of(observation_of(dataset), FAST)
    out = stage.detect(dataset, track, FAST, calibrate_stage.calibrate_track(track, FAST, threads=1))
    assert out.sizes["transient"] == 2 and list(out["statistic"].values) == sorted(out["statistic"].values)[::-1]
    strong, weak = out["map"].values
    # The lobes of the first are at rows 18 and 30; the second is at row 18 alone.
    assert strong[18, 26] == pytest.approx(0.06, abs=0.012) and strong[30, 26] == pytest.approx(-0.06, abs=0.012)
    assert weak[18, 26] == pytest.approx(0.03, abs=0.012) and weak[30, 26] == pytest.approx(0.0, abs=0.012)
    alone = amplitude_maps(track, [Ramp(days_since_2014(dates(100))[20] - 6, 0.0)])[0][0]
    assert abs(weak[30, 26]) < 0.5 * abs(alone[30, 26])  # what it would hold of the first


def test_a_foreign_stack_of_displacement_alone_is_enough(tmp_path: Path) -> None:
    dataset = stack_dataset(epochs=20).drop_vars("reference_time")
    dataset.attrs = {}
    dataset.isel(y=slice(None, None, -1)).astype("f8").assign(
        displacement=lambda d: d["displacement"].assign_attrs(units="m")
    ).to_netcdf(tmp_path / "stack.nc", engine="netcdf4")
    for name in ("a", "b"):
        stage.write_transients(tmp_path / "stack.nc", tmp_path / f"{name}.zarr", FAST)
    assert same_store(tmp_path / "a.zarr", tmp_path / "b.zarr")


def test_scales_below_the_pixel_are_refused() -> None:
    with pytest.raises(SlipscanError, match=r"all below the pixel of 0\.5 km"):
        track_of(observation_of(stack_dataset(epochs=20)), DetectSettings(scales_km=(0.1, 0.2)))


def test_a_coarse_grid_finds_what_the_fine_one_finds_and_maps_it_at_full_resolution() -> None:
    dataset = stack_dataset(epochs=100, seed=3, event_m=0.03, missing=0.05)
    settings = DetectSettings(nulls=8, durations_d=(0.0, 48.0), scales_km=(2.0,), false_alarms_per_1e4km2_yr=1.0)
    track = track_of(observation_of(dataset), settings)
    assert track.factor == 3 and track.coarse.shape == (16, 19)
    found = scanner_of(track, settings).find(floor=1.0, at_most=1)[0]
    assert abs(found.ramp.middle_d - (days_since_2014(dates(100))[50] - 6)) <= 12
    amplitude, std = amplitude_maps(track, [found.ramp])
    assert amplitude.shape == (1, 48, 56)
    fine = track_of(observation_of(dataset), FAST)
    expected, _ = amplitude_maps(fine, [found.ramp])
    inside = np.isfinite(amplitude) & np.isfinite(expected)
    assert inside.mean() > 0.9
    # The same but for the delay, which is fitted on blocks here.
    assert np.abs(amplitude - expected)[inside].max() < 0.3 * std[inside].max()


def test_the_field_detector_asks_the_denoiser_and_says_so() -> None:
    dataset = stack_dataset(epochs=120, seed=3, event_m=0.03)
    chosen = DenoiseSettings()
    settings = DetectSettings(method="field", nulls=8, durations_d=(0.0, 48.0), scales_km=(0.5, 2.0))
    track = track_of(observation_of(dataset), settings, build_denoiser(chosen))
    search = registry.build("field").search(track, settings)
    strongest = search.find(floor=0.0)[0]
    # dates(n)[20] is where the event begins, whatever n.
    assert isinstance(strongest, Transient)
    assert abs(strongest.ramp.middle_d - (days_since_2014(dates(120))[60] - 6)) <= 48
    noise = search.without([strongest])
    nulls = [value for index in range(3) for value, _ in noise.null_maxima("permutation", 1, index)]
    assert search.candidates and strongest.statistic > 1.5 * max(nulls)
    with pytest.raises(SlipscanError, match="there is no detector 'none': slipscan knows scan, field"):
        registry.build("none")
