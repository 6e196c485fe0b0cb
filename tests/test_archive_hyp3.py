"""On-demand interferograms: the planned network, orders that are never paid twice, and the sign of what comes back."""

from __future__ import annotations

import datetime
import json
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
import requests
from affine import Affine
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from job_builders import job_of
from slipscan.archive.asf import catalogue
from slipscan.archive.extent import crop_bounds
from slipscan.archive.hyp3 import orders as order_book
from slipscan.archive.hyp3.archive import Hyp3
from slipscan.archive.hyp3.jobs import Order, credits
from slipscan.archive.hyp3.ordering import states_of
from slipscan.archive.hyp3.orders import OrderBook
from slipscan.archive.hyp3.pairs import Epoch, burst_set, contiguous, epochs_of, named_bursts, plan
from slipscan.archive.hyp3.planning import planned_orders
from slipscan.archive.hyp3.session import connect
from slipscan.archive.manifest import COLUMNS
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid, read_grid
from slipscan.regions import Region, Track
from slipscan.settings import ArchiveSettings, Hyp3Settings
from slipscan.vocabulary import check
from slipscan_loopback import bursts, cmr
from slipscan_loopback import hyp3 as loopback_hyp3
from slipscan_loopback.http import LoopbackServer, Request, Response
from slipscan_loopback.scene import TrueScene, acquisitions
from waiting import LONG_S

BURSTS = ("087_185682_IW2", "087_185683_IW2")
DATES = acquisitions(count=4)
PAIRS = 5  # of four dates with their next two neighbours
SCENE = TrueScene(dates=DATES)
AS_OF = "2020-12-31"
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


@dataclass
class Loopback:
    """A server with the catalogue of a scene's bursts and a HyP3 of its own."""

    server: LoopbackServer
    catalogue: cmr.Catalogue
    api: loopback_hyp3.Hyp3Api
    settings: ArchiveSettings
    cache: Path

    def manifest(self, as_of: str = AS_OF) -> pd.DataFrame:
        return Hyp3().search(job_of(REGION, self.settings), as_of)

    def order(self, table: pd.DataFrame, submit: bool = False, again: bool = False, cache: Path | None = None) -> str:
        return Hyp3().order(table, job_of(REGION, self.settings, cache or self.cache), submit, again)

    def look(self, table: pd.DataFrame) -> None:
        """Let HyP3 get on with the jobs, which it does when they are looked at."""
        states_of(OrderBook(self.settings, self.cache), table)

    def posts(self) -> int:
        return sum(record.method == "POST" and record.path.endswith("/jobs") for record in self.server.requests)


def region(scene: TrueScene = SCENE, **track: object) -> Region:
    entry = {"id": "087A", "relative_orbit": 87, "orbit_direction": "ascending", **track}
    return Region(
        id="TEST", name="Test", archive="hyp3", tracks=(Track.model_validate(entry),), polygon=scene.polygon,
        reference_point=scene.reference_point, tectonic_setting="continental transform",
    )  # fmt: skip


REGION = region()
TRACK = REGION.tracks[0]


class KillingApi(loopback_hyp3.Hyp3Api):
    """Accepts the jobs, and kills the client before the answer."""

    victim: subprocess.Popen[bytes] | None = None

    def _post_jobs(self, request: Request) -> Response:
        answer = super()._post_jobs(request)
        if self.victim is not None:
            self.victim.send_signal(signal.SIGKILL)
            self.victim.wait()
        return answer


@pytest.fixture
def loopback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    monkeypatch.setenv("EARTHDATA_TOKEN", "token-of-tests")
    monkeypatch.setattr(order_book, "SETTLE_S", 0.0)
    api = KillingApi(SCENE, tmp_path / "products", posting_m=400.0, credits=100.0, token="token-of-tests", polls=1)
    catalogue = cmr.Catalogue(bursts.publish(SCENE, BURSTS))
    with LoopbackServer() as server:
        cmr.register(server, catalogue, {})
        api.register(server)
        yield Loopback(
            server, catalogue, api,
            ArchiveSettings.model_validate({
                "cmr_url": server.url, "hyp3_url": f"{server.url}/hyp3",
                "download": {"attempts": 2, "backoff_s": 0.0}, "hyp3": {"neighbours": 2},
            }),
            tmp_path / "cache",
        )  # fmt: skip


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


# Orders ---------------------------------------------------------------------------------------------------------------


def test_credits_are_read_off_the_nested_table() -> None:
    table = {
        "ARIA_S1_GUNW": {"cost": 60.0},
        "INSAR_ISCE_MULTI_BURST": {"cost_parameters": ["looks", "reference"], "cost_table": {"5x1": {"1": 1, "3": 10}}},
    }
    three = Order("INSAR_ISCE_MULTI_BURST", {"looks": "5x1", "reference": ["a", "b", "c"]})
    assert credits(table, three) == 10
    assert credits(table, Order("ARIA_S1_GUNW", {"frame_id": 3})) == 60
    with pytest.raises(SlipscanError, match="no price"):
        credits(table, Order("INSAR_ISCE_MULTI_BURST", {"looks": "20x4", "reference": ["a"]}))


def test_a_job_is_named_by_all_that_is_in_it() -> None:
    one = Order("INSAR_ISCE_MULTI_BURST", {"looks": "5x1", "reference": ["a"], "secondary": ["b"]})
    same = Order("INSAR_ISCE_MULTI_BURST", {"secondary": ["b"], "reference": ["a"], "looks": "5x1"})
    other = Order("INSAR_ISCE_MULTI_BURST", {"looks": "5x1", "reference": ["a"], "secondary": ["c"]})
    assert one.name == same.name != other.name and len(one.name) == len("slipscan-") + 20


def test_the_price_comes_first_and_nothing_is_spent_without_submit(loopback: Loopback) -> None:
    table = loopback.manifest()
    text = loopback.order(table)
    assert f"{table['reference_date'][0]}  {table['secondary_date'][0]}         1" in text
    assert "5 to order: 5 credits; 100 credits left" in text and "add --submit" in text
    assert loopback.posts() == 0 and loopback.api.jobs == [] and loopback.api.credits == 100


def test_orders_are_placed_once_in_batches(loopback: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_book, "BATCH", 3)
    table = loopback.manifest()
    text = loopback.order(table, submit=True)
    assert "5 ordered" in text and "of 5 interferograms: 0 fetched; at HyP3: 5" in text
    assert loopback.posts() == 2 and loopback.api.credits == 95
    names = [job["name"] for job in loopback.api.jobs]
    assert sorted(names) == sorted(f"slipscan-{granule[-20:]}" for granule in table["granule"])
    for job in loopback.api.jobs:
        reference, secondary = job["job_parameters"]["reference"], job["job_parameters"]["secondary"]
        assert [name[3:13] for name in reference] == [name[3:13] for name in secondary]
        assert max(name[14:22] for name in reference) < min(name[14:22] for name in secondary)
    assert "0 to order: 0 credits" in loopback.order(table, submit=True)
    # another machine, or a cache that was deleted
    assert "0 to order: 0 credits" in loopback.order(table, submit=True, cache=loopback.cache / "other")
    assert loopback.posts() == 2 and len(loopback.api.jobs) == PAIRS


def test_a_lost_answer_is_not_paid_twice(loopback: Loopback) -> None:
    table = loopback.manifest()
    loopback.api.lost_answers = 1
    with pytest.raises(SlipscanError, match=r"sending 5 jobs .* run it again: nothing is ordered twice"):
        loopback.order(table, submit=True)
    assert len(loopback.api.jobs) == PAIRS
    assert "0 to order" in loopback.order(table, submit=True)
    assert loopback.posts() == 1 and loopback.api.credits == 95


def test_a_run_that_is_killed_before_the_answer_is_not_paid_twice(loopback: Loopback, tmp_path: Path) -> None:
    orders = [Order("INSAR_ISCE_MULTI_BURST", job) for job in _parameters(loopback)]
    asked = tmp_path / "orders.json"
    asked.write_text(json.dumps([loopback.settings.model_dump(), [dict(order.parameters) for order in orders]]))
    script = (
        "import json, sys, pathlib\n"
        "from slipscan.archive.hyp3.orders import OrderBook, Order\n"
        "from slipscan.settings import ArchiveSettings\n"
        "sys.stdin.readline()\n"
        "settings, jobs = json.loads(pathlib.Path(sys.argv[1]).read_text())\n"
        "book = OrderBook(ArchiveSettings.model_validate(settings), pathlib.Path(sys.argv[2]))\n"
        "book.submit([Order('INSAR_ISCE_MULTI_BURST', job) for job in jobs])\n"
    )
    command = [sys.executable, "-c", script, str(asked), str(loopback.cache)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        loopback.api.victim = process
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
    loopback.api.victim = None
    assert process.returncode == -signal.SIGKILL and len(loopback.api.jobs) == PAIRS
    book = OrderBook(loopback.settings, loopback.cache)
    record = json.loads(book.path.read_text())
    assert all(entry["sent"] and not entry["jobs"] for entry in record.values()) and len(record) == PAIRS
    assert book.submit(orders) == 0
    assert len(loopback.api.jobs) == PAIRS and loopback.api.credits == 95
    assert all(entry["jobs"] and entry["sent"] is None for entry in json.loads(book.path.read_text()).values())


def _parameters(loopback: Loopback) -> list[dict[str, object]]:
    planned = planned_orders(job_of(REGION, loopback.settings), AS_OF)
    return [dict(order.parameters) for _, order in planned]


def test_a_request_without_an_answer_is_waited_for(loopback: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    """HyP3 may list a job a moment after it was killed off: no order is repeated before that moment is over."""
    monkeypatch.setattr(order_book, "SETTLE_S", LONG_S)
    table = loopback.manifest()
    loopback.api.lost_answers = 1
    with pytest.raises(SlipscanError):
        loopback.order(table, submit=True)
    hidden, loopback.api._jobs = loopback.api._jobs, {}
    waited: list[float] = []

    def appear(seconds: float) -> None:
        waited.append(seconds)
        loopback.api._jobs = hidden

    monkeypatch.setattr(order_book.time, "sleep", appear)
    loopback.order(table, submit=True)
    assert 0 < waited[0] <= LONG_S and len(loopback.api.jobs) == PAIRS


def test_too_few_credits_order_nothing(loopback: Loopback) -> None:
    loopback.api.credits = 4
    table = loopback.manifest()
    with pytest.raises(SlipscanError, match="cost 5 credits and 4 are left"):
        loopback.order(table, submit=True)
    assert loopback.posts() == 0


def test_a_refused_request_leaves_no_open_intent(loopback: Loopback) -> None:
    book = OrderBook(loopback.settings, loopback.cache)
    with pytest.raises(SlipscanError, match="refused"):
        book.submit([Order("INSAR_ISCE_MULTI_BURST", {"reference": [], "secondary": [], "looks": "20x4"})])
    assert all(entry["sent"] is None for entry in json.loads(book.path.read_text()).values())


def test_failed_jobs_are_listed_and_repeated_on_request_only(loopback: Loopback) -> None:
    pair = (DATES[0].isoformat(), DATES[1].isoformat())
    loopback.api.failing.add(pair)
    table = loopback.manifest()
    loopback.order(table, submit=True)
    text = loopback.order(table, submit=True)
    assert f"{pair[0]}  {pair[1]}  failed (sent 1 x, log http" in text and "4 succeeded, 1 failed" in text
    assert len(loopback.api.jobs) == PAIRS
    with pytest.raises(SlipscanError, match=r"1 of 5 .*\(1 failed\): run `slipscan archive order TEST 087A .*--again`"):
        Hyp3().locate(table, job_of(REGION, loopback.settings, loopback.cache))
    loopback.api.failing.clear()
    assert "1 ordered" in loopback.order(table, submit=True, again=True)
    assert len(loopback.api.jobs) == PAIRS + 1
    loopback.look(table)
    assert "at HyP3: 5 succeeded" in loopback.order(table)


def test_what_is_not_there_is_said_with_the_command(loopback: Loopback) -> None:
    table = loopback.manifest()
    with pytest.raises(SlipscanError, match=r"5 of 5 .*\(5 not ordered\): run `slipscan archive order TEST 087A"):
        Hyp3().locate(table, job_of(REGION, loopback.settings, loopback.cache))
    loopback.api.polls = 5
    loopback.order(table, submit=True)
    with pytest.raises(SlipscanError, match=r"\(5 (pending|running)\): fetch again when HyP3 has made them"):
        Hyp3().locate(table, job_of(REGION, loopback.settings, loopback.cache))


def test_expired_urls_are_renewed_and_deleted_files_ordered_again(loopback: Loopback) -> None:
    table = loopback.manifest(DATES[1].isoformat())
    loopback.order(table, submit=True)
    loopback.look(table)
    ((file,),) = Hyp3().locate(table, job_of(REGION, loopback.settings, loopback.cache)).values()
    assert file.bytes == len(requests.get(file.url, timeout=LONG_S).content)
    loopback.api.expire_links()
    assert requests.get(file.url, timeout=LONG_S).status_code == 403
    ((renewed,),) = Hyp3().locate(table, job_of(REGION, loopback.settings, loopback.cache)).values()
    assert (renewed.name, renewed.bytes) == (file.name, file.bytes)
    assert requests.get(renewed.url, timeout=LONG_S).status_code == 200
    loopback.api.expire_products()
    with pytest.raises(SlipscanError, match=r"\(1 expired\): run `.* --again`"):
        Hyp3().locate(table, job_of(REGION, loopback.settings, loopback.cache))
    assert "1 to order: 1 credits" in loopback.order(table, again=True) and len(loopback.api.jobs) == 1
    assert "1 ordered" in loopback.order(table, submit=True, again=True) and len(loopback.api.jobs) == 2
    loopback.look(table)
    (again,) = Hyp3().locate(table, job_of(REGION, loopback.settings, loopback.cache))[table["granule"][0]]
    assert again.name != file.name


def test_a_manifest_of_another_plan_is_not_ordered(loopback: Loopback) -> None:
    table = loopback.manifest()
    changed = loopback.settings.model_copy(update={"hyp3": Hyp3Settings(looks="10x2")})
    with pytest.raises(SlipscanError, match=r"5 interferograms of the manifest .* make the manifest again"):
        Hyp3().order(table, job_of(REGION, changed, loopback.cache), submit=True)
    assert loopback.posts() == 0


def test_credentials(loopback: Loopback, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EARTHDATA_TOKEN", "another-token")
    with pytest.raises(SlipscanError, match=r"refused .*401.* renew the login") as refused:
        OrderBook(loopback.settings, loopback.cache).credits_left()
    assert "another-token" not in str(refused.value)
    with pytest.raises(SlipscanError, match="credentials go to"):
        connect(ArchiveSettings(hyp3_url="https://hyp3.example.org"))
    with pytest.raises(SlipscanError, match="credentials go to"):
        connect(ArchiveSettings(hyp3_url="http://hyp3-api.asf.alaska.edu"))
    monkeypatch.delenv("EARTHDATA_TOKEN")
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    with pytest.raises(SlipscanError, match="EARTHDATA_TOKEN"):
        connect(ArchiveSettings())
    (tmp_path / "netrc").write_text("default login somebody password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("EARTHDATA_TOKEN", "token-of-tests")
    assert OrderBook(loopback.settings, loopback.cache).credits_left() == 100
    real = connect(ArchiveSettings())  # nothing is sent: a token needs no login
    request = real.session.prepare_request(requests.Request("GET", f"{real.url}/user"))
    assert request.headers["Authorization"] == "Bearer token-of-tests"


def test_questions_are_repeated_and_silence_ends() -> None:
    answers = [Response(503, b"<html>", "text/html"), Response(200, b'{"remaining_credits": 3}', "application/json")]
    with LoopbackServer() as server:
        server.route("/user", lambda request: answers.pop(0))
        download = {"attempts": 2, "backoff_s": 0.0, "read_timeout_s": LONG_S}
        settings = ArchiveSettings.model_validate({"hyp3_url": server.url, "download": download})
        assert connect(settings).check_credits() == 3


# Products -------------------------------------------------------------------------------------------------------------

NAME = "S1_087_000000s1n00-185682s2n02-000000s3n00_IW_20200103_20200115_VV_INT80_ABCD"
ROW = pd.Series(
    {"product_version": "INSAR_ISCE_MULTI_BURST 20x4", "reference_date": "2020-01-03", "secondary_date": "2020-01-15"}
)
LEFT, TOP = 480_000.0, 4_520_000.0  # UTM 36 north
AREA = (32.70, 40.75, 32.85, 40.90)  # beyond the whole product


def write_product(path: Path, name: str = NAME, **layers: np.ndarray) -> Path:
    """A product of 3 x 4 cells whose numbers are chosen by hand."""
    shape = (3, 4)
    phase = np.full(shape, 10, np.float32)
    phase[0, 0], phase[2, 3] = 0, -10
    made = {
        "unw_phase": phase,
        "corr": np.full(shape, 0.5, np.float32),
        "conncomp": np.where(phase == 0, 0, 2).astype(np.float32),
        "lv_theta": np.full(shape, np.deg2rad(52.0), np.float32),  # incidence 38 degrees
        "lv_phi": np.full(shape, np.deg2rad(-168.0), np.float32),  # to the west and a little south: ascending
        "dem": np.full(shape, 900, np.float32),
        **layers,
    }
    with zipfile.ZipFile(path, "w") as archive:
        for layer, values in made.items():
            with rasterio.MemoryFile() as memory:
                transform = Affine(80, 0, LEFT, 0, -80, TOP)
                with memory.open(
                    driver="GTiff", width=4, height=3, count=1, crs="EPSG:32636", transform=transform,
                    dtype=values.dtype.name, nodata=0,
                ) as raster:  # fmt: skip
                    raster.write(values, 1)
                archive.writestr(f"{name}/{name}_{layer}.tif", bytes(memory.getbuffer()))
    return path


def test_positive_phase_is_motion_away_from_the_satellite(tmp_path: Path) -> None:
    crop = Hyp3().crop(ROW, [write_product(tmp_path / "a.zip")], job_of(REGION), AREA)
    assert crop is not None
    check(crop, "granule")
    motion = crop["interferogram"].values
    assert np.isnan(motion[0, 0])
    assert motion[1, 1] == pytest.approx(-0.0441383, abs=1e-6)  # 10 rad x 0.05546576 m / (4 pi), away
    assert motion[2, 3] == pytest.approx(+0.0441383, abs=1e-6)
    assert crop["component"].values.tolist() == [[0, 2, 2, 2], [2, 2, 2, 2], [2, 2, 2, 2]]
    assert crop["coherence"].values[1, 1] == 0.5 and crop["height"].values[1, 1] == 900
    los = [float(crop[f"los_{name}"][1, 1]) for name in ("east", "north", "up")]
    np.testing.assert_allclose(los, [-0.602208, -0.128003, 0.788011], atol=1e-5)
    assert crop.attrs["reference_date"] == "2020-01-03" and crop.attrs["secondary_date"] == "2020-01-15"
    grid = read_grid(crop)
    assert grid.crs.to_epsg() == 32636 and grid.x[0] == LEFT + 40 and grid.y[0] == TOP - 40


def test_only_the_window_is_read(tmp_path: Path) -> None:
    path = write_product(tmp_path / "a.zip")
    inner = Grid(LEFT + np.array([130.0, 190.0]), TOP - np.array([130.0, 190.0]), read_grid_of(path, tmp_path).crs)
    lon, lat = inner.lonlat()
    crop = Hyp3().crop(ROW, [path], job_of(REGION), (lon.min(), lat.min(), lon.max(), lat.max()))
    assert crop is not None and crop["interferogram"].shape == (2, 2)
    assert crop["x"].values.tolist() == [LEFT + 120, LEFT + 200]
    assert Hyp3().crop(ROW, [path], job_of(REGION), (10.0, 10.0, 10.1, 10.1)) is None


def read_grid_of(path: Path, tmp_path: Path) -> Grid:
    crop = Hyp3().crop(ROW, [path], job_of(REGION), AREA)
    assert crop is not None
    return read_grid(crop)


def test_a_product_without_a_valid_pixel_is_none(tmp_path: Path) -> None:
    path = write_product(tmp_path / "a.zip", unw_phase=np.zeros((3, 4), np.float32))
    assert Hyp3().crop(ROW, [path], job_of(REGION), AREA) is None


def test_bad_products_are_refused(tmp_path: Path) -> None:
    good = write_product(tmp_path / "a.zip")
    descending = region(orbit_direction="descending").tracks[0]
    with pytest.raises(SlipscanError, match="impossible for a right-looking descending"):
        Hyp3().crop(ROW, [good], job_of(REGION, track=descending), AREA)
    other = write_product(tmp_path / "b.zip", name=NAME.replace("20200103_20200115", "20200115_20200103"))
    with pytest.raises(SlipscanError, match="from 20200115 to 20200103, not from 20200103 to 20200115"):
        Hyp3().crop(ROW, [other], job_of(REGION), AREA)
    content = bytearray(good.read_bytes())
    content[content.index(np.float32(-10).tobytes())] ^= 0xFF  # a byte of the phase
    (tmp_path / "c.zip").write_bytes(content)
    with pytest.raises(SlipscanError, match=r"c\.zip is damaged .*CRC.* fetch it again"):
        Hyp3().crop(ROW, [tmp_path / "c.zip"], job_of(REGION), AREA)
    (tmp_path / "d.zip").write_bytes(content[:-30])
    with pytest.raises(SlipscanError, match="is damaged"):
        Hyp3().crop(ROW, [tmp_path / "d.zip"], job_of(REGION), AREA)
    with zipfile.ZipFile(tmp_path / "e.zip", "w") as archive:
        archive.writestr("a/a.txt", "nothing")
    with pytest.raises(SlipscanError, match="no layer interferogram"):
        Hyp3().crop(ROW, [tmp_path / "e.zip"], job_of(REGION), AREA)
    percent = write_product(tmp_path / "f.zip", corr=np.full((3, 4), 50, np.float32))
    with pytest.raises(SlipscanError, match="reaches 50, this is not the scale of the convention hyp3"):
        Hyp3().crop(ROW, [percent], job_of(REGION), AREA)


def test_the_true_motion_comes_back_from_search_to_crop(loopback: Loopback, tmp_path: Path) -> None:
    table = loopback.manifest(DATES[2].isoformat())
    loopback.order(table, submit=True)
    loopback.look(table)
    files = Hyp3().locate(table, job_of(REGION, loopback.settings, loopback.cache))
    for _, row in table.iterrows():
        (file,) = files[row["granule"]]
        path = tmp_path / file.name
        path.write_bytes(requests.get(file.url, timeout=LONG_S).content)
        crop = Hyp3().crop(row, [path], job_of(REGION), crop_bounds(REGION))
        assert crop is not None
        lon, lat = read_grid(crop).lonlat()
        dates = (datetime.date.fromisoformat(row[name]) for name in ("reference_date", "secondary_date"))
        difference = crop["interferogram"].values - SCENE.interferogram(lon, lat, *dates)
        valid = difference[np.isfinite(difference)]
        assert valid.size > 500 and np.ptp(valid) < 1e-5  # a constant is undetermined
        inside = np.isfinite(crop["los_east"].values)
        np.testing.assert_allclose(crop["los_east"].values[inside], SCENE.los(lon, lat)[0][inside], atol=1e-4)


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


def test_three_that_order_at_once_send_each_pair_once(loopback: Loopback) -> None:
    orders = [Order("INSAR_ISCE_MULTI_BURST", parameters) for parameters in _parameters(loopback)]
    sent: list[int] = []
    threads = [
        threading.Thread(target=lambda: sent.append(OrderBook(loopback.settings, loopback.cache).submit(orders)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(sent) == [0, 0, PAIRS] and len(loopback.api.jobs) == PAIRS
