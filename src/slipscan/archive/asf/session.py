"""The session of searches in ASF's catalogue: a token for Earthdata's hosts alone, plain http to this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from slipscan.archive.http.credentials import earthdata_token, is_loopback
from slipscan.errors import SlipscanError
from slipscan.settings import ArchiveSettings

if TYPE_CHECKING:
    from asf_search import ASFSession

TOKEN = "EARTHDATA_TOKEN"
EARTHDATA = "earthdata.nasa.gov"


class _PlainHttp(HTTPAdapter):
    """Speaks plain http where asf_search insists on https: a server on this machine has no certificate."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        assert request.url is not None
        request.url = "http://" + request.url.removeprefix("https://")
        return super().send(request, *args, **kwargs)


def host(settings: ArchiveSettings) -> str:
    """Return the host (with port) of archive.cmr_url, as asf_search takes it; raises SlipscanError for no URL."""
    split = urlsplit(settings.cmr_url)
    if split.scheme not in ("http", "https") or not split.netloc:
        raise SlipscanError(f"archive.cmr_url is {settings.cmr_url!r}: write a URL such as https://cmr.{EARTHDATA}")
    return split.netloc


def session(settings: ArchiveSettings) -> ASFSession:
    """Make a session for searches and logins at archive.cmr_url.

    The token of the environment variable EARTHDATA_TOKEN is sent to Earthdata hosts over https and to this machine
    (a test server) only; redirects to other hosts lose it. An http:// URL is spoken to in plain http, without
    proxies. A search needs no login, so ~/.netrc is not used.
    """
    import asf_search

    # Otherwise a failed search is reported to ASF over the network, with its options.
    asf_search.REPORT_ERRORS = False
    made = asf_search.ASFSession(cmr_host=host(settings))
    split = urlsplit(settings.cmr_url)
    if split.scheme == "http":
        made.mount(f"https://{split.netloc}/", _PlainHttp())
        made.trust_env = False
    token = earthdata_token()
    made.auth = _Token(token if token and _may_have_token(split.scheme, split.hostname or "") else None)
    return made


class _Token(AuthBase):
    """Sends a token, or nothing: with an `auth` of its own a session does not ask ~/.netrc for every host."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request

    def __repr__(self) -> str:
        return "<Earthdata token>"


def _may_have_token(scheme: str, name: str) -> bool:
    return is_loopback(name) or (scheme == "https" and (name == EARTHDATA or name.endswith(f".{EARTHDATA}")))
