"""How far an event can be believed, A to D, and why."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Texts = NDArray[np.object_]

MIN_P_REAL = 0.9
"""Of what is sure, and published (docs/science.md section 10.8): a local false discovery rate of at most 10 %."""
MAX_P_VALUE = 0.01
"""Of an event whose p_real is not known."""

RULES = """\
- **A**: sure (p_real at least 0.9; where it is not known, p_value at most 0.01), detected in two tracks, and confirmed
  by GNSS.
- **B**: sure, and detected in two tracks or confirmed by GNSS.
- **C**: what is neither of the others: one track alone, or not sure.
- **D**: no source explains it (type residue), or GNSS contradicts it.

A track or a GNSS network that could not have detected the event (`insensitive`, `no_coverage`) never lowers a grade. A
source that was inverted from InSAR and GNSS together does not enter it.
"""


def grade(events: pd.DataFrame) -> tuple[Texts, Texts]:
    """Grades and their reasons, by the rules above.

    Parameters
    ----------
    events
        columns type, tracks, p_real, p_value and gnss_verdict of `schema.EVENTS`

    Returns
    -------
    grade, reason
        (event)
    """
    p_real, p_value = (events[name].to_numpy(dtype=float) for name in ("p_real", "p_value"))
    sure = np.where(np.isfinite(p_real), p_real >= MIN_P_REAL, p_value <= MAX_P_VALUE)
    tracks = np.array([text.count(",") + 1 for text in events["tracks"]], dtype=int)
    verdict = events["gnss_verdict"].fillna("no_coverage").to_numpy(dtype=object)
    residue = (events["type"] == "residue").to_numpy()
    kinds = sure.astype(int) + (tracks > 1) + (verdict == "confirmed")
    out = np.where(~sure, "C", np.where(kinds == 3, "A", np.where(kinds == 2, "B", "C"))).astype(object)
    out[residue | (verdict == "contradicted")] = "D"
    known = np.where(np.isfinite(p_real), "p_real", "p_value")
    reasons = [
        f"{'sure' if one else 'not sure'} by {by}; {count} track{'s' if count > 1 else ''}; GNSS: {said}"
        + ("; no source explains it" if bare else "")
        for one, by, count, said, bare in zip(sure, known, tracks, verdict, residue, strict=True)
    ]
    return out, np.array(reasons, dtype=object)
