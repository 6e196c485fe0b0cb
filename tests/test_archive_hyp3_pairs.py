"""On-demand interferograms: the planned network and the bursts of an epoch."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from hyp3_builders import AS_OF, BURSTS, DATES, REGION, SCENE, Loopback, running
from job_builders import job_of
from slipscan.archive.asf import catalogue
from slipscan.archive.hyp3.archive import Hyp3
from slipscan.archive.hyp3.pairs import Epoch, burst_set, contiguous, epochs_of, named_bursts, plan
from slipscan.archive.hyp3.planning import planned_orders
from slipscan.archive.manifest import COLUMNS
from slipscan.errors import SlipscanError
from slipscan.settings import ArchiveSettings, Hyp3Settings
from slipscan_loopback import bursts, cmr
from slipscan_loopback.http import LoopbackServer

DAY = datetime.date(2020, 1, 1).toordinal()


def epochs(days: list[int], baselines: list[float | None] | None = None) -> list[Epoch]:
    return [
        Epoch(datetime.date.fromordinal(DAY + day).isoformat(), (f"g{day}",), baseline)
        for day, baseline in zip(days, baselines or [0.0] * len(days), strict=True)
    ]


def intervals(days: list[int], settings: Hyp3Settings, baselines: list[float | None] | None = None) -> list[tuple]:
    return [(a.day - DAY, b.day - DAY) for a, b in plan(epochs(days, baselines), settings)]


# The network ----------------------------------------------------------------------------------------------------------


def test_every_epoch_is_paired_with_its_next_neighbours() -> None:
    settings = Hyp3Settings(neighbours=2, annual=False)
    assert intervals([0, 12, 24, 36], settings) == [(0, 12), (0, 24), (12, 24), (12, 36), (24, 36)]


def test_pairs_with_a_long_baseline_are_left_out_and_the_next_epoch_takes_their_place() -> None:
    settings = Hyp3Settings(neighbours=1, annual=False, max_baseline_m=100)
    assert intervals([0, 12, 24], settings, [0, 90, -20]) == [(0, 12), (12, 24)]  # 90 - -20 > 100: bridged
    assert intervals([0, 12, 24, 36], settings, [0, 150, 20, 160]) == [(0, 12), (0, 24), (12, 36)]
    assert intervals([0, 12, 24], settings, [0, None, 500]) == [(0, 12), (12, 24)]  # unknown: not filtered


def test_a_gap_is_bridged_by_the_shortest_pair_and_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        found = intervals([0, 12, 200, 212], Hyp3Settings(neighbours=3, annual=False, max_interval_d=72))
    assert found == [(0, 12), (12, 200), (200, 212)]
    assert "bridged: 2020-01-13 to 2020-07-19 (188 d)" in caplog.text


def test_the_annual_pair_is_the_one_nearest_to_a_year() -> None:
    settings = Hyp3Settings(neighbours=1, max_interval_d=400)
    found = intervals([0, 12, 24, 372, 384, 900], settings)
    assert found == [(0, 12), (12, 24), (12, 372), (24, 372), (24, 384), (372, 384), (384, 900)]


random_epochs = st.lists(
    st.tuples(st.integers(1, 130), st.one_of(st.none(), st.integers(-500, 500))), min_size=1, max_size=25
)
random_settings = st.builds(
    Hyp3Settings,
    neighbours=st.integers(1, 4),
    max_interval_d=st.integers(6, 150),
    max_baseline_m=st.integers(50, 600),
    annual=st.booleans(),
)


@hypothesis_settings(max_examples=50, deadline=None, derandomize=True)
@given(random_epochs, random_settings)
def test_a_later_epoch_only_adds_pairs_and_the_network_stays_connected(
    steps: list[tuple[int, int | None]], settings: Hyp3Settings
) -> None:
    made = epochs(list(np.cumsum([step for step, _ in steps])), [baseline for _, baseline in steps])
    before: set[tuple[Epoch, Epoch]] = set()
    for count in range(1, len(made) + 1):
        pairs = plan(made[:count], settings)
        assert pairs == sorted(pairs, key=lambda pair: (pair[0].date, pair[1].date))
        assert len(set(pairs)) == len(pairs) and before <= set(pairs)
        assert all(older.day < newer.day for older, newer in pairs)
        reached = {made[0]}  # every epoch has a pair to an earlier one, so one pass in order of the dates is enough
        for older, newer in sorted(pairs, key=lambda pair: pair[1].date):
            reached |= {newer} if older in reached else set()
        assert reached == set(made[:count])
        before = set(pairs)


# Bursts and epochs ----------------------------------------------------------------------------------------------------


def test_a_set_of_bursts_is_filled_to_what_can_be_processed_together() -> None:
    assert contiguous(["087_000010_IW1", "087_000012_IW1"]) == ("087_000010_IW1", "087_000011_IW1", "087_000012_IW1")
    assert contiguous(["087_000010_IW1", "087_000013_IW2"]) == (
        "087_000010_IW1", "087_000011_IW1", "087_000011_IW2", "087_000012_IW1", "087_000012_IW2", "087_000013_IW2",
    )  # fmt: skip
    with pytest.raises(SlipscanError, match="add 087_000011_IW1"):
        named_bursts(["087_000010_IW1", "087_000012_IW1"])
    with pytest.raises(SlipscanError, match="tracks 087, 088"):
        contiguous(["087_000010_IW1", "088_000010_IW1"])
    with pytest.raises(SlipscanError, match="no full burst id"):
        contiguous(["185682_IW2"])


@hypothesis_settings(max_examples=50, deadline=None, derandomize=True)
@given(st.sets(st.tuples(st.integers(1, 9), st.sampled_from([1, 2, 3])), min_size=1))
def test_a_filled_set_is_contiguous(parts: set[tuple[int, int]]) -> None:
    asked = {f"087_{number:06d}_IW{swath}" for number, swath in parts}
    filled = contiguous(asked)
    assert asked <= set(filled) and contiguous(filled) == filled
    ranges = {s: [int(b[4:10]) for b in filled if b.endswith(f"IW{s}")] for s in "123"}
    for one, other in (("1", "2"), ("2", "3")):
        if ranges[one] and ranges[other]:
            assert abs(min(ranges[one]) - min(ranges[other])) <= 1
            assert abs(max(ranges[one]) - max(ranges[other])) <= 1


@pytest.fixture
def loopback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    with running(tmp_path, monkeypatch) as made:
        yield made


def test_bursts_of_a_pass_are_one_epoch_with_its_baseline(loopback: Loopback) -> None:
    products = catalogue.search(loopback.settings, dataset="SLC-BURST", relativeOrbit=[87])
    assert burst_set(products) == BURSTS
    found, incomplete = epochs_of(products, BURSTS)
    assert [epoch.date for epoch in found] == [date.isoformat() for date in DATES] and not incomplete
    assert all([name[3:13] for name in epoch.granules] == ["185682_IW2", "185683_IW2"] for epoch in found)
    true = [SCENE.perpendicular_baseline(date) - SCENE.perpendicular_baseline(DATES[0]) for date in DATES]
    measured = np.array([epoch.baseline_m for epoch in found], float)
    sign = np.sign(measured @ true)  # either direction may be positive: the filter takes the absolute value
    assert np.ptp(true) > 50
    np.testing.assert_allclose(sign * measured, true, atol=3)


def test_an_incomplete_pass_is_left_out_and_said(loopback: Loopback, caplog: pytest.LogCaptureFixture) -> None:
    gap = [(BURSTS[1], DATES[2])]
    loopback.catalogue.granules.clear()
    loopback.catalogue.add(bursts.publish(SCENE, BURSTS, missing=gap))
    table = loopback.manifest()
    assert DATES[2].isoformat() not in {*table["reference_date"], *table["secondary_date"]}
    assert f"{DATES[2]} is left out: no {BURSTS[1]}" in caplog.text


def test_of_reprocessed_bursts_the_greatest_name_is_taken(loopback: Loopback, caplog: pytest.LogCaptureFixture) -> None:
    old = loopback.catalogue.granules[0]
    later, earlier = old.name[:-10] + "FFFF-BURST", old.name[:-10] + "0000-BURST"
    loopback.catalogue.add([replace(old, name=later), replace(old, name=earlier)])
    with caplog.at_level("INFO"):
        found, _ = epochs_of(catalogue.search(loopback.settings, dataset="SLC-BURST", relativeOrbit=[87]), BURSTS)
    assert found[0].granules[0] == later and len(found) == len(DATES)
    assert f"{old.name} is superseded by {later}" in caplog.text


def test_a_pass_over_midnight_is_one_epoch() -> None:
    scene = replace(SCENE, pass_time=datetime.time(23, 59, 58))
    late = bursts.publish(scene, BURSTS[:1])
    next_day = [
        replace(g, name=g.name.replace("235958", "000001"), begin=g.begin + datetime.timedelta(seconds=3))
        for g in bursts.publish(scene, BURSTS[1:])
    ]
    with LoopbackServer() as server:
        cmr.register(server, cmr.Catalogue([*late, *next_day]), {})
        products = catalogue.search(ArchiveSettings(cmr_url=server.url), dataset="SLC-BURST", relativeOrbit=[87])
    found, incomplete = epochs_of(products, BURSTS)
    assert [epoch.date for epoch in found] == [date.isoformat() for date in DATES] and not incomplete


def test_the_manifest_is_the_plan_and_grows_with_the_archive(loopback: Loopback) -> None:
    table = loopback.manifest()
    assert tuple(table.columns) == COLUMNS
    assert list(zip(table["reference_date"], table["secondary_date"], strict=True)) == [
        (DATES[i].isoformat(), DATES[j].isoformat()) for i in range(4) for j in range(i + 1, min(i + 3, 4))
    ]
    earlier = loopback.manifest(DATES[2].isoformat())
    assert set(earlier["granule"]) < set(table["granule"])
    assert table["granule"].is_unique and set(table["product_version"]) == {"INSAR_ISCE_MULTI_BURST 20x4"}
    assert "http" not in table.to_csv() and loopback.posts() == 0
    text = Hyp3().query(job_of(REGION, loopback.settings), AS_OF)
    assert "SLC-BURST" in text and "POLYGON" in text


def test_no_pass_and_too_many_bursts_are_refused(loopback: Loopback) -> None:
    with pytest.raises(SlipscanError, match=r"region TEST track 087A has 0 passes .* orbit 87, ascending"):
        loopback.manifest("2019-01-01")
    loopback.catalogue.granules.clear()
    loopback.catalogue.add(bursts.publish(SCENE, [f"087_{n:06d}_IW2" for n in range(16)]))
    with pytest.raises(SlipscanError, match="16 bursts"):
        loopback.manifest()


def test_gunw_orders_have_the_newer_date_as_reference(loopback: Loopback) -> None:
    pytest.importorskip("asf_enumeration", reason="asf-enumeration is not installed: it knows the frames of GUNW")
    gunw = loopback.settings.model_copy(update={"hyp3": Hyp3Settings(product="ARIA_S1_GUNW", neighbours=1)})
    planned = planned_orders(job_of(REGION, gunw), AS_OF)
    assert planned
    for row, order in planned:
        assert order.parameters["reference_date"] == row["secondary_date"] > row["reference_date"]
        assert row["frame"] == str(order.parameters["frame_id"])


def test_no_frames_without_their_map(loopback: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asf_enumeration.aria_s1_gunw", None)
    gunw = loopback.settings.model_copy(update={"hyp3": Hyp3Settings(product="ARIA_S1_GUNW")})
    with pytest.raises(SlipscanError, match="pip install asf-enumeration"):
        Hyp3().search(job_of(REGION, gunw), AS_OF)
