"""Scaling, rates, recurrence and the precursor study recover what was simulated."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from event_builders import event, scan, shifted
from increment_builders import folded, held
from slipscan.catalogue import precursors, quakes, statistics
from slipscan.catalogue.learned import report
from slipscan.errors import SlipscanError
from slipscan.settings import PrecursorSettings


def slow_slip(count: int, seed: int = 1, missing_below: float = 0.0) -> pd.DataFrame:
    """Events of T = 10^-16 M0 days (linear) and A = 10^-9.5 M0^(2/3) km2, with scatter."""
    rng = np.random.default_rng(seed)
    mw = 4.5 + rng.exponential(0.5, count)
    moment = 10 ** (1.5 * mw + 9.05)
    duration = moment * 10 ** (-16 + rng.normal(0, 0.2, count))
    area = moment ** (2 / 3) * 10 ** (-9.5 + rng.normal(0, 0.1, count))
    # What is small and slow hides: of the small events only those that are quick for their size are found.
    seen = (mw >= missing_below) | (duration < 10**-16.2 * moment)
    return pd.DataFrame({
        "type": "slow_slip", "status": "active", "ongoing": False, "left_censored": False, "mw": mw,
        "moment_nm": moment, "duration_days": duration, "length_km": np.sqrt(area), "width_km": np.sqrt(area),
    })[seen]  # fmt: skip


def test_scaling_laws_are_recovered_above_the_completeness_and_bent_without_it():
    events = slow_slip(800, missing_below=5.2)
    table = statistics.scalings(events, np.full(len(events), 5.2)).set_index(["law", "of"])
    duration, area = table.loc["moment-duration", "complete"], table.loc["moment-area", "complete"]
    assert duration["low"] < 1.0 < duration["high"] and area["low"] < 2 / 3 < area["high"]
    assert duration["high"] - duration["low"] < 0.2
    naive = table.loc["moment-duration", "all"]
    assert not naive["low"] < 1.0 < naive["high"]


def test_few_or_unknown_events_have_no_law():
    events = slow_slip(800)
    fit = statistics.scalings(events, np.full(len(events), np.nan)).set_index(["law", "of"])
    assert fit.loc["moment-duration", "complete"]["events"] == 0 and np.isnan(
        fit.loc["moment-area", "complete"]["slope"]
    )
    assert np.isnan(statistics.scaling(np.array([1e17] * 9), np.arange(1.0, 10)).slope), "one moment is no law"


def test_rates_count_per_year_and_area_with_a_poisson_interval():
    rows = [event(t50=shifted("2018-03-01", 90 * n), lon=32 + 0.2 * n, mw=4.0 + n) for n in range(4)]
    layers = folded(held(*rows, scans=[scan(start="2018-01-01", until="2020-01-01", end="2020-01-01")])).layers
    events, regions = layers["events"], layers["regions"]
    (row,) = statistics.rates(events, regions, np.full(4, 5.0)).to_dict("records")
    assert (row["events"], row["of"]) == (3, "complete")
    assert row["per_yr"] == pytest.approx(3 / (730 / 365.25))
    assert row["per_1e4km2_yr"] == pytest.approx(row["per_yr"] / 0.36)
    assert statistics.poisson_interval(3) == pytest.approx((0.619, 8.767), abs=1e-3)  # Garwood's table
    assert statistics.poisson_interval(0)[0] == 0.0


def test_recurrence_finds_the_place_that_slips_every_year():
    yearly = [event(t50=f"{year}-03-01") for year in (2016, 2017, 2018, 2019)]
    elsewhere = event(lon=35.0, t50="2018-05-01")
    layers = folded(held(*yearly, elsewhere, scans=[scan(start="2015-01-01", until="2019-12-01")])).layers
    (row,) = statistics.recurrence(layers["events"], layers["regions"]).to_dict("records")
    assert (row["events"], row["first"], row["last"]) == (4, "2016-03-01", "2019-03-01")
    assert row["median_yr"] == pytest.approx(1.0, abs=0.01) and row["variation"] < 0.01
    assert row["open_yr"] == pytest.approx(275 / 365.25)


def test_mainshocks_are_what_stands_out_of_its_sequence():
    day = np.array([0.0, 1.0, 20.0, 400.0, 5.0])
    magnitude = np.array([4.8, 6.5, 5.5, 5.5, 5.5])
    longitude = np.array([30.0, 30.0, 30.1, 30.0, 40.0])
    main = quakes.mainshocks(day, longitude, np.full(5, 40.0), magnitude)
    assert list(main) == [False, True, False, False, True]  # the window of M 6.5 lasts 885 d and reaches 61 km
    assert list(quakes.mainshocks(day, longitude, np.full(5, 40.0), np.full(5, 4.0)))[-1]


def earthquakes(days: np.ndarray, longitudes: np.ndarray, magnitude: float = 5.6) -> quakes.Quakes:
    """Earthquakes of one size at 40 N, all of them mainshocks, and a last one far away that ends the list."""
    day = np.append(days, quakes.days_of(["2030-01-01"]))
    order = np.argsort(day)
    longitude = np.append(longitudes, 100.0)[order]
    count = len(day)
    return quakes.Quakes(day[order], longitude, np.full(count, 40.0), np.full(count, magnitude), np.ones(count, bool),
                         float(day.max()))  # fmt: skip


SETTINGS = PrecursorSettings(shifts=199, windows_d=(30.0, 90.0), radii_km=(25.0, 50.0), magnitudes=(5.0, 6.0))
EVENTS = 20


def world(known_after_d: int = 10):
    """Events a degree apart, months apart, each known soon after its t95; and their days."""
    rng = np.random.default_rng(3)
    start = [int(d) for d in np.sort(rng.choice(np.arange(300, 1900, 12), EVENTS, replace=False))]
    t50 = [shifted("2015-01-01", d) for d in start]
    increments = []
    for seq, upto in enumerate(start, 1):
        rows = [event(t50=t, lon=30.0 + n) for n, t in enumerate(t50) if start[n] <= upto]
        until = shifted("2015-01-01", upto + known_after_d)
        increments.append(held(*rows, seq=seq, scans=[scan(start="2015-01-01", until=until)]))
    increments.append(held(*[event(t50=t, lon=30.0 + n) for n, t in enumerate(t50)], seq=EVENTS + 1,
                           scans=[scan(start="2015-01-01", until="2020-12-01")]))  # fmt: skip
    return folded(*increments).layers, quakes.days_of(t50)


@pytest.fixture(scope="module")
def simulated():
    return world()


def run(simulated, listed, settings=SETTINGS):
    layers, _ = simulated
    return precursors.study(layers["events"], layers["history"], layers["regions"], listed, settings)


def test_earthquakes_that_follow_events_are_found_and_scattered_ones_are_not(simulated):
    _, days = simulated
    places = 30.0 + np.arange(EVENTS)
    after = run(simulated, earthquakes(days + 20, places))
    cell = after.cells.set_index(["T_days", "R_km", "M"]).loc[30.0, 25.0, 5.0]
    assert (cell["followed"], cell["events"], cell["censored"]) == (EVENTS, EVENTS, 0)
    assert cell["expected"] < 2 and len(after.followed) == EVENTS
    assert after.p_value < 0.05, "a shift by a few days of 2,000 leaves the pattern as it is"
    assert after.cells[after.cells["M"] == 6.0]["followed"].sum() == 0
    scattered = np.random.default_rng(5).uniform(days.min(), days.max() + 200, EVENTS)
    assert run(simulated, earthquakes(scattered, places)).p_value > 0.05


def test_the_p_value_of_the_grid_is_right_where_nothing_is_there(simulated):
    """Earthquakes at random times: p-values of the largest excess are no smaller than chance makes them."""
    places = 30.0 + np.arange(EVENTS)
    quick = SETTINGS.model_copy(update={"shifts": 39})
    found = [
        run(simulated, earthquakes(np.random.default_rng(seed).uniform(16500, 18500, EVENTS), places), quick).p_value
        for seed in range(40)
    ]
    assert np.mean(np.array(found) <= 0.1) < 0.25 and np.mean(found) > 0.35


def test_what_was_not_known_before_the_earthquake_does_not_count():
    late = world(known_after_d=40)
    _, days = late
    listed = earthquakes(days + 20, 30.0 + np.arange(EVENTS))
    found = run(late, listed)
    assert found.cells["followed"].sum() == 0 and found.unknown == EVENTS
    hindsight = run(late, listed, SETTINGS.model_copy(update={"known_before": False}))
    assert hindsight.cells["followed"].max() == EVENTS


def test_afterslip_is_left_out_but_what_began_an_epoch_before_is_not(simulated):
    _, days = simulated
    places = 30.0 + np.arange(EVENTS)
    begins = days - 10  # t05
    after = run(simulated, earthquakes(np.concatenate([begins - 5, days + 20]), np.tile(places, 2)))
    assert after.left_out == EVENTS and after.cells["followed"].sum() == 0
    before = run(simulated, earthquakes(np.concatenate([begins + 13, days + 20]), np.tile(places, 2)))
    assert before.left_out == 0 and before.cells["followed"].max() == EVENTS


def test_an_event_whose_time_is_not_over_is_censored():
    rows = [event(t50="2019-11-20"), event(lon=33.0, t50="2019-03-01")]
    layers = folded(held(*rows, scans=[scan(until="2019-12-25")])).layers
    found = precursors.study(layers["events"], layers["history"], layers["regions"],
                             earthquakes(np.zeros(0), np.zeros(0)), SETTINGS)  # fmt: skip
    by_window = found.cells.drop_duplicates("T_days").set_index("T_days")
    assert list(by_window["events"]) == [2, 1] and list(by_window["censored"]) == [0, 1]


def test_a_report_says_all_of_it(simulated, tmp_path: Path):
    layers, days = simulated
    listed = pd.DataFrame({"time": np.datetime_as_string((days + 20).astype("datetime64[D]")), "latitude": 40.0,
                           "longitude": 30.0 + np.arange(EVENTS), "mag": 5.6, "place": "x"})  # fmt: skip
    listed.to_csv(tmp_path / "q.csv", index=False)
    text = report(layers, 4.5, quakes.read_quakes(tmp_path / "q.csv"), SETTINGS)
    assert "moment-duration" in text and "Recurrence" in text and "as known before the earthquake" in text
    assert "largest excess over the grid: p = 0.0" in text


def test_a_list_of_no_earthquake_is_a_sentence(tmp_path: Path):
    (tmp_path / "q.csv").write_text("time,latitude,longitude,mag\n")
    with pytest.raises(SlipscanError, match="holds no earthquake"):
        quakes.read_quakes(tmp_path / "q.csv")
