"""Search of NASA's catalogue (CMR) through asf_search: complete or a clear error, and the files of what was found.

asf_search makes the query and the products; the pages are asked for here, because its own loop gives up at a 429, an
HTML error or a reset connection, and loses a whole page of 250 granules to one that it cannot read.
"""

from __future__ import annotations

import email.utils
import ipaddress
import logging
import random
import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from slipscan.archive.granules import RemoteFile
from slipscan.archive.http.credentials import earthdata_token
from slipscan.errors import SlipscanError
from slipscan.settings import ArchiveSettings, DownloadSettings

if TYPE_CHECKING:
    from asf_search import ASFProduct, ASFSearchOptions, ASFSession
    from tenacity import RetryCallState

log = logging.getLogger(__name__)

TOKEN = "EARTHDATA_TOKEN"
EARTHDATA = "earthdata.nasa.gov"
_PATH = "search/granules.umm_json"
_UNREADABLE = (AttributeError, IndexError, KeyError, TypeError, ValueError)
"""What asf_search raises when it makes a product of a granule that lacks a field."""


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
    if scheme == "https" and (name == EARTHDATA or name.endswith(f".{EARTHDATA}")):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def search(settings: ArchiveSettings, **options: Any) -> list[ASFProduct]:
    """Search the catalogue; the answer is complete, or there is an error.

    Parameters
    ----------
    settings
        cmr_url; download.attempts, backoff_s, max_wait_s and the time-outs
    **options
        search options of asf_search (dataset, intersectsWith, relativeOrbit, product_list ...)

    Returns
    -------
    products
        sorted by granule name, each once; a granule that asf_search cannot read is left out and named in the log

    Raises
    ------
    SlipscanError
        the catalogue cannot be reached, refuses the token or the query, or gives fewer granules than it announced
    """
    from asf_search import ASFSearchResults
    from asf_search.exceptions import ASFSearchError

    asked = session(settings)
    url = f"https://{host(settings)}/{_PATH}"
    found: dict[str, ASFProduct] = {}
    for parameters in _queries(settings, asked, options):
        received, announced, after = 0, 0, None
        while True:
            page = _ask(asked, url, parameters, after, settings)
            for item in page.items:
                product = _product(item, asked)
                if product is not None:
                    found[str(product.properties["fileID"])] = product
            received, announced, after = received + len(page.items), page.hits, page.after
            if after is None or not page.items or received >= announced:
                break
        results = ASFSearchResults(list(found.values()))
        results.searchComplete = received >= announced
        try:
            results.raise_if_incomplete()
        except ASFSearchError as error:
            raise SlipscanError(
                f"the catalogue {settings.cmr_url} announced {announced} granules but gave {received}: search again"
            ) from error
    return [found[name] for name in sorted(found)]


def query_text(settings: ArchiveSettings, **options: Any) -> str:
    """Say what `search` would send, without sending it: the options, and the parameters of each CMR request."""
    lines = [f"POST {settings.cmr_url.rstrip('/')}/{_PATH}"]
    lines += [f"  {name}: {_text(value)}" for name, value in options.items()]
    for number, parameters in enumerate(_queries(settings, session(settings), options), 1):
        lines.append(f"  request {number}:")
        lines += [f"    {name}={value}" for name, value in parameters]
    return "\n".join(lines)


def _text(value: Any) -> str:
    """Write an option; a long list (of names) by its beginning."""
    if isinstance(value, list | tuple):
        more = f" and {len(value) - 5} more" if len(value) > 5 else ""
        return ", ".join(map(str, value[:5])) + more
    return str(value)


def _queries(settings: ArchiveSettings, asked: ASFSession, options: dict[str, Any]) -> list[list[tuple[str, Any]]]:
    """Translate search options into the parameters of CMR requests, one list a request."""
    from asf_search import ASFSearchOptions
    from asf_search.CMR import build_subqueries, translate_opts
    from asf_search.exceptions import ASFWKTError
    from asf_search.search.search_generator import preprocess_opts

    # The session travels inside the options: one given apart is dropped when its headers equal the default's.
    wanted: ASFSearchOptions = ASFSearchOptions(host=host(settings), session=asked, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # asf_search calls what shapely 2.1 deprecates
        try:
            preprocess_opts(wanted)
        except ASFWKTError as error:
            raise SlipscanError(f"the polygon {options.get('intersectsWith')} cannot be searched ({error})") from error
        return [translate_opts(query) for query in build_subqueries(wanted)]


def _product(item: dict[str, Any], asked: ASFSession) -> ASFProduct | None:
    """Make a product of a granule; None, and a line in the log, where asf_search cannot."""
    from asf_search.search.search_generator import as_ASFProduct

    try:
        product = as_ASFProduct(item, session=asked)
        if not product.properties.get("fileID"):
            raise KeyError("GranuleUR")
    except _UNREADABLE as error:
        umm = item.get("umm") if isinstance(item, dict) else None
        name = umm.get("GranuleUR") if isinstance(umm, dict) else None
        log.warning("granule %s is left out: its catalogue entry is malformed (%r)", name or "without a name", error)
        return None
    return product


@dataclass(frozen=True)
class _Page:
    """A page of the catalogue: granules, how many there are on all pages, and where the next page begins."""

    items: list[dict[str, Any]]
    hits: int
    after: str | None


class _PassingError(Exception):
    """A failure that may be gone at the next try; `retry_after_s` where the server says when."""

    def __init__(self, what: str, retry_after_s: float | None = None) -> None:
        super().__init__(what)
        self.retry_after_s = retry_after_s


def _ask(
    asked: ASFSession, url: str, parameters: list[tuple[str, Any]], after: str | None, settings: ArchiveSettings
) -> _Page:
    """Ask for a page, again and again while the failure may pass."""
    import tenacity

    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(settings.download.attempts),
        wait=lambda state: _wait_s(state, settings.download),
        retry=tenacity.retry_if_exception_type(_PassingError),
        before_sleep=lambda state: log.warning("the catalogue %s: %s; tried again", settings.cmr_url, _why(state)),
        reraise=True,
    )
    try:
        return retrying(_ask_once, asked, url, parameters, after, settings)
    except _PassingError as error:
        raise SlipscanError(
            f"the catalogue {settings.cmr_url} gives no answer after {settings.download.attempts} tries ({error}):"
            " check the network and archive.cmr_url, or try later"
        ) from error


def _why(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _wait_s(state: RetryCallState, download: DownloadSettings) -> float:
    """Seconds before the next try: what the server asks for, else doubled each time with jitter."""
    error = _why(state)
    if isinstance(error, _PassingError) and error.retry_after_s is not None:
        return min(error.retry_after_s, download.max_wait_s)
    wait: float = download.backoff_s * 2.0 ** (state.attempt_number - 1) * random.uniform(0.5, 1.0)
    return min(wait, download.max_wait_s)


def _ask_once(
    asked: ASFSession, url: str, parameters: list[tuple[str, Any]], after: str | None, settings: ArchiveSettings
) -> _Page:
    timeouts = (settings.download.connect_timeout_s, settings.download.read_timeout_s)
    headers = {"CMR-Search-After": after} if after is not None else {}
    try:
        answer = asked.post(url, data=parameters, headers=headers, timeout=timeouts)
    except requests.exceptions.RequestException as error:
        raise _PassingError(f"{type(error).__name__}: no connection or a broken one") from error
    _check_status(answer, settings)
    try:
        body = answer.json()
        return _Page(list(body["items"]), int(body["hits"]), answer.headers.get("CMR-Search-After"))
    except (ValueError, KeyError, TypeError) as error:
        raise _PassingError("the answer is no page of granules") from error


def _check_status(answer: requests.Response, settings: ArchiveSettings) -> None:
    """Raise _PassingError for 429 and 5xx, SlipscanError for other failures."""
    status = answer.status_code
    if status == 429 or status >= 500:
        raise _PassingError(f"HTTP {status}", _retry_after_s(answer.headers.get("Retry-After")))
    if status in (401, 403):
        token = f"the token in {TOKEN}" if earthdata_token() else "a request without a token"
        raise SlipscanError(
            f"the catalogue {settings.cmr_url} refuses {token} (HTTP {status}): put a new one of"
            f" https://urs.{EARTHDATA}/user_tokens into {TOKEN}, or unset it"
        )
    if status >= 400:
        raise SlipscanError(
            f"the catalogue {settings.cmr_url} refuses the query (HTTP {status}: {_errors(answer)}): check the region's"
            " entry"
        )


def _errors(answer: requests.Response) -> str:
    """What CMR says is wrong."""
    try:
        return "; ".join(map(str, answer.json()["errors"]))
    except (ValueError, KeyError, TypeError):
        return answer.reason or "no reason given"


def _retry_after_s(text: str | None) -> float | None:
    """Seconds of a Retry-After header: a number, or a date."""
    if text is None:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


def remote_file(product: ASFProduct, shared: bool = False, suffixes: tuple[str, ...] = (".nc",)) -> list[RemoteFile]:
    """List the files of a product that end in one of `suffixes`, with size and checksum where the catalogue has them.

    Empty where the catalogue's entry has no such file.
    """
    umm = product.umm
    described = {
        str(entry.get("Name")): entry
        for entry in (umm.get("DataGranule") or {}).get("ArchiveAndDistributionInformation") or []
    }
    found: dict[str, RemoteFile] = {}
    links = [link for link in umm.get("RelatedUrls") or [] if str(link.get("URL", "")).startswith("http")]
    for kind in ("GET DATA", "USE SERVICE API"):  # older ARIA entries list the file under the latter only
        for link in links:
            url = str(link["URL"])
            name = urlsplit(url).path.rsplit("/", 1)[-1]
            if link.get("Type") == kind and name.endswith(suffixes) and name not in found:
                entry = described.get(name, {})
                size = entry.get("SizeInBytes")
                found[name] = RemoteFile(name, url, None if size is None else int(size), _checksum(entry), shared)
    return [found[name] for name in sorted(found)]


def _checksum(entry: dict[str, Any]) -> str:
    checksum = entry.get("Checksum") or {}
    algorithm = str(checksum.get("Algorithm", "")).lower().replace("-", "")
    if algorithm in ("md5", "sha256") and checksum.get("Value"):
        return f"{algorithm}:{str(checksum['Value']).lower()}"
    return ""


def locate(granules: list[str], settings: ArchiveSettings) -> dict[str, list[RemoteFile]]:
    """Find the NetCDF files of granules by name, with URLs that are valid now.

    Raises
    ------
    SlipscanError
        the catalogue no longer has one of them or its file, or what `search` refuses
    """
    found = {str(p.properties["fileID"]): remote_file(p) for p in search(settings, product_list=granules)}
    gone = sorted(name for name in granules if not found.get(name))
    if gone:
        raise SlipscanError(
            f"the catalogue {settings.cmr_url} no longer has {len(gone)} of {len(granules)} granules of the manifest,"
            f" the first is {gone[0]}: make the manifest again"
        )
    return {name: found[name] for name in granules}
