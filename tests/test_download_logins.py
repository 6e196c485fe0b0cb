"""Files over HTTP: logins go to their hosts alone."""

import base64
import logging
from pathlib import Path

import pytest

from download_builders import FAST, bytes_of, serve
from slipscan.archive.granules import RemoteFile
from slipscan.archive.http.credentials import EarthdataSession
from slipscan.archive.http.download import download
from slipscan.errors import SlipscanError
from slipscan_loopback.http import LoopbackServer, Request, Response

TOKEN = "eyJ0eXAiOiJKV1QifQ.not-a-real-token_0123"


pytestmark = pytest.mark.usefixtures("no_login")


def test_a_token_goes_to_its_host_alone(
    granules: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
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
            [path] = download([RemoteFile(name, f"{archive.url}/{name}")], granules, FAST, session)
            assert path.read_bytes() == data
        with pytest.raises(SlipscanError, match=r"refused the token in EARTHDATA_TOKEN \(HTTP 403\)") as refused:
            download([RemoteFile("r.nc", f"{archive.url}/refused")], granules, FAST, session)
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
    granules: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    netrc = tmp_path / "netrc"
    with LoopbackServer() as login, LoopbackServer() as archive:
        seen = login_server(login, archive, bytes_of("a", 100))
        hosts = tuple(server.url.removeprefix("http://") for server in (login, archive))

        def fetch() -> list[Path]:
            file = RemoteFile("a.nc", f"{archive.url}/a.nc")
            return download([file], granules, FAST, lambda: EarthdataSession(hosts, hosts[:1]))

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
