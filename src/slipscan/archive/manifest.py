"""The manifest: which granules a region-track is made of, sorted, without volatile columns."""

from __future__ import annotations

import datetime
from pathlib import Path

import pandas as pd

from slipscan.errors import SlipscanError
from slipscan.store import write_csv

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

ORDER = ["reference_date", "secondary_date", "granule"]


def write(path: Path, table: pd.DataFrame) -> None:
    """Write a manifest as CSV, sorted by reference date, secondary date and granule.

    Parameters
    ----------
    path
        the CSV file, written atomically
    table
        COLUMNS; dates as ISO strings, an empty string where something is unknown
    """
    write_csv(path, table[list(COLUMNS)].sort_values(ORDER, kind="stable"))


def read(path: Path) -> pd.DataFrame:
    """Read a manifest; every column as text.

    Raises
    ------
    SlipscanError
        the file is missing, has other columns, or a date that is no ISO date
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError as error:
        raise SlipscanError(f"there is no manifest {path}: run `slipscan manifest` (rule manifest) first") from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise SlipscanError(f"{path} is no manifest (CSV with the columns {', '.join(COLUMNS)})") from error
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise SlipscanError(f"the manifest {path} has no column '{missing[0]}'")
    for column in ("reference_date", "secondary_date"):
        for text in table[column]:
            try:
                datetime.date.fromisoformat(text)
            except ValueError as error:
                raise SlipscanError(f"the manifest {path} has {column} {text!r}, which is no ISO date") from error
    return table[list(COLUMNS)].sort_values(ORDER, kind="stable", ignore_index=True)
