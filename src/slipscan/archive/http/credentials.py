"""The Earthdata login: from EARTHDATA_TOKEN or ~/.netrc, sent to Earthdata's hosts alone, and shown to nobody.

With a token, requests to Earthdata hosts carry it. With ~/.netrc (the file that variable NETRC names, where it is set),
name and password go to urs.earthdata.nasa.gov alone: a data host redirects there, and is redirected back to with a
cookie. Either is decided anew from the address of each request, redirects included, so that a redirect to another host
(signed addresses of a cloud store) loses the header.
"""

from __future__ import annotations

import ipaddress
import netrc
import os
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import requests
from requests.auth import AuthBase, _basic_auth_str
from urllib3.util import Url, parse_url

from slipscan import __version__
from slipscan.errors import SlipscanError

LOGIN_HOSTS = ("urs.earthdata.nasa.gov",)
EARTHDATA_HOSTS = (*LOGIN_HOSTS, "*.earthdata.nasa.gov", "*.earthdatacloud.nasa.gov", "*.asf.alaska.edu")
HOW = (
    "set EARTHDATA_TOKEN (a token from https://urs.earthdata.nasa.gov, 'Generate Token') or write "
    "'machine urs.earthdata.nasa.gov login NAME password PASSWORD' into ~/.netrc"
)


def earthdata_token() -> str | None:
    """The token in EARTHDATA_TOKEN, or None.

    Raises
    ------
    SlipscanError
        it has characters that no token has; they are not shown
    """
    token = os.environ.get("EARTHDATA_TOKEN", "").strip()
    if token and not re.fullmatch(r"[A-Za-z0-9._~+/=-]+", token):
        raise SlipscanError("EARTHDATA_TOKEN holds characters that no token has: copy the token anew, without quotes")
    return token or None


def is_loopback(name: str) -> bool:
    """Whether the name of a host is an address of this machine (a test server)."""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class EarthdataSession(requests.Session):
    """A requests session that logs in at Earthdata hosts and sends no login anywhere else.

    Logins go over https, or to 127.0.0.1. Entries of ~/.netrc for other hosts are not used.

    Parameters
    ----------
    hosts
        hosts that may see a token: names, 'name:port', or '*.domain'
    login_hosts
        hosts that may see name and password of ~/.netrc

    Raises
    ------
    SlipscanError
        a malformed EARTHDATA_TOKEN
    """

    def __init__(self, hosts: Sequence[str] = EARTHDATA_HOSTS, login_hosts: Sequence[str] = LOGIN_HOSTS) -> None:
        super().__init__()
        self.headers["User-Agent"] = f"slipscan/{__version__}"
        self._login = _Login(tuple(hosts), tuple(login_hosts))
        self.auth = self._login

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Decide about the header of a redirected request from its new address (requests would ask ~/.netrc)."""
        self._login(prepared_request)

    def asks_for_login(self, response: requests.Response) -> bool:
        """Whether an answer is a refusal, or the login page that a data host sends strangers to."""
        is_page = response.status_code == 200 and response.headers.get("Content-Type", "").startswith("text/html")
        return response.status_code in (401, 403) or (is_page and self._login.is_login(parse_url(response.url)))

    def refusal(self, response: requests.Response) -> str:
        """One sentence about an answer that `asks_for_login`: who refused what, and what to do."""
        host, status = parse_url(response.url).host, f"HTTP {response.status_code}"
        if not self._login.knows(parse_url(response.url)):
            return f"{host} refused access ({status}); it is no Earthdata host, so no login was sent to it"
        if self._login.has_token:
            return (
                f"{host} refused the token in EARTHDATA_TOKEN ({status}): make a new one at "
                "https://urs.earthdata.nasa.gov ('Generate Token'; it lasts 60 days), and accept the data's terms there"
            )
        if self._login.from_netrc() is not None:
            return (
                f"{host} refused the login in {_netrc_path()} ({status}): check name and password at "
                "https://urs.earthdata.nasa.gov, and accept the data's terms there"
            )
        return f"{host} asks for an Earthdata login ({status}) and there is none: {HOW}"


class _Login(AuthBase):
    """Sets or removes the header Authorization of a request, from its address alone."""

    def __init__(self, hosts: tuple[str, ...], login_hosts: tuple[str, ...]) -> None:
        self._hosts = hosts
        self._login_hosts = login_hosts
        self._token = earthdata_token()

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.pop("Authorization", None)
        url = parse_url(request.url or "")  # the parser that also makes the connection: no other reading of the host
        if self._token is not None:
            if self.knows(url):
                request.headers["Authorization"] = f"Bearer {self._token}"
        elif self.is_login(url) and (login := self.from_netrc()) is not None:
            request.headers["Authorization"] = _basic_auth_str(*login)
        return request

    def __repr__(self) -> str:
        return "<Earthdata login>"

    @property
    def has_token(self) -> bool:
        return self._token is not None

    def knows(self, url: Url) -> bool:
        """Whether a token may go to this address."""
        return _matches(url, self._hosts)

    def is_login(self, url: Url) -> bool:
        """Whether name and password may go to this address."""
        return _matches(url, self._login_hosts)

    def from_netrc(self) -> tuple[str, str] | None:
        """Name and password for the login host, read when needed; a `default` entry of the file is not used."""
        path = _netrc_path()
        if not path.is_file():
            return None
        try:
            entries = netrc.netrc(path).hosts
        except (netrc.NetrcParseError, OSError, UnicodeDecodeError):
            # their messages quote the file
            raise SlipscanError(f"{path} cannot be read as a netrc file: check its syntax and permissions") from None
        for host in self._login_hosts:
            if entry := entries.get(host.partition(":")[0]):
                return entry[0], entry[2]
        return None


def _matches(url: Url, hosts: tuple[str, ...]) -> bool:
    host = (url.host or "").lower()
    if url.scheme != "https" and host != "127.0.0.1":
        return False
    return any(fnmatchcase(name, pattern) for pattern in hosts for name in (host, f"{host}:{url.port}"))


def _netrc_path() -> Path:
    return Path(os.environ.get("NETRC") or "~/.netrc").expanduser()
