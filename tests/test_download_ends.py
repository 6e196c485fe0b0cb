"""Files over HTTP: what stops a transfer, and what the next process goes on with."""

import io
import json
import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from download_builders import FAST, bytes_of, hidden, listed, md5, of_path, serve
from slipscan.archive.granules import RemoteFile
from slipscan.archive.http.download import download
from slipscan.archive.http.locks import StoppedError, locked
from slipscan.errors import SlipscanError
from slipscan_loopback.http import Faults, LoopbackServer, Request, Response
from waiting import LONG_S, wait_until

pytestmark = pytest.mark.usefixtures("no_login")


class Screen(io.StringIO):
    """What is said, on a terminal or not."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


def test_an_expired_address_is_renewed(granules: Path) -> None:
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
                download([file], granules, FAST)
            assert "sig" not in str(error.value)
            assert len(of_path(server, f"/{status}")) == 1, "retried blindly"
            with pytest.raises(SlipscanError, match=f"HTTP {status}"):
                download([file], granules, FAST, renew=lambda f: f)
            assert len(of_path(server, f"/{status}")) == 3, "renewed once"
            assert download([file], granules, FAST, renew=renew)[0].read_bytes() == data
    assert renewed == ["a403.nc", "a404.nc", "a410.nc"]


def test_too_little_space_is_said_before_anything_is_fetched(granules: Path) -> None:
    with LoopbackServer() as server, pytest.raises(SlipscanError, match=r"GB free and .* need 1050000000\.00 GB"):
        download([RemoteFile("a.nc", f"{server.url}/a.nc", 10**18)], granules, FAST)
    assert server.requests == []


@pytest.mark.parametrize(
    "name", ["../a.nc", "/etc/passwd", ".hidden", "a\\b", "a.nc?sig=s3cret", "", "a\nb", "x" * 300]
)
def test_unsafe_names_are_refused(granules: Path, name: str) -> None:
    with pytest.raises(SlipscanError, match="unsafe name") as error:
        download([RemoteFile(name, "http://127.0.0.1:9/")], granules, FAST)
    assert "s3cret" not in str(error.value)


def test_a_hard_failure_stops_the_rest_and_finished_files_stay(granules: Path) -> None:
    files = {f"slow_{i}.nc": bytes_of(str(i), 50_000_000) for i in range(6)} | {"quick.nc": bytes_of("q", 10)}
    part = granules / ".slow_5.nc.part"

    def gone(request: Request) -> Response:
        wait_until(lambda: (granules / "quick.nc").exists() and part.exists() and part.stat().st_size > 0)
        return Response(404)

    with LoopbackServer() as server:
        server.route("/quick.nc", lambda r: Response(body=files["quick.nc"]))
        server.route("/gone.nc", gone)
        serve(server, files, bytes_per_s=500_000)  # 100 s each
        listing = [RemoteFile("gone.nc", f"{server.url}/gone.nc"), *reversed(listed(server, files))]
        with pytest.raises(SlipscanError, match=r"gone\.nc"):
            download(listing, granules, FAST.model_copy(update={"parallel": 4}))
    assert (granules / "quick.nc").read_bytes() == files["quick.nc"]
    assert not list(granules.glob("slow*")) and part.stat().st_size > 0


def test_no_server_and_no_address_are_clear(granules: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with LoopbackServer() as server:
        address = server.url
    with pytest.raises(SlipscanError, match=r"a\.nc could not be fetched from 127\.0\.0\.1 in 6 tries") as no_server:
        download([RemoteFile("a.nc", f"{address}/a.nc?sig=s3cret")], granules, FAST)
    with pytest.raises(SlipscanError, match="no valid address") as no_address:
        download([RemoteFile("a.nc", "nonsense?sig=s3cret")], granules, FAST)
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


def start_child(granules: Path, files: Sequence[RemoteFile]) -> "subprocess.Popen[bytes]":
    rows = json.dumps([[f.name, f.url, f.bytes, f.checksum] for f in files])
    return subprocess.Popen([sys.executable, "-c", CHILD, str(granules), rows], stderr=subprocess.PIPE)


def test_a_killed_process_is_gone_on_from(granules: Path) -> None:
    data = bytes_of("a", 2_000_000)
    part = granules / ".a.nc.part"
    with LoopbackServer() as server:
        slow = [1_000_000.0]
        server.route("/a.nc", lambda r: Response(body=data, bytes_per_s=slow.pop() if slow else 0))
        files = listed(server, {"a.nc": data})
        with start_child(granules, files) as child:
            wait_until(lambda: part.exists() and part.stat().st_size > 500_000)
            child.send_signal(signal.SIGKILL)
        have = part.stat().st_size
        assert 500_000 < have < len(data) and not (granules / "a.nc").exists()
        assert download(files, granules, FAST)[0].read_bytes() == data
        assert [r.range_start for r in server.requests] == [None, have]
        assert server.requests[1].bytes_sent == len(data) - have
    assert hidden(granules) == []


def test_two_processes_fetch_each_file_once(granules: Path) -> None:
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
        children = [start_child(granules, listed(server, files)) for _ in range(2)]
        listeners = [threading.Thread(target=listen, args=(child,)) for child in children]
        for thread in listeners:
            thread.start()
        for thread in listeners:
            thread.join()
        assert [child.wait(LONG_S) for child in children] == [0, 0], said
        for child in children:
            assert child.stderr is not None
            child.stderr.close()
        assert sorted(r.path for r in server.requests) == [f"/{name}" for name in files]
    assert all((granules / name).read_bytes() == data for name, data in files.items())
    assert hidden(granules) == []


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
    granules: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, terminal: bool
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("slipscan.archive.http.download.LINE_EVERY_S", 0.01)
    screen = Screen(terminal)
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    data = bytes_of("a", 300_000)
    with LoopbackServer() as server:
        serve(server, {"a.nc": data}, bytes_per_s=400_000)
        download(listed(server, {"a.nc": data}), granules, FAST)
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
