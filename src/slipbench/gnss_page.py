"""The page docs/benchmarks/gnss.md: rows are kept beside each other as they are measured, and written as one table."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from slipbench.gnss_rows import MEASURES, Places, Row
from slipbench.gnss_speed import speed_row
from slipbench.gnss_twin import twin
from slipbench.gnss_verdict import verdict
from slipscan.atomic import write_text
from slipscan.errors import SlipscanError
from slipscan.outputs import check_outputs, text_kind

ALL: Final[dict[str, Callable[[Places], Row | list[Row]]]] = {
    **MEASURES, "speed": speed_row, "twin": twin, "verdict": verdict,
}  # fmt: skip
"""Measures by name."""
KIND: Final = text_kind("a page of the GNSS benchmark", "# GNSS: what was measured")
ROWS: Final = text_kind("rows of the GNSS benchmark", '"gnss rows"')
_MET: Final = {True: "yes", False: "**no**", None: "not shown"}
PAGE: Final = """# GNSS: what was measured

Made by `slipscan bench gnss --stations DIR --steps STEPS --page PAGE` from simulated series and from the real ones of
Kilauea (eight stations of NGL, IGS14, up to 2018-04-30; cite Blewitt, Hammond & Kreemer 2018). `DIR` holds their
`.tenv3` files, `STEPS` is NGL's `steps.txt`. `--row NAME` measures one row ({names}) and keeps the others as they were
measured before. No date and no station is given to the search: listed dates serve the comparison alone. Simulated
flicker noise is made by fractional differences, not by the sum of processes that the filter has.

{table}

The columns *must* and *aim* were set beforehand; *not shown* means that the measurement does not decide it. T2 is the
network's statistic (`docs/gnss.md`).

**Kilauea is not an independent test.** These series were at hand while the search was written, and rules were
changed after it had run on them: an event longer than 60 d is not published, a mixed event needs a
share of T2 too (`gnss_detect.mixed_share`), the share that one source explains is counted beyond what noise alone
leaves, how many suspected events the noise is estimated beside, which twelve simulated networks decided, by how much a
source must explain more than a step of all stations (6: a simulated step of 2 mm had 4, the event of 2010-02-01 has 8),
and that a source is sought between those of the lattice with three stations and more: 2007-06-17 was seen by two, and
so is mixed by the lattice alone. Row `twin` saw the first networks, too, while its search was first written; what
changed it last was chosen on other seeds (11, 12, 31). The
control dates were first compared without the scale of each series' own scatter (standard deviations of z 0.85 to 1.10,
sigma at HLNA 1.41 mm: not met), then with it, as the search uses it; and sigma then stated for east and north apart.
In row `verdict` an event can be seen from 4 sigma on, where nine in ten give a verdict; before it was 3, and the page
of more events ([gnss_verdict.md](gnss_verdict.md)) had been looked at then.
Whether the other published detections are false alarms or real events that nobody listed is not known.
"""


def measure(names: Sequence[str], places: Places, rows: Path, page: Path | None) -> str:
    """Measure rows by name, keep them, and write the page of all that were ever kept.

    Raises
    ------
    SlipscanError
        an unknown name, or no data where a row needs them
    """
    unknown = [name for name in names if name not in ALL]
    if unknown:
        raise SlipscanError(f"there is no row {unknown[0]!r}: there are {', '.join(ALL)}")
    check_outputs([(rows, ROWS), *([(page, KIND)] if page else [])], [places.stations])
    known = json.loads(rows.read_text(encoding="utf-8"))["gnss rows"] if rows.exists() else {}
    for name in names:
        found = ALL[name](places)
        known[name] = [dataclasses.asdict(row) for row in (found if isinstance(found, list) else [found])]
        write_text(rows, json.dumps({"gnss rows": known}, indent=1) + "\n", ROWS)
    missing = [[{"what": name, "must": "", "aim": "", "measured": "not measured yet", "met": None}] for name in ALL]
    table = _table([Row(**row) for name, none in zip(ALL, missing, strict=True) for row in known.get(name, none)])
    if page is not None:
        write_text(page, PAGE.format(table=table, names=", ".join(f"`{name}`" for name in ALL)), KIND)
    return table


def _table(rows: Sequence[Row]) -> str:
    lines = ["| | must | aim | measured | met |", "|" + " --- |" * 5]
    lines += [f"| {r.what} | {r.must} | {r.aim} | {r.measured} | {_MET[r.met]} |" for r in rows]
    return "\n".join(lines)
