"""The manifest: which granules a region-track is made of, sorted, without volatile columns."""

from __future__ import annotations

import datetime
import io
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from slipscan.archive.job import Job
from slipscan.errors import SlipscanError
from slipscan.outputs import csv_kind
from slipscan.regions import Track
from slipscan.store import write_csv
from slipscan.texts import read_text

COLUMNS = (
    "granule",
    "archive",
    "product_version",
    "reference_date",
    "secondary_date",
    "relative_orbit",
    "frame",
    "expected_bytes",
    "expected_checksum",
)
"""`expected_checksum` is 'md5:...' or 'sha256:...'; what an archive does not tell is an empty string."""

KIND = csv_kind("a manifest", *COLUMNS)
ORDER = ["reference_date", "secondary_date", "granule"]


def table(archive: str, track: Track, rows: Iterable[Mapping[str, str]]) -> pd.DataFrame:
    """Make a manifest of rows that hold what is known of each granule; an empty string stands for the rest."""
    common = dict.fromkeys(COLUMNS, "") | {"archive": archive, "relative_orbit": str(track.relative_orbit)}
    return pd.DataFrame([common | row for row in map(dict, rows)], columns=list(COLUMNS))


def write(path: Path, table: pd.DataFrame) -> None:
    """Write a manifest as CSV, sorted by reference date, secondary date and granule.

    Parameters
    ----------
    path
        the CSV file, written atomically
    table
        COLUMNS; dates as ISO strings, an empty string where something is unknown
    """
    write_csv(path, table[list(COLUMNS)].sort_values(ORDER, kind="stable"), KIND)


def read(path: Path) -> pd.DataFrame:
    """Read a manifest; every column as text.

    Raises
    ------
    SlipscanError
        the file is missing, lists nothing or a granule twice, has other columns, or a date that is no ISO date
    """
    try:
        text = read_text(path, "manifest", "run `slipscan archive search` (rule manifest) first")
        table = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise SlipscanError(f"{path} is no manifest (CSV with the columns {', '.join(COLUMNS)})") from error
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise SlipscanError(f"the manifest {path} has no column '{missing[0]}'")
    for column in ("reference_date", "secondary_date"):
        for text in table[column]:
            if not is_iso_date(text):
                raise SlipscanError(f"the manifest {path} has {column} {text!r}: write it YYYY-MM-DD")
    if table.empty:
        raise SlipscanError(f"the manifest {path} lists no granule: make it again")
    twice = table["granule"][table["granule"].duplicated()]
    if not twice.empty:
        raise SlipscanError(f"the manifest {path} lists the granule {twice.iloc[0]} twice: delete one line")
    return table[list(COLUMNS)].sort_values(ORDER, kind="stable", ignore_index=True)


def read_of(path: Path, job: Job, dated: bool) -> pd.DataFrame:
    """Read the manifest of a job; every column as text.

    `dated` says whether the names of its granules hold both dates (YYYYMMDD), as an attribute of the archive.

    Raises
    ------
    SlipscanError
        what `read` refuses, a granule of another archive or relative orbit, or dates that are not those in its name
    """
    table = read(path)
    for column, expected in (("archive", job.region.archive), ("relative_orbit", str(job.track.relative_orbit))):
        other = table[table[column] != expected]
        if not other.empty:
            raise SlipscanError(
                f"the manifest {path} has {column} {other[column].iloc[0]!r} ({other['granule'].iloc[0]}), but"
                f" {job.where} has {expected!r}: take the manifest of this region and track"
            )
    if dated:
        for _, row in table.iterrows():
            for column in ("reference_date", "secondary_date"):
                if row[column].replace("-", "") not in row["granule"]:
                    raise SlipscanError(
                        f"the manifest {path} has {column} {row[column]} for {row['granule']}: another date stands in"
                        " the name; make the manifest again"
                    )
    return table


def is_iso_date(text: str) -> bool:
    """Whether a text is a date as YYYY-MM-DD: dates are compared as texts, so that no other way to write it will do."""
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
