"""What was learned from a catalogue, as text: `statistics` and `precursors` as tables with a sentence each."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from slipscan.catalogue import statistics
from slipscan.catalogue.precursors import Study, study
from slipscan.catalogue.quakes import Quakes
from slipscan.catalogue.query import aligned
from slipscan.settings import PrecursorSettings

COMPARED = ("mw", "duration_days", "depth_km", "area_km2")


def report(
    layers: Mapping[str, pd.DataFrame], mc: float | None, quakes: Quakes | None, settings: PrecursorSettings
) -> str:
    """All of it; the precursor study only with earthquakes."""
    events, regions = layers["events"], layers["regions"]
    complete = statistics.completeness(events, regions, mc)
    parts = [
        _part("Scaling with moment: log10(y) = slope log10(M0 in N m) + intercept, 95 % interval of the slope",
              statistics.scalings(events, complete)),
        _part("Rates of slow slip, 95 % interval of a Poisson count", statistics.rates(events, regions, complete)),
        _part("Recurrence: places with two events or more", statistics.recurrence(events, regions)),
    ]  # fmt: skip
    if not np.isfinite(complete).any():
        parts.insert(
            0, "No magnitude of completeness is known (columns mc_local, mc; or --mc): 'complete' rows are empty."
        )
    if quakes is not None:
        parts.append(_study(study(events, layers["history"], regions, quakes, settings), events, quakes, settings))
    return "\n\n".join(parts)


def _part(title: str, table: pd.DataFrame) -> str:
    return f"{title}\n{as_text(table)}"


def as_text(table: pd.DataFrame) -> str:
    """A table with four significant digits."""
    if table.empty:
        return "none"
    rows = [[_cell(value) for value in row] for row in table.itertuples(index=False)]
    return aligned([[str(name) for name in table.columns], *rows])


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "-" if value != value else f"{value:.4g}"
    return str(value)


def _study(found: Study, events: pd.DataFrame, quakes: Quakes, settings: PrecursorSettings) -> str:
    """The precursor study in words and tables."""
    counted = "as known before the earthquake" if settings.known_before else "as known now (hindsight)"
    lines = [
        f"Events that an earthquake followed, {counted}; {int(quakes.mainshock.sum())} mainshocks of"
        f" {len(quakes.day)} earthquakes (Gardner & Knopoff 1974)",
        as_text(found.cells),
        f"{found.left_out} events left out as afterslip; {found.unknown} were known after every earthquake only",
        f"largest excess over the grid: p = {found.p_value:.3g} ({settings.shifts} random time shifts per region)",
    ]
    first = events["id"].isin(found.followed)
    others = (events["status"] == "active") & ~first
    rows = [
        {"median of": name, "followed": float(events.loc[first, name].astype(float).median()),
         "not followed": float(events.loc[others, name].astype(float).median())}
        for name in COMPARED
    ]  # fmt: skip
    lines.append("In the cell of the largest excess:\n" + as_text(pd.DataFrame(rows)))
    return "\n".join(lines)
