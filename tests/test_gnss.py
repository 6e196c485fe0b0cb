"""GNSS beside InSAR: verdicts on events that happened or did not."""

import numpy as np
import pandas as pd
import pytest

from slipscan.errors import SlipscanError
from slipscan.events import GNSS_COLUMNS, WITHOUT_GNSS, read_events, write_events
from slipscan.geometry import to_lonlat
from slipscan.gnss import both, stage
from slipscan.gnss.compare import Evidence, judge, project, sample
from slipscan.settings import GnssSettings, SourceSettings
from slipscan.source import stage as source_stage
from slipscan.source.sources import Fault, displacement, local_crs
from station_builders import DATES, station
from transient_builders import CENTRE, line_of_sight, tenv3_text, transients

FAULT = Fault(1e3, -2e3, 3.0e3, 261.5, 85.0, 10e3, 4e3, -0.08, 0.0)


def test_line_of_sight_by_hand():
    los = np.array([-0.6, 0.0, 0.8])
    covariance = np.array([[4.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 9.0]])
    # 5 west and 10 up: 0.6 * 5 + 0.8 * 10 = 11; variance 0.36 * 4 - 2 * 0.48 * 1 + 0.64 * 9 = 6.24
    assert project(np.array([-5.0, 7.0, 10.0]), covariance, los) == pytest.approx((11.0, np.sqrt(6.24)))


def test_sample_is_the_median_around_a_point():
    x, y = 100.0 * np.arange(5), 100.0 * np.arange(4, -1, -1)
    values = np.arange(25.0).reshape(5, 5)
    std = np.full((5, 5), 2.0)
    assert sample(values, std, x, y, (200.0, 200.0), 101.0) == (12.0, 2.0)
    values[2, 2] = np.nan
    assert sample(values, std, x, y, (200.0, 200.0), 101.0)[0] == 12.0  # 7, 11, 13, 17
    assert sample(values, std, x, y, (110.0, 310.0), 1.0)[0] == values[1, 1]
    assert np.isnan(sample(values, std, x, y, (900.0, 200.0), 101.0)[0])
    assert np.isnan(sample(values, std, x, y, (200.0, 200.0), 10.0)[0])


def judged(observed, predicted, std=1.0, step=0.0):
    """The judgement on displacements of stations (one component each), at one time."""
    n = len(observed)
    covariance = std**2 * np.eye(n) + step**2
    evidence = Evidence(
        np.array([observed], float), covariance[None], std**2 * np.eye(n)[None], np.array(predicted, float),
        np.arange(n), [f"ST{i:02d}" for i in range(n)], np.zeros(1),
    )  # fmt: skip
    return judge(evidence, 3.0)


def test_verdicts_by_hand():
    assert (
        judged([7, 7], [7, 7]).verdict
        == judged([5, 5], [7, 7]).verdict
        == judged([9, 9], [7, 7]).verdict
        == "confirmed"
    )
    assert judged([0, 0], [7, 7]).verdict == judged([-4, -4], [7, 7]).verdict == "contradicted"
    assert judged([1.6, 1.6], [3.5, 3.5]).verdict == "inconclusive"
    # Between 3 and 4 sigma a clear ratio gives a verdict, and any other is no wonder.
    for size, verdict in ((-0.5, "contradicted"), (1.3, "insensitive"), (3.0, "confirmed")):
        assert judged([size, size], [2.5, 2.5]).verdict == verdict
    assert judged([0, 0], [2.1, 2.1]).verdict == judged([2.1, 2.1], [2.1, 2.1]).verdict == "insensitive"
    assert judged([], []).verdict == "no_coverage"
    sure = judged([7, 7], [7, 7])
    assert (sure.size, sure.size_std) == pytest.approx((1.0, 1 / np.sqrt(98)))
    assert judged([0, 0], [2, 1]).visible_size == pytest.approx(4 / np.sqrt(5))  # 4 sigma are 4 = size x sqrt(5)
    # Chi square of no event 98, of a size in (0.3 about 1) about 0: half of it less what the free size costs.
    assert sure.log_likelihood_ratio == pytest.approx(49 - 0.5 * np.log(1 + 0.09 * 98), abs=0.1)


def test_silence_speaks_the_louder_the_more_was_predicted():
    weak, strong = (judged([0, 0], [p, p]).log_likelihood_ratio for p in (4, 40))
    assert strong < 5 * weak < -20


def test_one_station_alone_neither_confirms_nor_contradicts():
    for moved in (10, 0):
        alone = judged([moved], [10])
        assert alone.verdict == "inconclusive" and alone.note == "one station alone (ST00)"
    rests = judged([12, -1.5], [10, 1.5])
    assert rests.verdict == "inconclusive" and rests.note == "rests on ST00 alone"


def test_another_size_than_predicted_confirms_nothing_and_is_said():
    odd = judged([30, 30], [10, 10])
    assert odd.verdict == "inconclusive" and "3.0 +- 0.1 times as much as predicted" in odd.note
    assert judged([20, 20], [10, 10]).verdict == "confirmed"


def test_times_at_which_nothing_happened_do_not_dilute_what_a_station_did():
    """One station moves by 14 at one of three times; the event would move three, whatever it explains of it."""
    observed = np.array([[0.5, -0.4, 0.2], [14.0, 0.3, -0.5], [-0.2, 0.4, -0.3]])
    for predicted in ([13.0, 13.0, 13.0], [14.0, 1.0, 1.0], [1.0, 13.0, 13.0]):
        noise = np.broadcast_to(np.eye(3), (3, 3, 3))
        allowed = noise + np.diag((0.3 * np.array(predicted)) ** 2) + 16.0
        evidence = Evidence(
            observed, allowed, noise, np.array(predicted), np.arange(3), ["A", "B", "C"], np.log(np.full(3, 1 / 3))
        )
        found = judge(evidence, 3.0)
        assert found.weight @ observed[:, 0] == pytest.approx(14.0, abs=0.7)
        # At the time when something happened, the ratio is that of this time alone.
        alone = Evidence(
            observed[1:2], allowed[:1], noise[:1], np.array(predicted), np.arange(3), ["A", "B", "C"], np.zeros(1)
        )
        assert found.log_likelihood_ratio == pytest.approx(judge(alone, 3.0).log_likelihood_ratio, abs=0.3)


def test_a_step_of_all_stations_is_nobodys_event():
    predicted = [5, -1, 4, 0.5]
    assert judged([4, 4, 4, 4], predicted).verdict == "confirmed"
    assert judged([4, 4, 4, 4], predicted, step=4.0).verdict == "contradicted"
    assert judged([9, 3, 8, 4.5], predicted, step=4.0).verdict == "confirmed"


@pytest.fixture(scope="module")
def region(tmp_path_factory):
    """Two tracks that saw FAULT, and the event table of the source stage."""
    directory = tmp_path_factory.mktemp("region")
    paths = [
        transients(directory / "a.zarr", "087A", [FAULT], [DATES], seed=1),
        transients(directory / "d.zarr", "065D", [FAULT], [DATES], orbit="descending", seed=2),
    ]
    few = SourceSettings(max_points=250, searched=4096, particles=120)
    source_stage.write_event_table(paths, directory / "events.parquet", few)
    return directory / "events.parquet", paths


NEAR = {"NRTH": (1e3, 3e3), "STHH": (2e3, -6e3)}
FAR = {"AWAY": (24e3, 24e3)}
REFERENCE = {"REFS": (-21e3, 20e3)}


def ground(east, north):
    """What FAULT does to one point, (3,) metres."""
    return displacement(FAULT, np.array([east]), np.array([north]))[0]


def network(directory, places, factor, common=(0.0, 0.0, 0.0)):
    """Stations at (east, north) about CENTRE that moved by `factor` of what FAULT does, and by `common`."""
    directory.mkdir()
    for seed, (name, (east, north)) in enumerate(sorted(places.items())):
        lon, lat = (float(v) for v in to_lonlat(np.array(east), np.array(north), local_crs(*CENTRE)))
        moved = ground(east, north)
        series = station(seed, factor * moved + np.array(common))
        enu = series.enu - [1056.0, 2134135.0, 700.0]
        (directory / f"{name}.tenv3").write_text(tenv3_text(name, series.time, enu, (lon, lat, 900.0)))
    return directory


@pytest.fixture(autouse=True)
def small_joint_search(monkeypatch):
    """The joint source is another test's (test_gnss_beside.py): here it need only be there."""
    monkeypatch.setattr(both, "SETTINGS", SourceSettings(particles=60, searched=1024))


def compared(region, directory, tmp_path, **options):
    events, paths = region
    stage.write_gnss_table(events, paths, directory, tmp_path / "gnss.parquet", GnssSettings(**options))
    return stage.read_comparison(tmp_path / "gnss.parquet")


def test_an_event_that_happened_is_confirmed_by_double_differences(region, tmp_path):
    common = (8e-3, 8e-3, 0.0)  # a common-mode step would spoil single differences
    table = compared(region, network(tmp_path / "g", NEAR | REFERENCE, 1.0, common), tmp_path)
    assert table["station"].tolist() == ["NRTH", "NRTH", "STHH", "STHH"]
    assert table["track"].tolist() == ["065D", "087A"] * 2
    assert set(table["reference_station"]) == {"REFS"}
    assert set(table["gnss_verdict"]) == {"confirmed"}
    assert set(table["gnss_stations"]) == {3}
    assert (table["gnss_log_likelihood_ratio"] > 5).all()
    assert set(table["gnss_size"].round(0)) == {1.0} and (table["gnss_size_std"] < 0.5).all()
    assert (abs(pd.to_datetime(table["gnss_t50"]) - pd.Timestamp("2018-12-16")).dt.days <= 8).all()
    places = {**NEAR, **REFERENCE}
    for row in table.itertuples():
        moved = [
            displacement(FAULT, np.array([places[n][0]]), np.array([places[n][1]]))[0] for n in (row.station, "REFS")
        ]
        los = line_of_sight({"A": "ascending", "D": "descending"}[row.track[-1]])
        truth = 1e3 * float(los @ (moved[0] - moved[1]))
        assert abs(row.gnss_mm - truth) < 3.5 * row.gnss_std_mm
        assert abs(row.insar_mm - truth) < 3.5 * row.insar_std_mm
        assert row.predicted_mm == pytest.approx(truth, abs=1.5)


def test_an_event_that_did_not_happen_is_contradicted(region, tmp_path):
    table = compared(region, network(tmp_path / "g", NEAR, 0.0), tmp_path)
    assert set(table["gnss_verdict"]) == {"contradicted"}
    assert set(table["reference_station"]) == {""}


def test_far_stations_are_insensitive_and_farther_ones_left_out(region, tmp_path):
    directory = network(tmp_path / "g", FAR, 1.0)
    table = compared(region, directory, tmp_path)
    assert set(table["gnss_verdict"]) == {"insensitive"}
    assert table["distance_km"].between(15, 35).all()
    table = compared(region, directory, tmp_path, max_distance_km=5.0)
    assert table["gnss_verdict"].tolist() == ["no_coverage"]
    assert table["station"].tolist() == [""]


def test_no_station_is_no_coverage_and_no_event_is_an_empty_table(region, tmp_path):
    (tmp_path / "g").mkdir()
    table = compared(region, tmp_path / "g", tmp_path)
    assert list(table.columns) == [c.name for c in stage.COMPARISON_COLUMNS]
    assert table[["event", "gnss_verdict", "gnss_stations"]].values.tolist() == [[0, "no_coverage", 0]]
    events, scans = read_events(region[0])
    write_events(tmp_path / "none.parquet", events.iloc[:0], scans)
    assert len(compared((tmp_path / "none.parquet", region[1]), tmp_path / "g", tmp_path)) == 0
    with pytest.raises(SlipscanError, match="no directory of stations"):
        compared(region, tmp_path / "nowhere", tmp_path)


def test_a_region_whose_stations_are_all_left_out_has_no_coverage_and_says_so(region, tmp_path, caplog):
    directory = network(tmp_path / "g", NEAR, 1.0)
    for path in directory.iterdir():
        path.write_text(path.read_text().replace(" 0.000800 0.000800 0.003000 ", " 0 0 0 "))
    table = compared(region, directory, tmp_path)
    assert table[["event", "gnss_verdict", "gnss_stations"]].values.tolist() == [[0, "no_coverage", 0]]
    assert "2 of 2 station files were not used" in caplog.text
    assert "(no_coverage)" in caplog.text


def test_an_event_without_source_is_judged_in_the_line_of_sight(region, tmp_path):
    events, scans = read_events(region[0])
    events["type"] = "residue"
    events[["slip_mm", "depth_km", "rake_deg"]] = np.nan
    write_events(tmp_path / "events.parquet", events, scans)
    directory = network(tmp_path / "g", NEAR | REFERENCE, 1.0)
    table = compared((tmp_path / "events.parquet", region[1]), directory, tmp_path)
    assert set(table["gnss_verdict"]) == {"confirmed"}
    np.testing.assert_allclose(table["predicted_mm"], table["insar_mm"])


def test_equal_input_gives_equal_bytes(region, tmp_path):
    directory = network(tmp_path / "g", {"NRTH": NEAR["NRTH"]}, 1.0)
    written = []
    for name in ("one", "two"):
        stage.write_gnss_table(*region, directory, tmp_path / name, GnssSettings())
        written.append((tmp_path / name).read_bytes())
    assert written[0] == written[1]


def test_verdicts_are_one_row_an_event():
    columns = [c.name for c in stage.COMPARISON_COLUMNS]
    values = [(0, "confirmed", 2, 5.0), (0, "confirmed", 2, 5.0), (2, "insensitive", 1, 0.5)]
    names = ("event", "gnss_verdict", "gnss_stations", "gnss_log_likelihood_ratio")
    rows = [WITHOUT_GNSS | dict.fromkeys(columns[:3], "") | dict(zip(names, v, strict=True)) for v in values]
    table = stage.verdicts(pd.DataFrame(rows), 4)
    assert list(table.columns) == [c.name for c in GNSS_COLUMNS]
    assert table["gnss_verdict"].tolist() == ["confirmed", "no_coverage", "insensitive", "no_coverage"]
    assert table["gnss_stations"].tolist() == [2, 0, 1, 0]
    assert len(stage.verdicts(pd.DataFrame(columns=columns), 0)) == 0
