"""What a track holds: the strongest transient of any search first, then the strongest beside it, and again.

What was found is estimated beside rate and season around it from then on (orthogonal matching pursuit), since its
misfit would else be found next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from slipscan.detect.clusters import Cluster
from slipscan.detect.ramp import Ramp
from slipscan.detect.timing import Timing
from slipscan.detect.transient import Transient, is_remainder
from slipscan.errors import SlipscanError

Near = tuple[Ramp, NDArray[np.bool_]]
"""A ramp, and the pixels (y, x) near which it is estimated along."""

MAX_TRANSIENTS: Final = 50
FIRM: Final = 1.15
"""Over the threshold, as a tenth of the false alarms is: a transient beside which others are believed that do not reach
the threshold without it."""


class Pursuing(Protocol):
    """A search that can be made beside what was found."""

    origin: ClassVar[str]

    def beside(self, taken: Sequence[Near]) -> Self:
        """The same less ramps near their pixels."""
        ...

    def strongest(self, taken: Sequence[Near] = ()) -> Cluster | None:
        """The strongest cluster, beside ramps that are out of the series."""
        ...

    def statistic_at(self, cluster: Cluster, taken: Sequence[Near]) -> float:
        """That of the places of a cluster, at about its time."""
        ...

    def ramp_of(self, cluster: Cluster) -> Ramp:
        """The candidate that a cluster was found with."""
        ...

    def fitted(self, cluster: Cluster, beside: Sequence[Near]) -> Ramp:
        """The ramp close to its candidate that fits the series of a cluster best, beside ramps near it."""
        ...

    def timed(self, cluster: Cluster, beside: Sequence[Near]) -> tuple[Ramp, Timing | None]:
        """The history of the series of a cluster, beside ramps near it, and how well it is known."""
        ...

    def on_pixels(self, cluster: Cluster) -> NDArray[np.bool_]:
        """The footprint of a cluster on the coarse grid, (y, x)."""
        ...

    def around(self, footprint: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Pixels within the joining distance of a footprint."""
        ...


def pursued(
    searches: Sequence[tuple[Pursuing, float]], at_most: int = MAX_TRANSIENTS, before: Sequence[Transient] = ()
) -> list[Transient]:
    """Every transient whose statistic reaches the floor of a search, or the `at_most` strongest, in that order.

    They follow what was found before by other means, of which some may be remainders.

    Of several searches the one goes first whose statistic is largest beside its floor. What reaches the floor only
    beside one that barely does so itself is left out: pairs of ramps that fit noise are far more than single ones.

    Raises
    ------
    SlipscanError
        more than MAX_TRANSIENTS: the noise is not what was assumed
    """
    found, around_it = list(before), searches[0][0].around
    seen: list[tuple[Pursuing, Cluster]] = []
    taken = [(ramp, around_it(footprint)) for one in before for ramp, footprint in one.fits]
    firm = list(taken)
    for _ in range(MAX_TRANSIENTS):
        if len(found) == len(before) + at_most or (first := _strongest(searches, taken)) is None:
            return _timed(found, seen)
        search, floor, best = first
        footprint = search.on_pixels(best)
        around = search.around(footprint)
        if best.statistic < FIRM * floor and search.beside(firm).statistic_at(best, firm) < floor:
            # Taken out all the same, or it would be found next.
            taken.append((search.ramp_of(best), around))
            continue
        ramp = search.fitted(best, taken)
        new = Transient(ramp, best.statistic, footprint, origin=search.origin)
        whole = next((i for i, other in enumerate(found) if is_remainder(new, other, around)), None)
        if whole is None:
            found.append(new)
            seen.append((search, best))
        else:
            found[whole] = replace(found[whole], remainders=(*found[whole].remainders, new))
        taken.append((ramp, around))
        firm += taken[-1:] if best.statistic >= FIRM * floor else []
    if at_most < MAX_TRANSIENTS:
        return _timed(found, seen)
    raise SlipscanError(
        f"more than {MAX_TRANSIENTS} transients above a statistic of {searches[0][1]:.1f}: the noise model does not"
        " fit this stack; raise detect.pixel_threshold or check the stack for unwrapping errors"
    )


def _timed(found: Sequence[Transient], seen: Sequence[tuple[Pursuing, Cluster]]) -> list[Transient]:
    """Transients, the last of them, which searches have seen, with their histories, each beside the others.

    Only now, when all are known: one that is as long as two are apart would have taken both out.
    """
    first = len(found) - len(seen)
    out = list(found[:first])
    for number, (search, cluster) in enumerate(seen, first):
        others = [one for i, one in enumerate(found) if i != number]
        beside = [(ramp, search.around(footprint)) for one in others for ramp, footprint in one.fits]
        ramp, timing = search.timed(cluster, beside)
        out.append(replace(found[number], ramp=ramp, timing=timing, fit=found[number].ramp))
    return out


def _strongest(
    searches: Sequence[tuple[Pursuing, float]], taken: Sequence[Near]
) -> tuple[Pursuing, float, Cluster] | None:
    """The search whose strongest cluster stands out most beside `taken`, its floor, and the cluster."""
    out: tuple[Pursuing, float, Cluster] | None = None
    most = 1.0
    for search, floor in searches:
        best = search.beside(taken).strongest(taken)
        if best is not None and best.statistic >= most * floor:
            out, most = (search, floor, best), best.statistic / max(floor, 1e-9)
    return out
