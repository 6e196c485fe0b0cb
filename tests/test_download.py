"""Files over HTTP, fetched by the real code from a real server on 127.0.0.1 that fails on purpose."""

import base64
import datetime
import email.utils
import hashlib
import io
import json
import logging
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from slipscan.archive.granules import RemoteFile
from slipscan.archive.http.credentials import EarthdataSession
from slipscan.archive.http.download import download
from slipscan.archive.http.locks import StoppedError, locked
from slipscan.archive.http.retry import retry_after_s
from slipscan.errors import SlipscanError
from slipscan.settings import DownloadSettings
from slipscan_loopback.http import KINDS, Faults, LoopbackServer, Record, Request, Response
from waiting import LONG_S, wait_until

FAST = DownloadSettings(parallel=8, attempts=6, backoff_s=0.01, max_wait_s=0.2, connect_timeout_s=60, read_timeout_s=60)
TOKEN = "eyJ0eXAiOiJKV1QifQ.not-a-real-token_0123"


@pytest.fixture(autouse=True)
def _no_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("EARTHDATA_TOKEN", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "granules"


def bytes_of(name: str, size: int) -> bytes:
    """What a file holds: the magic bytes of HDF5, then noise that its name alone makes."""
    return (b"\x89HDF\r\n\x1a\n" + random.Random(name).randbytes(size))[:size]


def md5(data: bytes) -> str:
    return "md5:" + hashlib.md5(data, usedforsecurity=False).hexdigest()


def serve(server: LoopbackServer, files: dict[str, bytes], bytes_per_s: float = 0) -> None:
    """Serve files below /, with the faults of the server."""
    pattern = r"/(\w+\.\w+)"
    server.route(pattern, lambda r: Response(body=files[r.match[1]], bytes_per_s=bytes_per_s), faulty=True)


def listed(server: LoopbackServer, files: dict[str, bytes]) -> list[RemoteFile]:
    return [RemoteFile(name, f"{server.url}/{name}", len(data), md5(data)) for name, data in files.items()]


def of_path(server: LoopbackServer, path: str) -> list[Record]:
    return [record for record in server.requests if record.path == path]


def hidden(directory: Path) -> list[str]:
    return sorted(p.name for p in directory.iterdir() if p.name.startswith("."))


def test_200_files_arrive_whole_through_faults_of_every_kind(directory: Path) -> None:
    files = {f"granule_{i:03}.nc": bytes_of(str(i), 200 + 37 * i) for i in range(200)}
    with LoopbackServer(Faults(0.2, seed=3, trickle_s=2)) as server:
        serve(server, files)
        paths = download(listed(server, files), directory, FAST, renew=lambda file: file)
        assert [p.name for p in paths] == list(files)
        assert all((directory / name).read_bytes() == data for name, data in files.items())
        assert hidden(directory) == []
        faults = [record.fault for record in server.requests]
        assert set(faults) == {"", *KINDS}
        assert 0.12 < sum(bool(f) for f in faults) / len(faults) < 0.28
        for name in files:
            assert [bool(r.fault) for r in of_path(server, f"/{name}")].count(False) == 1, "whole, and fetched again"
            assert of_path(server, f"/{name}")[-1].fault == ""
        before = len(server.requests)
        download(listed(server, files), directory, FAST)
        assert len(server.requests) == before


def test_a_transfer_that_falls_silent_is_begun_again(directory: Path) -> None:
    data = bytes_of("a", 3000)
    with LoopbackServer(Faults(1.0, ("trickle",), per_path=1, trickle_s=LONG_S)) as server:
        serve(server, {"a.nc": data})
        impatient = FAST.model_copy(update={"read_timeout_s": 2.0, "attempts": 20})
        [path] = download(listed(server, {"a.nc": data}), directory, impatient)
        assert path.read_bytes() == data
        assert server.requests[0].fault == "trickle" and server.requests[-1].fault == ""


def test_a_cut_transfer_goes_on_where_it_was_cut(directory: Path) -> None:
    data = bytes_of("a", 300_001)
    with LoopbackServer(Faults(1.0, ("cut",), per_path=2)) as server:
        serve(server, {"a.nc": data})
        [path] = download(listed(server, {"a.nc": data}), directory, FAST)
        assert path.read_bytes() == data
        assert [r.range_start for r in server.requests] == [None, 150_000, 225_000]
        assert sum(r.bytes_sent for r in server.requests) == len(data)


@pytest.mark.parametrize(("changed", "ranges"), [(True, True), (False, False)], ids=["changed file", "no ranges"])
def test_an_answer_from_the_beginning_restarts(directory: Path, changed: bool, ranges: bool) -> None:
    old, new = bytes_of("old", 5000), bytes_of("new" if changed else "old", 5000)

    with LoopbackServer(Faults(1.0, ("cut",), per_path=1)) as server:
        server.route("/a.nc", lambda r: Response(body=new if server.requests[1:] else old, ranges=ranges), faulty=True)
        [path] = download([RemoteFile("a.nc", f"{server.url}/a.nc", 5000, md5(new))], directory, FAST)
        assert path.read_bytes() == new
        assert [(r.range_start, r.status) for r in server.requests] == [(None, 200), (2500, 200)]


def test_a_part_beyond_the_end_of_the_file_restarts(directory: Path) -> None:
    data = bytes_of("a", 1000)
    directory.mkdir()
    (directory / ".a.nc.part").write_bytes(data + b"more")
    with LoopbackServer() as server:
        serve(server, {"a.nc": data})
        [path] = download([RemoteFile("a.nc", f"{server.url}/a.nc", None, md5(data))], directory, FAST)
        assert path.read_bytes() == data
        assert [r.status for r in server.requests] == [416, 200]


def test_a_whole_part_is_not_fetched_again(directory: Path) -> None:
    data = bytes_of("a", 1000)
    directory.mkdir()
    (directory / ".a.nc.part").write_bytes(data)
    with LoopbackServer() as server:
        serve(server, {"a.nc": data})
        [path] = download(listed(server, {"a.nc": data}), directory, FAST)
        assert path.read_bytes() == data and server.requests == []


def test_wrong_bytes_are_fetched_once_more_then_are_an_error(directory: Path) -> None:
    data = bytes_of("a", 1000)
    for times in (1, 2):
        with LoopbackServer(Faults(1.0, ("wrong_bytes",), per_path=times)) as server:
            serve(server, {f"a{times}.nc": data})
            [file] = listed(server, {f"a{times}.nc": data})
            if times == 1:
                assert download([file], directory, FAST)[0].read_bytes() == data
            else:
                with pytest.raises(
                    SlipscanError, match=rf"a2\.nc .* fetched twice: expected {file.checksum}, got md5:"
                ):
                    download([file], directory, FAST)
            assert [r.range_start for r in server.requests] == [None, None]
    assert [p.name for p in directory.iterdir()] == ["a1.nc"]


def test_wrong_sizes_are_an_error_that_names_both(directory: Path) -> None:
    data = bytes_of("a", 1000)
    with LoopbackServer() as server:
        serve(server, {"a.nc": data})
        with pytest.raises(SlipscanError, match=r"a\.nc .* expected 1001 bytes, got 1000"):
            download([RemoteFile("a.nc", f"{server.url}/a.nc", 1001)], directory, FAST)
        assert len(server.requests) == 2


def test_sha256_and_unknown_sizes(directory: Path) -> None:
    data = bytes_of("a", 1000)
    with LoopbackServer() as server:
        serve(server, {"a.nc": data, "b.nc": data})
        good = RemoteFile("a.nc", f"{server.url}/a.nc", None, "sha256:" + hashlib.sha256(data).hexdigest().upper())
        assert download([good, RemoteFile("b.nc", f"{server.url}/b.nc")], directory, FAST)[1].read_bytes() == data
        bad = RemoteFile("c.nc", f"{server.url}/b.nc", None, "crc9:00")
        with pytest.raises(SlipscanError, match="unknown kind"):
            download([bad], directory, FAST)


def test_pages_never_pass_as_data_and_leave_the_part_alone(directory: Path) -> None:
    data = bytes_of("a", 4000)
    page = b"  <!DOCTYPE html><html>please sign in</html>"
    answers = {2: page, 3: page}
    with LoopbackServer(Faults(1.0, ("cut",), per_path=1)) as server:

        def handler(request: Request) -> Response:
            body = answers.get(len(server.requests))
            return Response(body=body, ranges=False) if body else Response(body=data, headers={"ETag": '"1"'})

        server.route("/a.nc", handler, faulty=True)
        [path] = download([RemoteFile("a.nc", f"{server.url}/a.nc")], directory, FAST)
        assert path.read_bytes() == data
        assert [r.range_start for r in server.requests] == [None, 2000, 2000, 2000]
        server.route("/always.nc", lambda r: Response(body=page, content_type="text/html"))
        with pytest.raises(SlipscanError, match=r"always\.nc could not .* in 6 tries \(the last: an HTML page"):
            download([RemoteFile("always.nc", f"{server.url}/always.nc")], directory, FAST)
        assert not (directory / "always.nc").exists()


def test_retry_after_is_obeyed_up_to_the_longest_wait(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
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
        download([RemoteFile("a.nc", f"{server.url}/a.nc")], directory, patient)
        download([RemoteFile("b.nc", f"{server.url}/b.nc")], directory, FAST)
    assert times[1] - times[0] >= 1.0 and times[3] - times[2] >= 0.2
    waits = [float(wait) for wait in re.findall(r"next in ([\d.]+) s", caplog.text)]
    assert 1.0 <= waits[0] <= 1.1 and waits[1] == 0.2


def test_retry_after_may_be_a_date() -> None:
    tomorrow = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
    assert 86400 - LONG_S < retry_after_s(email.utils.format_datetime(tomorrow, usegmt=True)) <= 86400
    assert retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert retry_after_s("7") == 7 and retry_after_s("") == 0 and retry_after_s("soon") == 0


def test_a_token_goes_to_its_host_alone(
    directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("EARTHDATA_TOKEN", TOKEN)
    caplog.set_level(logging.DEBUG)
    data = bytes_of("a", 100)
    seen: list[str | None] = []

    def protected(request: Request) -> Response:
        seen.append(request.headers["Authorization"])
        return Response(302, headers={"Location": f"{elsewhere}/a.nc?Signature=s3cret"})

    with LoopbackServer() as archive, LoopbackServer() as cloud:
        archive.route(r"/\w\.nc", protected)
        archive.route("/refused", lambda r: Response(403))
        serve(cloud, {"a.nc": data})
        host = archive.url.removeprefix("http://")

        def session() -> EarthdataSession:
            return EarthdataSession(hosts=(host, "localhost", "*.example.org"))

        for name, url in {"a.nc": cloud.url, "b.nc": cloud.url.replace("127.0.0.1", "localhost")}.items():
            elsewhere = url
            [path] = download([RemoteFile(name, f"{archive.url}/{name}")], directory, FAST, session)
            assert path.read_bytes() == data
        with pytest.raises(SlipscanError, match=r"refused the token in EARTHDATA_TOKEN \(HTTP 403\)") as refused:
            download([RemoteFile("r.nc", f"{archive.url}/refused")], directory, FAST, session)
        assert seen == [f"Bearer {TOKEN}"] * 2
        assert [r.authorized for r in cloud.requests] == [False, False]
        with session() as one:
            shown = repr(one) + repr(one.auth) + repr(vars(one)) + str(refused.value) + repr(refused.value.__context__)
    own = [record.getMessage() for record in caplog.records if record.name.startswith("slipscan")]
    assert own, "nothing was logged"
    assert TOKEN not in caplog.text + shown
    assert "s3cret" not in "".join(own) + shown


def test_a_malformed_token_is_refused_without_showing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARTHDATA_TOKEN", "abc\ndef")
    with pytest.raises(SlipscanError, match="EARTHDATA_TOKEN holds characters") as error:
        EarthdataSession()
    assert "abc" not in str(error.value)


@pytest.mark.parametrize("address", ["https://evil.org\\@urs.earthdata.nasa.gov/", "http://data.asf.alaska.edu/"])
def test_no_token_to_disguised_hosts_or_in_clear(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    import requests

    monkeypatch.setenv("EARTHDATA_TOKEN", TOKEN)
    with EarthdataSession() as session:
        assert "Authorization" not in session.prepare_request(requests.Request("GET", address)).headers
        good = session.prepare_request(requests.Request("GET", "https://data.asf.alaska.edu/a"))
        assert good.headers["Authorization"] == f"Bearer {TOKEN}"


def login_server(login: LoopbackServer, archive: LoopbackServer, data: bytes) -> list[tuple[str, str | None]]:
    """The flow of Earthdata Login: data host, login host, data host with a cookie. Returns who got which header."""
    seen: list[tuple[str, str | None]] = []
    right = "Basic " + base64.b64encode(b"me:pass word").decode()

    def at_archive(request: Request) -> Response:
        seen.append(("archive", request.headers["Authorization"]))
        if request.path == "/login":
            return Response(302, headers={"Location": "/a.nc", "Set-Cookie": "session=1; Path=/"})
        if "session=1" in (request.headers["Cookie"] or ""):
            return Response(body=data)
        return Response(302, headers={"Location": f"{login.url}/oauth"})

    def at_login(request: Request) -> Response:
        seen.append(("login", request.headers["Authorization"]))
        if request.headers["Authorization"] is None:
            return Response(body=b"<html>sign in</html>", content_type="text/html")
        if request.headers["Authorization"] != right:
            return Response(401)
        return Response(302, headers={"Location": f"{archive.url}/login?code=1"})

    archive.route("/a.nc|/login", at_archive)
    login.route("/oauth", at_login)
    return seen


def test_netrc_logs_in_at_the_login_host_alone(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    netrc = tmp_path / "netrc"
    with LoopbackServer() as login, LoopbackServer() as archive:
        seen = login_server(login, archive, bytes_of("a", 100))
        hosts = tuple(server.url.removeprefix("http://") for server in (login, archive))

        def fetch() -> list[Path]:
            file = RemoteFile("a.nc", f"{archive.url}/a.nc")
            return download([file], directory, FAST, lambda: EarthdataSession(hosts, hosts[:1]))

        with pytest.raises(SlipscanError, match=r"asks for an Earthdata login .* there is none: set EARTHDATA_TOKEN"):
            fetch()
        monkeypatch.setenv("NETRC", str(netrc))
        netrc.write_text("machine 127.0.0.1 login me password wr0ng\n")
        with pytest.raises(SlipscanError, match=r"refused the login in .*netrc"):
            fetch()
        netrc.write_text('machin 127.0.0.1 login me password "wr0ng"\n')
        with pytest.raises(SlipscanError, match="cannot be read as a netrc file"):
            fetch()
        netrc.write_text('machine 127.0.0.1 login me password "pass word"\n')
        seen.clear()
        assert fetch()[0].read_bytes() == bytes_of("a", 100)
    assert [who for who, header in seen if header] == ["login"]
    assert not any(
        secret in caplog.text for secret in ("pass word", "wr0ng", base64.b64encode(b"me:pass word").decode())
    )


def test_an_expired_address_is_renewed(directory: Path) -> None:
    data = bytes_of("a", 20_000)
    renewed: list[str] = []

    def signed(request: Request) -> Response:
        return Response(body=data) if request.query["sig"] == ["new"] else Response(int(request.match[1]))

    def renew(file: RemoteFile) -> RemoteFile:
        renewed.append(file.name)
        return RemoteFile(file.name, file.url.replace("old", "new"), file.bytes, file.checksum)

    with LoopbackServer() as server:
        server.route(r"/(\d+)", signed)
        for status in (403, 404, 410):
            file = RemoteFile(f"a{status}.nc", f"{server.url}/{status}?sig=old", len(data), md5(data))
            with pytest.raises(SlipscanError, match=rf"a{status}\.nc: .*HTTP {status}") as error:
                download([file], directory, FAST)
            assert "sig" not in str(error.value)
            assert len(of_path(server, f"/{status}")) == 1, "retried blindly"
            with pytest.raises(SlipscanError, match=f"HTTP {status}"):
                download([file], directory, FAST, renew=lambda f: f)
            assert len(of_path(server, f"/{status}")) == 3, "renewed once"
            assert download([file], directory, FAST, renew=renew)[0].read_bytes() == data
    assert renewed == ["a403.nc", "a404.nc", "a410.nc"]


def test_too_little_space_is_said_before_anything_is_fetched(directory: Path) -> None:
    with LoopbackServer() as server, pytest.raises(SlipscanError, match=r"GB free and .* need 1050000000\.00 GB"):
        download([RemoteFile("a.nc", f"{server.url}/a.nc", 10**18)], directory, FAST)
    assert server.requests == []


@pytest.mark.parametrize(
    "name", ["../a.nc", "/etc/passwd", ".hidden", "a\\b", "a.nc?sig=s3cret", "", "a\nb", "x" * 300]
)
def test_unsafe_names_are_refused(directory: Path, name: str) -> None:
    with pytest.raises(SlipscanError, match="unsafe name") as error:
        download([RemoteFile(name, "http://127.0.0.1:9/")], directory, FAST)
    assert "s3cret" not in str(error.value)


def test_a_hard_failure_stops_the_rest_and_finished_files_stay(directory: Path) -> None:
    files = {f"slow_{i}.nc": bytes_of(str(i), 50_000_000) for i in range(6)} | {"quick.nc": bytes_of("q", 10)}
    part = directory / ".slow_5.nc.part"

    def gone(request: Request) -> Response:
        wait_until(lambda: (directory / "quick.nc").exists() and part.exists() and part.stat().st_size > 0)
        return Response(404)

    with LoopbackServer() as server:
        server.route("/quick.nc", lambda r: Response(body=files["quick.nc"]))
        server.route("/gone.nc", gone)
        serve(server, files, bytes_per_s=500_000)  # 100 s each
        listing = [RemoteFile("gone.nc", f"{server.url}/gone.nc"), *reversed(listed(server, files))]
        with pytest.raises(SlipscanError, match=r"gone\.nc"):
            download(listing, directory, FAST.model_copy(update={"parallel": 4}))
    assert (directory / "quick.nc").read_bytes() == files["quick.nc"]
    assert not list(directory.glob("slow*")) and part.stat().st_size > 0


def test_no_server_and_no_address_are_clear(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with LoopbackServer() as server:
        address = server.url
    with pytest.raises(SlipscanError, match=r"a\.nc could not be fetched from 127\.0\.0\.1 in 6 tries") as no_server:
        download([RemoteFile("a.nc", f"{address}/a.nc?sig=s3cret")], directory, FAST)
    with pytest.raises(SlipscanError, match="no valid address") as no_address:
        download([RemoteFile("a.nc", "nonsense?sig=s3cret")], directory, FAST)
    assert "try 5 of 6 failed (connection lost" in caplog.text
    assert "s3cret" not in caplog.text + str(no_server.value) + str(no_address.value)


CHILD = """
import json, logging, sys
from pathlib import Path
from slipscan.archive.http.download import download
from slipscan.archive.granules import RemoteFile
from slipscan.settings import DownloadSettings
logging.basicConfig(level=logging.INFO)
settings = DownloadSettings(parallel=1, backoff_s=0.01)
download([RemoteFile(*row) for row in json.loads(sys.argv[2])], Path(sys.argv[1]), settings)
"""


def start_child(directory: Path, files: Sequence[RemoteFile]) -> "subprocess.Popen[bytes]":
    rows = json.dumps([[f.name, f.url, f.bytes, f.checksum] for f in files])
    return subprocess.Popen([sys.executable, "-c", CHILD, str(directory), rows], stderr=subprocess.PIPE)


def test_a_killed_process_is_gone_on_from(directory: Path) -> None:
    data = bytes_of("a", 2_000_000)
    part = directory / ".a.nc.part"
    with LoopbackServer() as server:
        slow = [1_000_000.0]
        server.route("/a.nc", lambda r: Response(body=data, bytes_per_s=slow.pop() if slow else 0))
        files = listed(server, {"a.nc": data})
        with start_child(directory, files) as child:
            wait_until(lambda: part.exists() and part.stat().st_size > 500_000)
            child.send_signal(signal.SIGKILL)
        have = part.stat().st_size
        assert 500_000 < have < len(data) and not (directory / "a.nc").exists()
        assert download(files, directory, FAST)[0].read_bytes() == data
        assert [r.range_start for r in server.requests] == [None, have]
        assert server.requests[1].bytes_sent == len(data) - have
    assert hidden(directory) == []


def test_two_processes_fetch_each_file_once(directory: Path) -> None:
    files = {f"a{i}.nc": bytes_of(str(i), 100_000) for i in range(4)}
    said: list[bytes] = []

    def once_the_other_waits(request: Request) -> Response:
        wait_until(lambda: b"waiting for another process" in b"".join(said))
        return Response(body=files[request.match[1]])

    def listen(child: "subprocess.Popen[bytes]") -> None:
        assert child.stderr is not None
        said.extend(child.stderr)

    with LoopbackServer() as server:
        server.route(r"/(\w+\.\w+)", once_the_other_waits)
        children = [start_child(directory, listed(server, files)) for _ in range(2)]
        listeners = [threading.Thread(target=listen, args=(child,)) for child in children]
        for thread in listeners:
            thread.start()
        for thread in listeners:
            thread.join()
        assert [child.wait(LONG_S) for child in children] == [0, 0], said
        for child in children:
            child.stderr.close()  # type: ignore[union-attr]
        assert sorted(r.path for r in server.requests) == [f"/{name}" for name in files]
    assert all((directory / name).read_bytes() == data for name, data in files.items())
    assert hidden(directory) == []


def test_waiting_for_a_lock_ends_when_told_to_stop(tmp_path: Path) -> None:
    stop = threading.Event()
    with locked(tmp_path / "lock", threading.Event()):
        threading.Timer(0.15, stop.set).start()
        with pytest.raises(StoppedError), locked(tmp_path / "lock", stop):
            pass
        assert (tmp_path / "lock").exists()
    assert not (tmp_path / "lock").exists()


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_tells_bytes_rate_and_time_left(
    directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, terminal: bool
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("slipscan.archive.http.download.LINE_EVERY_S", 0.01)
    screen = io.StringIO()
    screen.isatty = lambda: terminal  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    data = bytes_of("a", 300_000)
    with LoopbackServer() as server:
        serve(server, {"a.nc": data}, bytes_per_s=400_000)
        download(listed(server, {"a.nc": data}), directory, FAST)
    if terminal:
        assert "download" in screen.getvalue() and "kB/s" in screen.getvalue()
    else:
        lines = [r.getMessage() for r in caplog.records if " s left" in r.getMessage()]
        assert len(lines) >= 3 and " of 0.3 MB" in lines[0] and "MB/s" in lines[0]
    assert "1 files done" in caplog.text


def test_faults_are_a_function_of_seed_path_and_number() -> None:
    faults = Faults(0.3, seed=1)
    kinds = [[faults.kind(f"/{i}", n) for n in range(20)] for i in range(300)]
    assert kinds == [[Faults(0.3, seed=1).kind(f"/{i}", n) for n in range(20)] for i in range(300)]
    assert all(sum(map(bool, path)) <= faults.per_path for path in kinds)
    assert sum(bool(path[0]) for path in kinds) / 300 == pytest.approx(0.3, abs=0.08)
    assert kinds != [[Faults(0.3, seed=2).kind(f"/{i}", n) for n in range(20)] for i in range(300)]
