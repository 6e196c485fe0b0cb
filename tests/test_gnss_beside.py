"""What stands beside the verdict: the joint source, agreement of series, figures."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from event_builders import event
from report_builders import gnss_table, small_grid
from slipscan.earthquakes import moment_magnitude
from slipscan.events import WITHOUT_GNSS
from slipscan.fit.model import days_since_2014
from slipscan.geometry import los_from_incidence_heading, write_grid
from slipscan.gnss.agreement import agreement
from slipscan.gnss.offsets import lay
from slipscan.png import PNG_AUTHOR
from slipscan.report import gnss_figures, words
from slipscan.settings import GnssSettings, SourceSettings
from slipscan.source.data import Block
from slipscan.source.explain import quantities
from slipscan.source.joint import Offsets, joint_fault
from slipscan.source.models import Area
from slipscan.source.sources import Fault, displacement
from station_builders import DATES, station
from transient_builders import CENTRE, daily

TRUE = Fault(1e3, -1e3, 4e3, 261.5, 85.0, 10e3, 4e3, -0.12, 0.0)


def offsets(std=0.5e-3):
    east, north = (v.ravel() for v in np.meshgrid([-9e3, -3e3, 4e3, 10e3], [-7e3, -2e3, 2e3, 6e3]))
    moved = displacement(TRUE, east, north).ravel()
    noise = std * np.random.default_rng(5).standard_normal(len(moved))
    return Offsets(east, north, moved + noise, std**2 * np.eye(len(moved)))


def points():
    east, north = (v.ravel() for v in np.meshgrid(np.linspace(-15e3, 15e3, 16), np.linspace(-15e3, 15e3, 16)))
    los = np.tile(los_from_incidence_heading(np.array(37.0), np.array(-13.0)), (len(east), 1))
    value = (displacement(TRUE, east, north) * los).sum(axis=1) + 4e-3
    value = value + 2e-3 * np.random.default_rng(6).standard_normal(len(east))
    return Block(east, north, los, value, 2e-3**2 * np.eye(len(east)), np.full((len(east), 1), 0.02))


AREA = Area(0.0, 0.0, 8e3)
FEW = SourceSettings(particles=120, searched=4096)


def middle(posterior, name):
    return float(np.median(quantities(posterior)[name]))


def test_stations_draw_the_joint_source_to_the_truth():
    both, maps_alone = (joint_fault([points()], offsets(std), AREA, FEW) for std in (0.5e-3, 50e-3))
    assert middle(both, "mw") == pytest.approx(moment_magnitude(TRUE.potency_m3), abs=0.1)
    assert middle(both, "depth_km") == pytest.approx(TRUE.depth / 1e3, abs=1)
    assert np.hypot(np.median(both.shape["east"]) - TRUE.east, np.median(both.shape["north"]) - TRUE.north) < 1e3
    spread = [np.std(quantities(one)["depth_km"]) for one in (both, maps_alone)]
    assert spread[0] < 0.8 * spread[1]


def test_gnss_alone_gives_a_magnitude_near_insars_fault():
    found = joint_fault([], offsets(), AREA, FEW)
    assert middle(found, "mw") == pytest.approx(moment_magnitude(TRUE.potency_m3), abs=0.15)


MOVED = np.array([12e-3, -8e-3, 5e-3])
DAYS = daily("2018-01-01", 740)


def stack(moved, noise_m, denoised_noise_m):
    """A track of 40 epochs over one station that saw `moved`, and a perfect denoiser but for noise."""
    grid = small_grid(0.03, centre=CENTRE)
    time = np.datetime64("2018-02-01", "ns") + np.arange(48) * np.timedelta64(12, "D")
    start, end = (np.datetime64(d, "ns") for d in DATES)
    los = np.array(los_from_incidence_heading(np.array(37.0), np.array(-13.0)))
    course = np.clip((time - start) / (end - start), 0, 1)
    generator = np.random.default_rng(7)
    signal = float(los @ moved) * course

    def series(std):
        return (signal + std * generator.standard_normal(len(time)))[:, None, None] * np.ones(grid.shape)

    dims = ("time", "y", "x")
    dataset = xr.Dataset(
        {"displacement": (dims, series(noise_m)), "transient": (dims, series(denoised_noise_m))}, {"time": time}
    )
    for name, part in zip(("los_east", "los_north", "los_up"), los, strict=True):
        dataset[name] = (("y", "x"), np.full(grid.shape, part))
    return write_grid(dataset, grid).assign_attrs(track="087A")


def test_denoising_brings_a_series_nearer_to_gnss():
    moved = 40e-3 * np.array(los_from_incidence_heading(np.array(37.0), np.array(-13.0)))
    network = lay([station(3, moved, days=DAYS, noise=0.1, name="HERE")], {})
    (row,) = agreement(stack(moved, 8e-3, 0.5e-3), network, GnssSettings())
    assert (row["station"], row["track"], row["epochs"]) == ("HERE", "087A", pytest.approx(48, abs=2))
    assert row["denoised_rmse_mm"] < 0.5 * row["raw_rmse_mm"] and row["denoised_rmse_mm"] < row["gnss_rms_mm"]
    assert row["denoised_slope"] == pytest.approx(1.0, abs=0.25) and row["denoised_correlation"] > 0.9
    away = station(3, MOVED, days=DAYS, name="AWAY")
    object.__setattr__(away, "longitude", CENTRE[0] + 1.0)
    assert agreement(stack(MOVED, 8e-3, 1e-3), lay([away], {}), GnssSettings()) == []


def row_of(**more):
    return (
        WITHOUT_GNSS
        | event(lon=CENTRE[0], lat=CENTRE[1], t50="2018-12-16", duration_d=30.0)
        | {"event_id": "A-1"}
        | more
    )


def test_vectors_and_series_are_drawn():
    table = gnss_table()
    network = lay([station(1, MOVED, days=DAYS, name="ISM2"), station(2, MOVED, days=DAYS, name="ELSE")], {})
    for picture in (
        gnss_figures.vector_map(table, row_of(strike_deg=261.5, dip_deg=85.0, length_km=9.0, width_km=4.0)),
        gnss_figures.station_series(table, row_of(), [row_of()], network),
    ):
        assert picture is not None and picture.png.startswith(b"\x89PNG") and PNG_AUTHOR.encode() in picture.png
    unknown = table.assign(predicted_east_mm=np.nan)
    assert gnss_figures.vector_map(unknown, row_of()) is None
    assert gnss_figures.station_series(unknown, row_of(), [row_of()], network) is None


def test_a_series_along_the_prediction_shows_what_moved():
    network = lay([station(1, MOVED, days=DAYS, noise=0.1, name="ISM2")], {})
    way = MOVED / np.linalg.norm(MOVED)
    series, course = gnss_figures._along(network, 0, way, [row_of()])
    start, end = days_since_2014(np.array(DATES, "M8[ns]"))
    jump = np.nanmean(series[network.days > end]) - np.nanmean(series[network.days < start])
    assert jump == pytest.approx(1e3 * np.linalg.norm(MOVED), abs=2.0)
    assert course[-1] == pytest.approx(jump, abs=2.0)


def test_words_say_size_time_and_what_the_network_could_see():
    text = dict(words.facts(row_of(
        gnss_verdict="insensitive", gnss_stations=3, gnss_log_likelihood_ratio=0.2, gnss_size=0.4, gnss_size_std=0.9,
        gnss_visible_size=2.7, gnss_visible_mw=5.3, created="2019-12-25", updated="2019-12-25",
    )))["GNSS"]  # fmt: skip
    assert "0.40 ± 0.90 times the predicted" in text and "would see 2.7 times the event, Mw 5.3" in text
    said = dict(words.facts(row_of(
        gnss_verdict="confirmed", gnss_stations=3, gnss_t50="2018-12-15", gnss_t50_std_d=2.0, joint_mw=5.1,
        joint_depth_km=3.2, gnss_note="a note", created="2019-12-25", updated="2019-12-25",
    )))["GNSS"]  # fmt: skip
    assert "2018-12-15 ± 2 d" in said and "together Mw 5.10, 3.2 km deep" in said and "a note" in said
