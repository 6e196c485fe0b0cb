"""What the text files of the Nevada Geodetic Laboratory (NGL) have in common: numbered lines, and dates."""

from __future__ import annotations

import codecs
import re
from functools import lru_cache
from pathlib import Path

import numpy as np

from slipscan.errors import SlipscanError

_MONTHS = {
    name: number
    for number, name in enumerate(
        ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"), start=1
    )
}
_DATE = re.compile(r"([0-9]{2})([A-Z]{3})([0-9]{2})", re.IGNORECASE)


@lru_cache(maxsize=1 << 16)
def parse_date(text: str) -> np.datetime64:
    """Midnight of a YYMMMDD date such as 05JAN26 (English months whatever the locale; 80-99 is 19xx).

    Raises
    ------
    ValueError
        not such a date
    """
    found = _DATE.fullmatch(text)
    month = _MONTHS.get(found[2].upper()) if found else None
    if found is None or month is None:
        raise ValueError(f"{text!r} is no YYMMMDD date")
    century = 1900 if found[1] >= "80" else 2000
    return np.datetime64(f"{century + int(found[1]):04d}-{month:02d}-{found[3]}", "ns")


def read_lines(path: Path, what: str) -> list[tuple[int, str]]:
    """Numbered lines of a text file, without blank ones and comments (#).

    Editors, spreadsheets and shells add byte-order marks, carriage returns, Latin-1 and UTF-16: all are read.

    Parameters
    ----------
    what
        what the file should be, for the sentences

    Raises
    ------
    SlipscanError
        no file, none that can be read, one without a line, a web page or a compressed file
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise SlipscanError(f"there is no {what} {path}: check the path") from error
    except OSError as error:
        raise SlipscanError(f"{path} cannot be read ({error.strerror}): check what it is") from error
    if raw.startswith((b"\x1f\x8b", b"PK\x03\x04")):
        raise SlipscanError(f"{path} is compressed, no {what}: unpack it")
    lines = [line.strip() for line in _decode(raw).replace("\ufeff", "").splitlines()]
    numbered = [(number, line) for number, line in enumerate(lines, start=1) if line and line[0] != "#"]
    if not numbered:
        raise SlipscanError(f"{path} is empty: fetch it again, or remove it")
    if numbered[0][1][0] == "<":
        raise SlipscanError(f"{path} is a web page, no {what}: the download failed, fetch it again")
    return numbered


def _decode(raw: bytes) -> str:
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return raw.decode("utf-16", errors="replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")
