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
from slipscan.detect.refine import Errors
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

    def refined(self, cluster: Cluster) -> tuple[Ramp, Errors]:
        """The ramp that fits the series of a cluster best, and its errors."""
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
    taken = [(part.ramp, around_it(part.footprint)) for one in before for part in one.parts]
    firm = list(taken)
    for _ in range(MAX_TRANSIENTS):
        if len(found) == len(before) + at_most or (first := _strongest(searches, taken)) is None:
            return found
        search, floor, left, best = first
        footprint = search.on_pixels(best)
        around = search.around(footprint)
        if best.statistic < FIRM * floor and search.beside(firm).statistic_at(best, firm) < floor:
            # Taken out all the same, or it would be found next.
            taken.append((search.ramp_of(best), around))
            continue
        ramp, errors_d = left.refined(best)
        new = Transient(ramp, best.statistic, footprint, errors_d=errors_d, origin=search.origin)
        whole = next((i for i, other in enumerate(found) if is_remainder(new, other, around)), None)
        if whole is None:
            found.append(new)
        else:
            found[whole] = replace(found[whole], remainders=(*found[whole].remainders, new))
        taken.append((ramp, around))
        firm += taken[-1:] if best.statistic >= FIRM * floor else []
    if at_most < MAX_TRANSIENTS:
        return found
    raise SlipscanError(
        f"more than {MAX_TRANSIENTS} transients above a statistic of {searches[0][1]:.1f}: the noise model does not"
        " fit this stack; raise detect.pixel_threshold or check the stack for unwrapping errors"
    )


def _strongest(
    searches: Sequence[tuple[Pursuing, float]], taken: Sequence[Near]
) -> tuple[Pursuing, float, Pursuing, Cluster] | None:
    """The search whose strongest cluster stands out most, its floor, what is left of it beside `taken`, the cluster."""
    out: tuple[Pursuing, float, Pursuing, Cluster] | None = None
    most = 1.0
    for search, floor in searches:
        left = search.beside(taken)
        best = left.strongest(taken)
        if best is not None and best.statistic >= most * floor:
            out, most = (search, floor, left, best), best.statistic / max(floor, 1e-9)
    return out
