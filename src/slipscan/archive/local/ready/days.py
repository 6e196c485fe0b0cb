"""Epochs of a ready series as ISO days: what is no date, out of order or twice there is refused."""

from __future__ import annotations

import datetime
import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from slipscan.archive.reading import hdf5
from slipscan.errors import SlipscanError
from slipscan.outputs import sha256_file

if TYPE_CHECKING:
    import h5py

DAY = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})(?:[T ].*)?")
"""YYYYMMDD or YYYY-MM-DD, with or without a time of day."""
FIRST_SAR = "1991-07-17"
"""Launch of ERS-1: an older date is another number."""


def rows_of_days(path: Path, days: Sequence[str], as_of: str) -> list[dict[str, str]]:
    """Describe the series in a file (or Zarr directory) with epochs on `days` (ISO) as one manifest row, or none."""
    days = [day for day in days if day <= as_of]
    if not days:
        return []
    return [
        {
            "granule": path.name,
            "reference_date": min(days),
            "secondary_date": max(days),
            "expected_bytes": str(path.stat().st_size) if path.is_file() else "",
            "expected_checksum": f"sha256:{sha256_file(path)}" if path.is_file() else "",
        }
    ]


def iso_day(text: str, path: Path) -> str:
    """Return YYYYMMDD or YYYY-MM-DD, with or without a time, as ISO day; raises SlipscanError for what is no date."""
    match = DAY.fullmatch(text.strip())
    try:
        day = datetime.date(*map(int, match.groups())).isoformat() if match else ""
    except ValueError:
        day = ""
    if day < FIRST_SAR:
        raise SlipscanError(
            f"{path} has an epoch {text!r}, which is no date of a SAR acquisition (YYYYMMDD): correct or remove it"
        )
    return day


def of_dataset(file: h5py.File, name: str) -> list[str]:
    """Return a dataset of dates (time,), text or numbers YYYYMMDD, as ISO days in ascending order.

    Raises
    ------
    SlipscanError
        missing, empty, not one date an epoch, no dates, out of order, one twice
    """
    path, dataset = Path(file.filename), hdf5.variable(file, name)
    if dataset.shape is None or dataset.ndim != 1 or not dataset.size:
        raise SlipscanError(f"{name} of {path} has the shape {dataset.shape}, not one date an epoch: make it again")
    with hdf5.reading(path, name):
        found = np.asarray(dataset[()]).tolist()
    whole = [int(value) if isinstance(value, float) and value.is_integer() else value for value in found]
    return in_order([iso_day(hdf5.decoded(value), path) for value in whole], path)


def in_order(days: list[str], path: Path) -> list[str]:
    """Return the days of a series; raises SlipscanError where they do not ascend, one comes twice, or there is one."""
    if len(days) < 2:
        raise SlipscanError(f"{path} has {len(days)} epoch: displacement is counted from it, so a series needs two")
    for one, other in itertools.pairwise(days):
        if one >= other:
            raise SlipscanError(
                f"the epochs in {path} are not in ascending order, or one comes twice ({one}, then {other}): sort them,"
                " and keep one epoch a day"
            )
    return days


def up_to(days: Sequence[str], last: str) -> int:
    """Return how many epochs (ISO days, ascending) are not after `last`."""
    return sum(day <= last for day in days)
