"""What a web server's answer says: where its body belongs, and what may be shown of it."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import requests
import urllib3

BINARY = (".nc", ".h5", ".tif", ".tiff", ".zip")


def is_page(name: str, answer: requests.Response, first: bytes) -> bool:
    """Whether an HTML (or XML) page came where data are expected."""
    if name.lower().endswith((".html", ".htm")):
        return False
    is_markup = first.lstrip()[:1] == b"<" and name.lower().endswith(BINARY) and answer.status_code == 200
    return answer.headers.get("Content-Type", "").startswith("text/html") or is_markup


def extent(answer: requests.Response) -> tuple[int, int | None]:
    """First byte of an answer's body, and the size of the whole file where it is told."""
    if answer.status_code == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
        if match is None:
            return -1, None
        return int(match[1]), None if match[2] == "*" else int(match[2])
    length = answer.headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else None


def validator_of(answer: requests.Response) -> str:
    """What If-Range may carry: a strong ETag, else the date of the last change, else nothing."""
    etag = answer.headers.get("ETag", "")
    return etag if etag and not etag.startswith("W/") else answer.headers.get("Last-Modified", "")


def reason(error: Exception) -> str:
    """What failed, by the names of the errors alone."""
    cause = error.args[0] if error.args else None
    inner = getattr(cause, "reason", cause)
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError) or "Timeout" in type(inner).__name__:
        return "the server was silent for too long"
    detail = f" ({type(inner).__name__})" if isinstance(inner, Exception) else ""
    return f"connection lost, {type(error).__name__}{detail}"


def host_of(url: str) -> str:
    """The name of an address's host."""
    return urlsplit(url).hostname or "an unknown host"


def public_address(url: str) -> str:
    """An address without login, query and fragment: fit for logs."""
    split = urlsplit(url)
    return f"{split.scheme}://{split.netloc.rpartition('@')[2]}{split.path}"
