"""Slip along mapped faults: read from a map, projected on its pattern, found where the scan sees nothing."""

from __future__ import annotations

import dataclasses
import json
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from numpy.typing import NDArray

from detecting import FAST
from simulated import LOS, PIXEL_M, dates, grid, turbulence
from slipscan.detect import calibration as calibrations
from slipscan.detect import registry
from slipscan.detect.calibrate import calibrate_track
from slipscan.detect.calibration import Calibration
from slipscan.detect.faults.bank import KINDS, Trace, patterns, sources_along
from slipscan.detect.faults.scan import FaultScanner, fault_search
from slipscan.detect.pursuit import pursued
from slipscan.detect.ramp import Ramp
from slipscan.detect.stage import detect
from slipscan.detect.statistic import filters_of, statistics
from slipscan.detect.track import Track, track_in
from slipscan.detect.transient import FAULT, Transient
from slipscan.errors import SlipscanError
from slipscan.faults import read_faults
from slipscan.forward.okada import okada_surface
from slipscan.geometry import to_lonlat, write_grid
from slipscan.settings import DetectSettings
from slipscan.vocabulary import annotate

SHAPE, EPOCHS = (64, 72), 60
GRID = grid(SHAPE)
ENDS = np.array([[GRID.x[11], GRID.y[36]], [GRID.x[61], GRID.y[30]]])
"""Of the trace, m: 25 km that strike a little north of east."""
STRIKE_DEG = float(np.degrees(np.arctan2(*(ENDS[1] - ENDS[0]))))
STEP = 35
"""Number of the epoch of the event."""


def fault_map(path: Path, ends: NDArray[np.float64] = ENDS, **properties: object) -> str:
    """A map that draws the trace."""
    lonlat = np.column_stack(to_lonlat(ends[:, 0], ends[:, 1], GRID.crs)).tolist()
    feature = {"type": "Feature", "properties": properties, "geometry": {"type": "LineString", "coordinates": lonlat}}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    return str(path)


@lru_cache(maxsize=1)
def moved() -> NDArray[np.float64]:
    """Line-of-sight displacement (y, x) of a metre of strike-slip, 12 x 4 km, at the surface, in the trace's middle."""
    x, y = np.meshgrid(GRID.x, GRID.y)
    east, north = (torch.from_numpy(np.ravel(v)) for v in (x, y))
    middle = ENDS.mean(axis=0)
    enu = okada_surface(
        east, north, east0=middle[0], north0=middle[1], depth_top=0.0, strike_deg=STRIKE_DEG, dip_deg=90.0,
        length=12e3, width=4e3, rake_deg=180.0, slip=1.0,
    )[0].numpy()  # fmt: skip
    return (enu @ LOS).reshape(SHAPE)


def series(seed: int, slip_m: float = 0.0) -> xr.Dataset:
    """A stack with turbulence, and slip at the surface in its middle."""
    values = turbulence(np.random.default_rng(seed), EPOCHS, 6e-3, SHAPE)
    values += slip_m * moved() * (np.arange(EPOCHS) >= STEP)[:, None, None]
    variables = {"displacement": (("time", "y", "x"), values - values[0])}
    variables |= {
        f"los_{name}": (("y", "x"), np.full(SHAPE, one))
        for name, one in zip(("east", "north", "up"), LOS, strict=False)
    }
    dataset = xr.Dataset(variables, coords={"time": dates(EPOCHS), "reference_time": dates(EPOCHS)[0]})
    return annotate(write_grid(dataset, GRID), "stack")


def with_faults(path: str) -> DetectSettings:
    return FAST.model_copy(
        update={"scales_km": (0.5, 1.0, 2.0, 4.0), "faults": path, "false_alarms_per_1e4km2_yr": 0.5}
    )


def searched(dataset: xr.Dataset, path: str) -> FaultScanner:
    search = fault_search(track_in(dataset, with_faults(path))[1], with_faults(path))
    assert search is not None
    return search


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> FaultScanner:
    """The search of a track in which nothing happens."""
    return searched(series(3), fault_map(tmp_path_factory.mktemp("quiet") / "map.geojson"))


@pytest.fixture(scope="module")
def slipped(tmp_path_factory: pytest.TempPathFactory) -> tuple[DetectSettings, xr.Dataset, Track, Calibration]:
    """A track on whose fault 16 mm of slip break the surface, and its calibration."""
    settings = with_faults(fault_map(tmp_path_factory.mktemp("faults") / "map.geojson", rake=180))
    dataset, track = track_in(series(6, 0.016), settings)
    return settings, dataset, track, calibrate_track(track, settings, 1)


def test_slip_at_the_surface_is_found_along_its_fault_where_the_scan_sees_nothing(slipped) -> None:
    settings, dataset, track, calibration = slipped
    product = detect(dataset, track, settings, calibration)
    assert product["found_on_fault"].values.tolist() == [1]
    assert float(product["statistic"][0]) > float(product["threshold"][0]) == calibration.faults.threshold
    assert abs(product["t50"].values[0] - dates(EPOCHS)[STEP]) <= np.timedelta64(18, "D")
    footprint, truth = product["footprint"].values[0] == 1, np.abs(moved()) > 0.3 * np.abs(moved()).max()
    assert (footprint & truth).sum() > 0.4 * (footprint | truth).sum()
    # The map is that of the data, signed, with their noise.
    inside = product["map"].values[0][truth]
    assert 0.008 < inside @ moved()[truth] / (moved()[truth] @ moved()[truth]) < 0.032
    search = registry.build("scan").search(track, settings)
    assert not search.find(calibration.threshold)


def test_both_searches_together_have_the_stated_rate_of_false_alarms(slipped, tmp_path: Path) -> None:
    settings, dataset, track, made = slipped
    assert made.faults is not None and made.searches == 2
    assert made.stated_rate == settings.false_alarms_per_1e4km2_yr == 2 * made.false_alarms_per_1e4km2_yr
    for own in (made, made.faults):
        assert float(own.rate_above(own.threshold)) == pytest.approx(made.stated_rate / 2, rel=0.01)
    assert detect(dataset, track, settings, made).attrs["false_alarms_per_1e4km2_yr"] == made.stated_rate
    calibrations.write(tmp_path / "calibration.json", made)
    assert calibrations.read(tmp_path / "calibration.json") == made


def test_a_calibration_without_faults_is_refused_by_a_search_with_them(slipped) -> None:
    settings, dataset, track, made = slipped
    alone = dataclasses.replace(made, faults=None)
    assert "faults" not in alone.content()
    with pytest.raises(SlipscanError, match="calibrate again with them"):
        detect(dataset, track, settings, alone)


def test_a_statistic_of_noise_is_of_unit_variance(quiet: FaultScanner) -> None:
    columns = quiet.epochs.columns([Ramp(float(quiet.epochs.days[k]), d) for k, d in ((20, 0.0), (30, 48.0))])
    values = statistics(quiet.band, filters_of(columns, quiet.epochs, (), quiet.band.weight))
    assert values.std().item() == pytest.approx(1.0, abs=0.25)


def test_the_way_in_which_a_trace_is_drawn_changes_nothing_where_its_dip_is_not_known(tmp_path: Path) -> None:
    one, other = (
        searched(series(4, 0.05), fault_map(tmp_path / f"{name}.geojson", ends))
        for name, ends in (("one", ENDS), ("other", ENDS[::-1]))
    )
    (first,), (second,) = (search.find(0.0, at_most=1) for search in (one, other))
    assert first.statistic == pytest.approx(second.statistic, rel=1e-4)
    assert first.ramp.middle_d == pytest.approx(second.ramp.middle_d, abs=1e-3)
    assert first.ramp.duration_d == pytest.approx(second.ramp.duration_d, abs=1e-3)
    assert (first.footprint == second.footprint).mean() > 0.999


def test_sources_lie_along_the_trace_and_down_dip_to_its_right() -> None:
    trace = Trace(np.array([[0.0, 0.0], [0.0, 40e3]]), dip_deg=45.0, rake_deg=90.0)
    bank = sources_along([trace])
    assert [sources.kind for sources in bank] == list(KINDS)
    for sources in bank:
        assert (sources.strike_deg == 0).all() and (sources.rake_deg == 90).all()
        assert sources.north.min() >= 0 and sources.north.max() <= 40e3
        expected = 1e3 * sources.kind.top_km
        assert sources.east == pytest.approx(expected, abs=1.0) or set(sources.east) == {-1e3, 0.0, 1e3}
    assert not sources_along([Trace(np.array([[0.0, 0.0], [0.0, 2e3]]))])


def test_a_pattern_is_the_line_of_sight_of_its_source() -> None:
    sources = sources_along([Trace(ENDS - [GRID.x[0], GRID.y[0]], rake_deg=180.0)])[3]
    assert sources.kind.length_km == 12 and sources.kind.width_km == 4
    number = int(np.hypot(sources.east - 18e3, sources.north + 16.5e3).argmin())
    los = torch.from_numpy(LOS)[:, None, None].expand(3, *SHAPE)
    made = patterns(sources.some(slice(number, number + 1)), np.array([[8, 12]]), 48, los, PIXEL_M)[0]
    east, north = sources.east[number] - 18e3, sources.north[number] + 16.5e3
    assert np.hypot(east, north) < 2.5e3
    shifted = np.roll(moved(), (-round(north / PIXEL_M), round(east / PIXEL_M)), (0, 1))[8:56, 12:60]
    correlation = np.corrcoef(made.numpy().ravel(), shifted.ravel())[0, 1]
    assert correlation > 0.85 and made.shape == (48, 48)


def test_faults_out_of_sight_or_without_data_leave_all_as_it_is(tmp_path: Path) -> None:
    path = fault_map(tmp_path / "far.geojson", ENDS + np.array([0.0, 300e3]))
    _dataset, track = track_in(series(5), with_faults(path))
    assert track.traces == () and fault_search(track, with_faults(path)) is None
    here = fault_map(tmp_path / "here.geojson")
    # South of the trace there is nothing, and north of it neither within reach.
    empty = series(5)
    empty["displacement"][:, 14:52] = np.nan
    track = track_in(empty, with_faults(here))[1]
    assert track.traces and fault_search(track, with_faults(here)) is None
    blind = series(5).drop_vars([f"los_{name}" for name in ("east", "north", "up")])
    assert fault_search(track_in(blind, with_faults(here))[1], with_faults(here)) is None


def test_what_was_found_before_is_not_found_again(tmp_path: Path) -> None:
    search = searched(series(6, 0.05), fault_map(tmp_path / "map.geojson"))
    (event,) = search.find(0.0, at_most=1)
    assert event.origin == FAULT and event.statistic > 7
    scanned = Transient(event.ramp, 20.0, event.footprint)
    found = pursued([(search, 6.0)], before=[scanned])
    assert found == [scanned]
    noise = search.without([event])
    assert max(value for value, _ in noise.null_maxima("permutation", 1, 0)) < event.statistic


def test_a_tile_without_faults_has_no_false_alarm(quiet: FaultScanner) -> None:
    wide = dataclasses.replace(quiet, shape=(SHAPE[0] * 3, SHAPE[1]))
    maxima = [value for value, _ in wide.null_maxima("blocks", 1, 0)]
    assert len(maxima) == 2 and maxima[0] > 2 and maxima[1] == 0


def test_maps_of_faults_as_users_have_them(tmp_path: Path) -> None:
    gem = fault_map(tmp_path / "gem.geojson", average_dip="(60,45,70)", average_rake="(-90,,)", name="Border")
    (line,) = read_faults(Path(gem), "detect.faults")
    assert (line.name, line.dip_deg, line.rake_deg) == ("Border", 60.0, -90.0)
    (bare,) = read_faults(Path(fault_map(tmp_path / "bare.geojson", average_dip="(,,)", name=None)), "detect.faults")
    assert (bare.name, bare.dip_deg, bare.rake_deg) == ("unnamed", None, None)
    with pytest.raises(SlipscanError, match="Steep a dip of 120 degrees"):
        read_faults(Path(fault_map(tmp_path / "bad.geojson", dip=120, name="Steep")), "detect.faults")
    with pytest.raises(SlipscanError, match=r"check detect\.faults"):
        track_in(series(8), with_faults(str(tmp_path / "none.geojson")))


def test_the_series_of_a_track_is_no_copy_of_its_masks(tmp_path: Path) -> None:
    """An epoch that lacks most of a pattern is no data of that source."""
    dataset = series(9)
    dataset["displacement"][30, :, 32:] = np.nan
    band = searched(dataset, fault_map(tmp_path / "map.geojson")).band
    known = band.known()
    east = torch.from_numpy(band.middles[:, 1] > 44)
    assert not known[30, east].any() and known[30, band.middles[:, 1] < 20].all() and known[29].all()
