"""The North Anatolian twin at full size: what is planted, and the page that sets results beside it."""

from __future__ import annotations

import datetime
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from event_builders import event
from increment_builders import folded, held
from report_builders import gnss_table
from slipbench.score import score
from slipbench.twin import slope_by_pattern, slope_of, write_page
from slipscan.archive.simulated.archive import Simulated
from slipscan.archive.simulated.files import check_bounds
from slipscan.catalogue import geopackage
from slipscan.configuration import read_settings
from slipscan.errors import SlipscanError
from slipscan.events import SOURCE_COLUMNS, event_table
from slipscan.gnss.agreement import COLUMNS as AGREEMENT
from slipscan.gnss.stage import write_comparison
from slipscan.gnss.steps import read_steps
from slipscan.gnss.tenv3 import read_tenv3
from slipscan.regions import read_regions
from slipscan.synthetic import ismetpasa, ismetpasa_fault, positions
from slipscan.synthetic.north_anatolian import BURSTS, DISTRACTORS, SCENARIOS, SLOW_SLIP, STATIONS

CONFIG = Path(__file__).resolve().parents[1] / "config"


def test_slow_slip_comes_back_every_two_and_a_half_years_on_one_section():
    middles = [one.t50 for one in SLOW_SLIP if one.id.startswith("S")]
    gaps = [(b - a).days / 365.25 for a, b in pairwise(middles)]
    assert gaps == pytest.approx([2.5, 2.5], abs=0.02)
    assert len({round(one.along_m, -4) for one in SLOW_SLIP if one.id.startswith("S")}) == 1
    assert {one.id: round(one.mw, 1) for one in SLOW_SLIP}["D1"] == 4.8
    assert all(2e-3 <= one.slip_m <= 10e-3 and one.duration_d <= 6 for one in BURSTS)


def test_the_region_of_the_configuration_is_150_by_250_km_with_16_stations(tmp_path):
    settings, region = read_settings(CONFIG / "naf.yaml"), read_regions(CONFIG / "regions.geojson")["NAF-TWIN"]
    check_bounds(region)
    lon, lat = (np.array(v) for v in zip(*region.polygon, strict=True))
    _, _, along, across = ismetpasa_fault.local_coordinates(lon, lat)
    assert np.ptp(along) > 250e3 and np.ptp(across) > 150e3
    assert len({s.id for s in STATIONS}) == 16
    assert min(abs(s.across_m) for s in STATIONS) >= 500 and max(abs(s.across_m) for s in STATIONS) <= 20e3
    truth = Simulated().truth(region, settings.archive)
    assert len(truth["events"]) == len(SLOW_SLIP) + len(BURSTS) and len(truth["distractors"]) == len(DISTRACTORS)
    assert json.loads(json.dumps(truth)) == truth


def test_the_small_twin_is_what_it_was():
    assert SCENARIOS["ismetpasa"].movers == ismetpasa.EVENTS and SCENARIOS["quiet"].movers == ()
    assert SCENARIOS["ismetpasa"].common_share == 0 and len(SCENARIOS["ismetpasa"].stations) == 6


def test_a_bowl_moves_its_middle_and_goes_on_with_its_rate():
    basin = next(one for one in DISTRACTORS if one.id == "W1")
    lon, lat = (np.array([v]) for v in ismetpasa_fault.lonlat(basin.along_m, basin.across_m))
    assert basin.displacement(lon, lat)[0] == pytest.approx([0, 0, -0.02])
    middle = (basin.t50 - datetime.date(2014, 1, 1)).days
    before, after = basin.course([middle - 365.25, middle + 365.25]) * -0.02
    assert before - after == pytest.approx(0.02 + 2 * 0.025, abs=1e-6)  # the transient and two years of its rate
    ground = ismetpasa.ground(lon, lat, [middle - 365.25, middle + 365.25], [basin], parts=("events",))
    assert ground[1, 0, 2] - ground[0, 0, 2] == pytest.approx(after - before)


def test_stations_share_noise_and_a_new_antenna_is_listed(tmp_path):
    scenario = SCENARIOS["north_anatolian"]
    (tmp_path / "steps.txt").write_text(positions.steps(scenario.antennas))
    (step,) = read_steps(tmp_path / "steps.txt")["ISC1"]
    station = next(s for s in STATIONS if s.id == "ISC1")
    series = []
    for antennas in (scenario.antennas, ()):
        (tmp_path / "ISC1.tenv3").write_text(positions.tenv3(station, (), 1, 0.45, antennas))
        series.append(read_tenv3(tmp_path / "ISC1.tenv3"))
    apart = series[0].enu - series[1].enu
    after = series[0].time >= step.time
    np.testing.assert_allclose(apart[after], np.broadcast_to(scenario.antennas[0].enu_m, apart[after].shape), atol=2e-6)
    assert not apart[~after].any()


def test_a_share_of_the_flicker_noise_is_that_of_all_stations():
    """With share s a station holds sqrt(1 - s) f + sqrt(s) F + r: three shares tell F, the same at all stations."""
    days = np.arange(200) + 400.5
    shared = []
    for station in STATIONS[:2]:
        none, half, whole = (positions.station_displacement(station, days, (), 1, s) for s in (0.0, 0.5, 1.0))
        rest = (half - np.sqrt(0.5) * (none + whole)) / (1 - np.sqrt(2.0))
        shared.append(whole - rest)
    np.testing.assert_allclose(shared[0], shared[1], atol=1e-12)
    assert 0.2e-3 < shared[0][:, 0].std() < 6e-3


def test_a_false_event_on_a_distractor_is_named():
    planted = {"region": "AAAA", "events": [], "distractors": [one.describe() for one in DISTRACTORS]}
    quake = DISTRACTORS[0]
    lon, lat, _ = quake.centre()

    found = event_table([event(t50=quake.t50.isoformat(), lon=lon, lat=lat), event(lon=lon, lat=lat)], SOURCE_COLUMNS)
    rows = score(found.assign(event_id=["A", "B"]), planted)["rows"]
    assert [(row["truth"], row["result"]) for row in rows] == [("Q1 (earthquake)", "false"), (None, "false")]


def test_a_slope_by_pattern_does_not_hang_on_stated_errors():
    generator = np.random.default_rng(3)
    truth = np.where(np.arange(4000) < 400, 5.0 * generator.standard_normal(4000), 0.0)
    x, y = truth + 2.0 * generator.standard_normal(4000), 0.9 * truth + 4.0 * generator.standard_normal(4000)
    pattern = 1.2 * truth + 0.3 * generator.standard_normal(4000)
    for stated in (1.0, 2.0, 3.0):
        slope, std = slope_by_pattern(pattern, x, np.full(4000, stated), y, np.full(4000, 4.0))
        assert abs(slope - 0.9) < 3 * 0.045 and 0.02 < std < 0.08
    far_off = [slope_of(x, np.full(4000, stated), y, np.full(4000, 4.0))[0] for stated in (1.0, 3.0)]
    assert far_off[1] > 1.5 * far_off[0]


def test_the_slope_of_two_series_with_errors_is_that_of_what_they_measure():
    generator = np.random.default_rng(2)
    true = generator.normal(0, 5, 400)
    x, y = true + generator.normal(0, 3, 400), 0.9 * true + generator.normal(0, 1, 400)
    slope, std = slope_of(x, np.full(400, 3.0), y, np.full(400, 1.0))
    assert slope == pytest.approx(0.9, abs=3 * std) and 0.01 < std < 0.1


def test_the_page_sets_results_beside_the_truth(tmp_path):
    results, directory = tmp_path / "results", tmp_path / "results" / "AAAA"
    directory.mkdir(parents=True)
    increments = [held(event(t50="2018-06-15", lon=32.63, lat=40.87), event(t50="2018-09-20", lon=32.67, lat=40.89))]
    geopackage.write(results / "catalogue.gpkg", folded(*increments))
    write_comparison(directory / "gnss.parquet", gnss_table())
    one = {"type": "slow_slip", "depth_km": 3.0, "length_km": 9.0, "longitude": 32.63, "latitude": 40.87, "mw": 4.95}
    planted = [
        one | {"id": "P1", "t05": "2018-06-01", "t50": "2018-06-15", "t95": "2018-06-29"},
        one | {"id": "P2", "t05": "2019-01-01", "t50": "2019-01-15", "t95": "2019-01-29"},
    ]
    (directory / "truth.json").write_text(json.dumps({"region": "AAAA", "scenario": "x", "events": planted}))
    cells = ["087A", "ISM1", "", "30", "3.0", "6.0", "2.0", "0.4", "0.7", "0.9", "0.8"]
    (directory / "agreement.csv").write_text(",".join(AGREEMENT) + "\n" + ",".join(cells) + "\n")
    text = write_page(results, "AAAA", tmp_path / "twin.md")
    assert (tmp_path / "twin.md").read_text() == text
    assert "1 of 2 planted events found; 1 other rows." in text
    assert (
        "| P1 | slow slip | 2018-06-15 | 4.95 |" in text
        and "| P2 | slow slip | 2019-01-15 | 4.95 | 3.0 | missed |" in text
    )
    assert "| 087A | 1 | 3.00 | 6.00 | 2.00 | +0.89 | +0.56 |" in text  # 1 - (2/6)^2, 1 - (2/3)^2
    (directory / "agreement.csv").write_text("other,table\n1,2\n")
    with pytest.raises(SlipscanError, match="no table of agreement"):
        write_page(results, "AAAA", tmp_path / "twin.md")
