"""Index pages of a web server: what its folders hold, asked for with retries, several at once, without a login."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from urllib.parse import unquote, urljoin, urlsplit

import requests

import slipscan
from slipscan.archive.http.retry import PassingError, refuse_passing, retrying
from slipscan.errors import SlipscanError
from slipscan.progress import progress
from slipscan.settings import DownloadSettings


class Pages:
    """The pages of a web server, to be used in a `with` block.

    Parameters
    ----------
    download
        how many at once, tries, waits and time-outs
    key
        the setting of the server's address, for sentences
    """

    def __init__(self, download: DownloadSettings, key: str) -> None:
        self._download = download
        self._key = key
        self._sessions = threading.local()
        self._pool = ThreadPoolExecutor(download.parallel)

    def __enter__(self) -> Pages:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def each_names(self, urls: Sequence[str], description: str) -> list[list[str] | None]:
        """Call `names` for every address, several at once; answers in the order of the addresses."""
        answers = self._pool.map(self.names, urls)
        return [answer for _, answer in zip(progress(urls, description), answers, strict=True)]

    def names(self, url: str) -> list[str] | None:
        """Names of files and folders (without a slash) that the page of a folder links to; None where there is none."""
        page = self.text(url, is_index)
        return None if page is None else links(page, url)

    def text(self, url: str, accept: Callable[[str], bool] = lambda page: True) -> str | None:
        """Text at an address, None where there is none; raises SlipscanError where no try succeeds."""
        try:
            return retrying(self._download)(self._ask, url, accept)
        except PassingError as error:
            raise SlipscanError(
                f"{url} gave no answer in {self._download.attempts} tries (the last: {error}): check the network and"
                f" {self._key}, or try again later"
            ) from None

    def _ask(self, url: str, accept: Callable[[str], bool]) -> str | None:
        if not hasattr(self._sessions, "session"):
            self._sessions.session = requests.Session()
            self._sessions.session.headers["User-Agent"] = f"slipscan/{slipscan.__version__}"
            self._sessions.session.auth = lambda request: request  # no login: entries of ~/.netrc stay at home
        timeout = (self._download.connect_timeout_s, self._download.read_timeout_s)
        try:
            answer = self._sessions.session.get(url, timeout=timeout)
        except requests.RequestException as error:
            raise PassingError(type(error).__name__) from error
        status = answer.status_code
        if status in (404, 410):
            return None
        refuse_passing(answer)
        if status != 200:
            raise SlipscanError(f"{url} answered HTTP {status}: check {self._key}")
        answer.encoding = "utf-8"
        if not accept(answer.text):
            raise PassingError("another page than was asked for")
        return str(answer.text)


class _Links(HTMLParser):
    """The addresses that a page links to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the address of a link."""
        self.found += [value for name, value in attrs if tag == "a" and name == "href" and value]


def is_index(page: str) -> bool:
    """Whether a page is a web server's index of a folder, and whole: no error page of status 200, no half list."""
    is_listing = re.search(r"<title>\s*(index of|directory listing)", page, re.IGNORECASE) is not None
    return is_listing and page.rstrip().lower().endswith("</html>")


def links(page: str, url: str) -> list[str]:
    """Names directly below a folder that its index page links to, sorted; links elsewhere (parent, sorting) are not."""
    parser = _Links()
    parser.feed(page)
    page_url = urlsplit(url)
    targets = [urlsplit(urljoin(url, found)) for found in parser.found]
    below = [
        target.path.removeprefix(page_url.path)
        for target in targets
        if target.netloc == page_url.netloc and target.path.startswith(page_url.path) and not target.query
    ]
    names = {unquote(name.rstrip("/")) for name in below}
    return sorted(name for name in names if name and "/" not in name)
