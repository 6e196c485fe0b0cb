"""On-demand interferograms: orders that are never paid twice, and what becomes of them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from hyp3_builders import AS_OF, DATES, REGION, Loopback, running
from job_builders import job_of
from slipscan.archive.hyp3 import orders as order_book
from slipscan.archive.hyp3.archive import Hyp3
from slipscan.archive.hyp3.jobs import Order, credits
from slipscan.archive.hyp3.orders import OrderBook
from slipscan.archive.hyp3.planning import planned_orders
from slipscan.errors import SlipscanError
from slipscan.settings import Hyp3Settings
from waiting import LONG_S

PAIRS = 5  # of four dates with their next two neighbours


@pytest.fixture
def loopback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    with running(tmp_path, monkeypatch) as made:
        yield made


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
