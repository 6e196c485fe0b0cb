"""The connection to HyP3: credentials to its own hosts only, time-outs, repeated questions, one sentence for a failure.

hyp3_sdk has no time-out and tries once. Questions (GET) are repeated here; an order (POST) is not, since it may have
arrived though its answer was lost.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.exceptions import ChunkedEncodingError

from slipscan.archive.http.credentials import HOW, earthdata_token, is_loopback
from slipscan.archive.http.retry import PassingError, refuse_passing, retrying
from slipscan.errors import SlipscanError
from slipscan.settings import ArchiveSettings, DownloadSettings

HOSTS = ".asf.alaska.edu"
"""HyP3's hosts, which take an Earthdata login."""
LOGIN = "https://urs.earthdata.nasa.gov"


class _Adapter(HTTPAdapter):
    """Adds time-outs, and repeats questions that failed."""

    def __init__(self, download: DownloadSettings) -> None:
        self._download = download
        super().__init__()

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request with time-outs; the last answer or error counts."""
        kwargs["timeout"] = kwargs.get("timeout") or (self._download.connect_timeout_s, self._download.read_timeout_s)
        if request.method != "GET":
            return super().send(request, *args, **kwargs)
        answer: requests.Response | None = None

        def ask() -> requests.Response:
            nonlocal answer
            answer = None
            try:
                received = super(_Adapter, self).send(request, *args, **kwargs)
                _ = received.content  # to its end, so that the connection can be used again
            except (requests.ConnectionError, requests.Timeout, ChunkedEncodingError) as error:
                raise PassingError(type(error).__name__) from error
            answer = received
            refuse_passing(answer)
            return answer

        try:
            return retrying(self._download)(ask)
        except PassingError as error:
            if answer is None:
                raise error.__cause__ or error from None
            return answer


def connect(settings: ArchiveSettings) -> Any:
    """Connect to archive.hyp3_url.

    The token of the environment variable EARTHDATA_TOKEN, or the login in ~/.netrc, goes to HyP3's own hosts over https
    and to this machine (a test server) only.

    Returns
    -------
    hyp3
        a hyp3_sdk.HyP3

    Raises
    ------
    SlipscanError
        another host, no credentials, or Earthdata refuses the login
    """
    import hyp3_sdk

    url = settings.hyp3_url
    split = urlsplit(url)
    local = is_loopback(split.hostname or "")
    if not local and not (split.scheme == "https" and (split.hostname or "").endswith(HOSTS)):
        raise SlipscanError(f"archive.hyp3_url is {url!r}: credentials go to https hosts that end in {HOSTS} only")
    token = earthdata_token() or ("none" if local else None)
    if token is None and requests.utils.get_netrc_auth(LOGIN) is None:
        raise SlipscanError(f"HyP3 asks for an Earthdata login: {HOW}")
    with refused(f"logging in at {LOGIN}"):
        hyp3 = hyp3_sdk.HyP3(api_url=url, token=token, prompt=False)
    hyp3.session.auth = _keep  # or an entry of ~/.netrc (its `default`, say) would replace the token
    hyp3.session.trust_env = not local
    for scheme in ("https://", "http://"):
        hyp3.session.mount(scheme, _Adapter(settings.download))
    return hyp3


def _keep(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Leave a request's Authorization as it is."""
    return request


@contextlib.contextmanager
def refused(doing: str, then: str = "try again later") -> Iterator[None]:
    """Turn what hyp3_sdk raises into one sentence.

    Parameters
    ----------
    doing
        what was tried, e.g. 'asking https://... for the jobs'
    then
        what to do after a failure that may pass
    """
    from hyp3_sdk.exceptions import AuthenticationError, HyP3Error, HyP3SDKError

    try:
        yield
    except (AuthenticationError, HyP3Error) as error:
        text = " ".join(str(error).split()).rstrip(".")
        login = isinstance(error, AuthenticationError) or "[401]" in text or "[403]" in text
        advice = "renew the login (EARTHDATA_TOKEN or ~/.netrc)" if login else "correct the order or its setting"
        raise SlipscanError(f"{doing} was refused ({text}): {advice}") from error
    except requests.exceptions.JSONDecodeError as error:
        raise SlipscanError(f"{doing} gave an answer that is not HyP3's (no JSON): {then}") from error
    except (HyP3SDKError, requests.exceptions.RequestException) as error:
        raise SlipscanError(f"{doing} failed ({type(error).__name__}): {then}") from error
    except KeyError as error:  # an answer without the key that hyp3_sdk reads, such as a gateway's own 429
        raise SlipscanError(f"{doing} gave an answer that is not HyP3's (no {error}): {then}") from error
