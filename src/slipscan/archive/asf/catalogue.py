"""Search of NASA's catalogue (CMR) through asf_search: complete or a clear error.

asf_search makes the query and the products; the pages are asked for here, because its own loop gives up at a 429, an
HTML error or a reset connection, and loses a whole page of 250 granules to one that it cannot read.
"""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import requests

from slipscan.archive.asf.session import EARTHDATA, TOKEN, host, session
from slipscan.archive.http.credentials import earthdata_token
from slipscan.archive.http.retry import PassingError, refuse_passing, retrying
from slipscan.archive.names import listed
from slipscan.errors import SlipscanError
from slipscan.settings import ArchiveSettings

if TYPE_CHECKING:
    from asf_search import ASFProduct, ASFSearchOptions, ASFSession

log = logging.getLogger(__name__)

_PATH = "search/granules.umm_json"
_UNREADABLE = (AttributeError, IndexError, KeyError, TypeError, ValueError)
"""What asf_search raises when it makes a product of a granule that lacks a field."""


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
    return listed(value) if isinstance(value, list | tuple) else str(value)


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
        return [_across_180_degrees(translate_opts(query)) for query in build_subqueries(wanted)]


def _across_180_degrees(parameters: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Turn the box of a rectangle across 180 degrees, which asf_search 14.1 makes the rest of the world.

    It wraps the corners and takes the least and the greatest of them; CMR's box across has the greater one first.
    """
    out = []
    for name, value in parameters:
        if name == "bounding_box":
            west, south, east, north = str(value).split(",")
            if float(east) - float(west) > 180:  # no polygon of a region is so wide
                value = ",".join([east, south, west, north])
        out.append((name, value))
    return out


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


def _ask(
    asked: ASFSession, url: str, parameters: list[tuple[str, Any]], after: str | None, settings: ArchiveSettings
) -> _Page:
    """Ask for a page, again and again while the failure may pass."""

    def say(_: object, error: BaseException | None) -> None:
        log.warning("the catalogue %s: %s; tried again", settings.cmr_url, error)

    try:
        return retrying(settings.download, say)(_ask_once, asked, url, parameters, after, settings)
    except PassingError as error:
        raise SlipscanError(
            f"the catalogue {settings.cmr_url} gives no answer after {settings.download.attempts} tries ({error}):"
            " check the network and archive.cmr_url, or try later"
        ) from error


def _ask_once(
    asked: ASFSession, url: str, parameters: list[tuple[str, Any]], after: str | None, settings: ArchiveSettings
) -> _Page:
    timeouts = (settings.download.connect_timeout_s, settings.download.read_timeout_s)
    headers = {"CMR-Search-After": after} if after is not None else {}
    try:
        answer = asked.post(url, data=parameters, headers=headers, timeout=timeouts)
    except requests.exceptions.RequestException as error:
        raise PassingError(f"{type(error).__name__}: no connection or a broken one") from error
    _check_status(answer, settings)
    try:
        body = answer.json()
        return _Page(list(body["items"]), int(body["hits"]), answer.headers.get("CMR-Search-After"))
    except (ValueError, KeyError, TypeError) as error:
        raise PassingError("the answer is no page of granules") from error


def _check_status(answer: requests.Response, settings: ArchiveSettings) -> None:
    """Raise PassingError for what may pass, SlipscanError for other failures."""
    refuse_passing(answer)
    status = answer.status_code
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
