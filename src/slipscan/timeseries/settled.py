"""The part of a network that new interferograms leave as it is, summed up pixel by pixel.

New epochs come at the end. What is long before them is settled: the interferograms between its epochs are read and
screened once, and enter an update by a few sums, the normal equations of its last epochs (Schur complement, all earlier
epochs eliminated), and its series. The solution for all epochs from these last ones on is then that of the whole
network. The earlier ones stay as they are: with the settled data unchanged, the change of an earlier epoch is a
weighted mean of the changes of the last ones and of zero (the normal matrix is that of a grounded graph), so it is
never larger than theirs, which `update` checks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from slipscan.timeseries.closure import sums_of
from slipscan.timeseries.elimination import Elimination, eliminate, factorise, forward, reached_epochs
from slipscan.timeseries.inversion import Float, Solution, sorted_by_validity
from slipscan.timeseries.network import Index, Network
from slipscan.timeseries.phase_bias import ShortTriplets, bias_sums

QUIET: Final = 16
"""Epochs between the settled ones and the first interferogram that may be new."""
LONGEST_REACH: Final = 8
"""Epochs that an interferogram may span: the size of the normal equations that are kept."""
LOOKED_AT: Final = 8
"""Epochs behind the border up to which screening must decide as it did before."""
SLACK: Final = 0.05
"""Pixels so far below the least share of valid interferograms are solved for, too: they may come to have enough."""
MASKED: Final = -128
SUMS: Final = (
    "closure_squares", "closures", "closure_errors", "misclosed", "valid_before", "masked", "corrected", "valid",
    "used", "chi2", "squares", "cosine", "sine", "solved",
)  # fmt: skip
"""Of every pixel; `solved` is 1 where the series of the settled epochs is kept."""


@dataclass(frozen=True)
class Border:
    """Where the settled part of a network ends.

    Attributes
    ----------
    first
        the first open epoch
    reach
        epochs that the longest interferogram spans: so many before `first` have normal equations
    settled
        (pair,) whether both epochs come before `first`
    checked
        pairs of which the decisions of screening are kept
    pattern
        of the settled pairs; the last `reach` epochs are not eliminated
    clusters
        of triplets, for the phase bias
    """

    first: int
    reach: int
    settled: NDArray[np.bool_]
    checked: Index
    pattern: Elimination
    clusters: int


def border_of(network: Network, first: int, reach: int, clusters: int) -> Border | None:
    """The border before an epoch; None where the pairs are not in the order of their references, or too little is left.

    An interferogram that spans more than `reach` epochs has none either.
    """
    span = network.secondary - network.reference
    if first < 2 * reach + 2 or reach > LONGEST_REACH or span.max() > reach or (np.diff(network.reference) < 0).any():
        return None
    settled = network.secondary < first
    near = (network.reference >= first - reach) & (network.secondary < first + LOOKED_AT)
    before = Network(network.dates[:first], network.reference[settled], network.secondary[settled])
    pattern = eliminate(before, np.zeros(first, np.int64), np.arange(first - reach, first))
    return Border(first, reach, settled, np.flatnonzero(near), pattern, clusters)


class Recorder:
    """Sums up the settled part of a tile while the whole is inverted; arrays (row, pixel) in `fields`.

    Parameters
    ----------
    border
        where it ends
    triangles, short, half_wavelength_m, error_m
        triangles and short triplets of the network; the misclosure that is counted as an unwrapping error
    pixels
        of the tile
    """

    def __init__(
        self,
        border: Border,
        triangles: Index,
        short: ShortTriplets,
        half_wavelength_m: float,
        error_m: float,
        pixels: int,
    ) -> None:
        self._border, self._half, self._error_m = border, half_wavelength_m, error_m
        settled = border.settled[triangles].all(axis=1)
        self._opened, self._settled = np.flatnonzero(~settled), np.flatnonzero(settled)
        self._short = short.among(self._settled)
        reach = border.reach
        self.fields: dict[str, NDArray[Any]] = {
            "displacement": np.full((border.first, pixels), np.nan, np.float32),
            "deviation": np.full((border.first, pixels), np.nan, np.float32),
            "sums": np.zeros((len(SUMS), pixels)),
            "bias": np.zeros((2 * border.clusters, pixels), np.float32),
            "boundary": np.zeros((reach * (reach + 2), pixels)),
            "decisions": np.zeros((len(border.checked), pixels), np.int8),
        }

    def _put(self, members: slice | Index, sums: dict[str, NDArray[Any]]) -> None:
        for name, values in sums.items():
            self.fields["sums"][SUMS.index(name), members] = values

    def unscreened(
        self,
        batch: slice,
        observed: NDArray[np.float32],
        closure: NDArray[np.floating],
        sums: tuple[NDArray[Any], NDArray[Any], NDArray[Any]],
    ) -> None:
        """Take in interferograms (pair, pixel) m of a batch, their closures and the sums of these, before screening."""
        part = closure[self._opened]
        opened = (*sums_of(part, self._error_m), misclosed(part, self._half))
        totals = (*sums, misclosed(closure, self._half))
        names = ("closure_squares", "closures", "closure_errors", "misclosed")
        self._put(batch, {name: a - b for name, a, b in zip(names, totals, opened, strict=True)})
        self._put(batch, {"valid_before": np.isfinite(observed[self._border.settled]).sum(axis=0)})

    def without_triangles(self, observed: NDArray[np.float32]) -> None:
        """Take in the interferograms of a network in which nothing can be screened."""
        valid = np.isfinite(observed[self._border.settled]).sum(axis=0)
        self._put(slice(None), {"valid_before": valid, "valid": valid})

    def screened(
        self,
        batch: slice,
        before: NDArray[np.float32],
        after: NDArray[np.float32],
        closure: NDArray[np.floating],
        changed: bool,
    ) -> None:
        """Take in interferograms before and after screening, and their closures after it."""
        border = self._border
        valid = np.isfinite(after[border.settled]).sum(axis=0)
        self._put(batch, {"valid": valid})
        if changed:
            decided = decisions(before, after, self._half)
            self.fields["decisions"][:, batch] = decided[border.checked]
            self._put(batch, decision_sums(decided[border.settled]))
        if len(self._short.index):
            self.fields["bias"][:, batch] = bias_sums(closure[self._settled], self._short, border.clusters, self._half)

    def solved(self, members: Index, observed: NDArray[np.float32], weight: Float, solution: Solution) -> None:
        """Take in the solution of some pixels.

        Parameters
        ----------
        members
            (pixel,) their positions
        observed, weight, solution
            (pair, pixel), (pair,), of the inversion
        """
        border = self._border
        known = np.isfinite(solution.residual)
        chi2 = weight @ np.where(known, solution.residual, 0.0) ** 2
        freedom = known.sum(axis=0) - np.isfinite(solution.displacement).sum(axis=0) + 1
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = 1.0 / np.sqrt(chi2 / freedom)
        scale[~np.isfinite(scale)] = np.nan
        self.fields["displacement"][:, members] = solution.displacement[: border.first]
        self.fields["deviation"][:, members] = solution.std[: border.first] * scale
        fit = fit_sums(solution.residual[border.settled], weight[border.settled], self._half)
        self._put(members, fit | {"solved": np.ones(len(members))})
        self.fields["boundary"][:, members] = normal_equations(
            border.pattern, observed[border.settled], weight[border.settled]
        )


def misclosed(closure: NDArray[np.floating], half_wavelength_m: float) -> NDArray[np.int64]:
    """How many closures (triangle, pixel) m of a pixel are whole cycles off."""
    return np.asarray((np.abs(closure) > half_wavelength_m / 2).sum(axis=0))


def decisions(before: NDArray[np.float32], after: NDArray[np.float32], half: float) -> NDArray[np.int8]:
    """What screening did to interferograms, (pair, pixel): cycles added, or MASKED."""
    same = np.equal(before, after) | np.isnan(before)
    if same.all():
        return np.zeros(before.shape, np.int8)
    turns = np.rint(np.where(same | np.isnan(after), 0.0, after - before) / half).astype(np.int8)
    turns[np.isnan(after) & ~same] = MASKED
    return turns


def decision_sums(decided: NDArray[np.int8]) -> dict[str, NDArray[Any]]:
    """Interferograms that were masked and corrected, of every pixel."""
    masked = decided == MASKED
    return {"masked": masked.sum(axis=0), "corrected": ((decided != 0) & ~masked).sum(axis=0)}


def fit_sums(residual: Float, weight: Float, half_wavelength_m: float) -> dict[str, NDArray[Any]]:
    """What is summed of residuals (pair, pixel) m, NaN where not used."""
    used = np.isfinite(residual)
    misfit = np.where(used, residual, 0.0)
    phase = (misfit * (2 * np.pi / half_wavelength_m)).astype(np.float32)
    return {
        "used": used.sum(axis=0),
        "chi2": weight @ misfit**2,
        "squares": (misfit**2).sum(axis=0),
        "cosine": np.cos(phase).sum(axis=0, dtype=np.float64) - (~used).sum(axis=0),
        "sine": np.sin(phase).sum(axis=0, dtype=np.float64),
    }


def normal_equations(pattern: Elimination, observed: NDArray[np.floating], weight: Float) -> Float:
    """The normal equations that settled interferograms give for the last settled epochs, all others eliminated.

    Returns
    -------
    rows
        (reach * (reach + 2), pixel): the matrix row by row, the right-hand side, and whether the settled interferograms
        connect an epoch with the first of all
    """
    kept = pattern.left.shape[0]
    times = len(pattern.network.dates)
    last = np.zeros(times, bool)
    last[times - kept :] = True
    out = np.empty((kept * (kept + 2), observed.shape[1]))
    rooted, reached = _connected(pattern, np.isfinite(observed), last)
    used = np.isfinite(observed) & reached[pattern.network.reference] & reached[pattern.network.secondary]
    size = max(64, 2**20 // max(pattern.size, 1))
    for start in range(0, observed.shape[1], size):
        part = slice(start, start + size)
        weights = np.where(used[:, part], weight[:, None], 0.0)
        # The matrix of what has no interferogram is zero where an epoch is kept, one where it is eliminated.
        factor = factorise(pattern, weights, reached[:, part] | last[:, None])
        right = forward(factor, weights, np.where(used[:, part], observed[:, part], 0.0))
        out[: kept * kept, part] = factor.entries[pattern.left.ravel()]
        out[kept * kept : kept * (kept + 1), part] = right[last]
    out[kept * (kept + 1) :] = rooted[last]
    return out


def _connected(
    pattern: Elimination, valid: NDArray[np.bool_], last: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which epochs valid interferograms connect with the first, and with that or the last ones, (time, pixel) each."""
    order, starts = sorted_by_validity(valid)
    alike = valid[:, order[starts]]
    rooted = reached_epochs(pattern, alike)
    reached = rooted.copy()
    apart = np.flatnonzero(~rooted.all(axis=0))
    reached[:, apart] = reached_epochs(pattern, alike[:, apart], pattern.zero | last)
    group = np.empty(len(order), np.intp)
    group[order] = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(order)))
    return rooted[:, group], reached[:, group]
