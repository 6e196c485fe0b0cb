"""What 500 stations of ten years cost: files of their own, read, cleaned, fitted and scanned, each part by itself."""

from __future__ import annotations

import datetime
import logging
import tempfile
import time as clock
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from slipbench.gnss_rows import Places, Row, series_of
from slipscan.gnss.daily import daily_series
from slipscan.gnss.detect import COARSE_D, peaks_of, prepare
from slipscan.gnss.tenv3 import read_stations
from slipscan.gnss.threshold import LOWEST
from slipscan.progress import progress
from slipscan.synthetic.positions import FORMAL_STD_M, HEADER, format_line

STATIONS: Final = 500
DAYS: Final = 3653
FIRST: Final = datetime.date(2010, 1, 1)
MISSING: Final = 0.05
REGION_DEG: Final = (-160.0, 18.0, 4.0)
"""Western and southern edge, and width."""
MUST_S: Final = 120.0


def write_stations(directory: Path, count: int, days: int) -> None:
    """Write so many tenv3 files of white and flicker noise."""
    generator = np.random.default_rng(4)
    dates = [FIRST + datetime.timedelta(days=day) for day in range(days)]
    formal, uncorrelated = np.array(FORMAL_STD_M), np.zeros(3)
    for number in progress(list(range(count)), "files"):
        west, south, width = REGION_DEG
        origin = (west + width * float(generator.random()), south + width * float(generator.random()), 900.0)
        enu = series_of(generator, 3, days, 1.5e-3, 4e-3, 0.0).T
        present = np.flatnonzero(generator.random(days) >= MISSING).tolist()
        name = f"S{number:03d}"
        lines = [format_line(name, dates[day], origin, enu[day], formal, uncorrelated) for day in present]
        (directory / f"{name}.tenv3").write_text("\n".join([HEADER, *lines]) + "\n", encoding="ascii")


def parts(directory: Path) -> dict[str, float]:
    """Seconds of the processor, in one process, from files to the maxima of the network's statistic."""
    spent: dict[str, float] = {}

    def lap(name: str, work: Callable[[], Any]) -> Any:
        begun = clock.process_time()
        out = work()
        spent[name] = clock.process_time() - begun
        logging.getLogger(__name__).info("%s: %.1f s", name, spent[name])
        return out

    stations = lap("reading", lambda: read_stations(directory))
    series = lap("cleaning", lambda: daily_series(stations))
    _, onset, network = lap("trajectories, noise, correlation, a step at every day", lambda: prepare(series, {}))
    lap(
        f"T2 of {len(network.bank.kind)} sources, {len(COARSE_D)} durations, every day",
        lambda: peaks_of(network, onset, LOWEST),
    )
    return spent


def speed_row(_: Places) -> Row:
    """The row of the page: nothing in it is scaled."""
    with tempfile.TemporaryDirectory() as directory:
        write_stations(Path(directory), STATIONS, DAYS)
        spent = parts(Path(directory))
    total = sum(spent.values())
    said = ", ".join(f"{name} {seconds:.0f}" for name, seconds in spent.items())
    return Row(
        "500 stations x 10 years read, cleaned, fitted, scanned on 2 cores", "120 s", "60 s",
        f"{total:.0f} s of one processor in one process, {STATIONS} files: {said}; the threshold of T2 is not in it",
        total <= MUST_S,
    )  # fmt: skip
