"""Files over HTTP: whole, resumed and checked through faults of every kind."""

import datetime
import email.utils
import hashlib
import logging
import re
import time
from pathlib import Path

import pytest

from download_builders import FAST, bytes_of, hidden, listed, md5, of_path, serve
from slipscan.archive.granules import RemoteFile
from slipscan.archive.http.download import download
from slipscan.archive.http.retry import retry_after_s
from slipscan.errors import SlipscanError
from slipscan_loopback.http import KINDS, Faults, LoopbackServer, Request, Response
from waiting import LONG_S

pytestmark = pytest.mark.usefixtures("no_login")


def test_200_files_arrive_whole_through_faults_of_every_kind(granules: Path) -> None:
    files = {f"granule_{i:03}.nc": bytes_of(str(i), 200 + 37 * i) for i in range(200)}
    with LoopbackServer(Faults(0.2, seed=3, trickle_s=2)) as server:
        serve(server, files)
        paths = download(listed(server, files), granules, FAST, renew=lambda file: file)
        assert [p.name for p in paths] == list(files)
        assert all((granules / name).read_bytes() == data for name, data in files.items())
        assert hidden(granules) == []
        faults = [record.fault for record in server.requests]
        assert set(faults) == {"", *KINDS}
        assert 0.12 < sum(bool(f) for f in faults) / len(faults) < 0.28
        for name in files:
            assert [bool(r.fault) for r in of_path(server, f"/{name}")].count(False) == 1, "whole, and fetched again"
            assert of_path(server, f"/{name}")[-1].fault == ""
        before = len(server.requests)
        download(listed(server, files), granules, FAST)
        assert len(server.requests) == before


def test_a_transfer_that_falls_silent_is_begun_again(granules: Path) -> None:
    data = bytes_of("a", 3000)
    with LoopbackServer(Faults(1.0, ("trickle",), per_path=1, trickle_s=LONG_S)) as server:
        serve(server, {"a.nc": data})
        impatient = FAST.model_copy(update={"read_timeout_s": 2.0, "attempts": 20})
        [path] = download(listed(server, {"a.nc": data}), granules, impatient)
        assert path.read_bytes() == data
        assert server.requests[0].fault == "trickle" and server.requests[-1].fault == ""


def test_a_cut_transfer_goes_on_where_it_was_cut(granules: Path) -> None:
    data = bytes_of("a", 300_001)
    with LoopbackServer(Faults(1.0, ("cut",), per_path=2)) as server:
        serve(server, {"a.nc": data})
        [path] = download(listed(server, {"a.nc": data}), granules, FAST)
        assert path.read_bytes() == data
        assert [r.range_start for r in server.requests] == [None, 150_000, 225_000]
        assert sum(r.bytes_sent for r in server.requests) == len(data)


@pytest.mark.parametrize(("changed", "ranges"), [(True, True), (False, False)], ids=["changed file", "no ranges"])
def test_an_answer_from_the_beginning_restarts(granules: Path, changed: bool, ranges: bool) -> None:
    old, new = bytes_of("old", 5000), bytes_of("new" if changed else "old", 5000)

    with LoopbackServer(Faults(1.0, ("cut",), per_path=1)) as server:
        server.route("/a.nc", lambda r: Response(body=new if server.requests[1:] else old, ranges=ranges), faulty=True)
        [path] = download([RemoteFile("a.nc", f"{server.url}/a.nc", 5000, md5(new))], granules, FAST)
        assert path.read_bytes() == new
        assert [(r.range_start, r.status) for r in server.requests] == [(None, 200), (2500, 200)]


def test_a_part_beyond_the_end_of_the_file_restarts(granules: Path) -> None:
    data = bytes_of("a", 1000)
    granules.mkdir()
    (granules / ".a.nc.part").write_bytes(data + b"more")
    with LoopbackServer() as server:
        serve(server, {"a.nc": data})
        [path] = download([RemoteFile("a.nc", f"{server.url}/a.nc", None, md5(data))], granules, FAST)
        assert path.read_bytes() == data
        assert [r.status for r in server.requests] == [416, 200]


def test_a_whole_part_is_not_fetched_again(granules: Path) -> None:
    data = bytes_of("a", 1000)
    granules.mkdir()
    (granules / ".a.nc.part").write_bytes(data)
    with LoopbackServer() as server:
        serve(server, {"a.nc": data})
        [path] = download(listed(server, {"a.nc": data}), granules, FAST)
        assert path.read_bytes() == data and server.requests == []


def test_wrong_bytes_are_fetched_once_more_then_are_an_error(granules: Path) -> None:
    data = bytes_of("a", 1000)
    for times in (1, 2):
        with LoopbackServer(Faults(1.0, ("wrong_bytes",), per_path=times)) as server:
            serve(server, {f"a{times}.nc": data})
            [file] = listed(server, {f"a{times}.nc": data})
            if times == 1:
                assert download([file], granules, FAST)[0].read_bytes() == data
            else:
                with pytest.raises(
                    SlipscanError, match=rf"a2\.nc .* fetched twice: expected {file.checksum}, got md5:"
                ):
                    download([file], granules, FAST)
            assert [r.range_start for r in server.requests] == [None, None]
    assert [p.name for p in granules.iterdir()] == ["a1.nc"]


def test_wrong_sizes_are_an_error_that_names_both(granules: Path) -> None:
    data = bytes_of("a", 1000)
    with LoopbackServer() as server:
        serve(server, {"a.nc": data})
        with pytest.raises(SlipscanError, match=r"a\.nc .* expected 1001 bytes, got 1000"):
            download([RemoteFile("a.nc", f"{server.url}/a.nc", 1001)], granules, FAST)
        assert len(server.requests) == 2


def test_sha256_and_unknown_sizes(granules: Path) -> None:
    data = bytes_of("a", 1000)
    with LoopbackServer() as server:
        serve(server, {"a.nc": data, "b.nc": data})
        good = RemoteFile("a.nc", f"{server.url}/a.nc", None, "sha256:" + hashlib.sha256(data).hexdigest().upper())
        assert download([good, RemoteFile("b.nc", f"{server.url}/b.nc")], granules, FAST)[1].read_bytes() == data
        bad = RemoteFile("c.nc", f"{server.url}/b.nc", None, "crc9:00")
        with pytest.raises(SlipscanError, match="unknown kind"):
            download([bad], granules, FAST)


def test_pages_never_pass_as_data_and_leave_the_part_alone(granules: Path) -> None:
    data = bytes_of("a", 4000)
    page = b"  <!DOCTYPE html><html>please sign in</html>"
    answers = {2: page, 3: page}
    with LoopbackServer(Faults(1.0, ("cut",), per_path=1)) as server:

        def handler(request: Request) -> Response:
            body = answers.get(len(server.requests))
            return Response(body=body, ranges=False) if body else Response(body=data, headers={"ETag": '"1"'})

        server.route("/a.nc", handler, faulty=True)
        [path] = download([RemoteFile("a.nc", f"{server.url}/a.nc")], granules, FAST)
        assert path.read_bytes() == data
        assert [r.range_start for r in server.requests] == [None, 2000, 2000, 2000]
        server.route("/always.nc", lambda r: Response(body=page, content_type="text/html"))
        with pytest.raises(SlipscanError, match=r"always\.nc could not .* in 6 tries \(the last: an HTML page"):
            download([RemoteFile("always.nc", f"{server.url}/always.nc")], granules, FAST)
        assert not (granules / "always.nc").exists()


def test_retry_after_is_obeyed_up_to_the_longest_wait(granules: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    times: list[float] = []

    def busy_once(request: Request) -> Response:
        times.append(time.monotonic())
        if len(times) % 2:
            return Response(429, headers={"Retry-After": "1"})
        return Response(body=bytes_of("a", 100))

    with LoopbackServer() as server:
        server.route(r"/\w\.nc", busy_once)
        patient = FAST.model_copy(update={"max_wait_s": 5.0})
        download([RemoteFile("a.nc", f"{server.url}/a.nc")], granules, patient)
        download([RemoteFile("b.nc", f"{server.url}/b.nc")], granules, FAST)
    assert times[1] - times[0] >= 1.0 and times[3] - times[2] >= 0.2
    waits = [float(wait) for wait in re.findall(r"next in ([\d.]+) s", caplog.text)]
    assert 1.0 <= waits[0] <= 1.1 and waits[1] == 0.2


def test_retry_after_may_be_a_date() -> None:
    tomorrow = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
    assert 86400 - LONG_S < retry_after_s(email.utils.format_datetime(tomorrow, usegmt=True)) <= 86400
    assert retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert retry_after_s("7") == 7 and retry_after_s("") == 0 and retry_after_s("soon") == 0
