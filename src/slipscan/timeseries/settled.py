"""The part of a network that new interferograms leave as it is, summed up pixel by pixel.

New epochs come at the end. What is long before them is settled: the interferograms between its epochs are read and
screened once, and enter an update by a few sums, the normal equations of its last epochs (Schur complement, all earlier
epochs eliminated), and its series. The solution for all epochs from these last ones on is then that of the whole
network. The earlier ones stay as they are: with the settled data unchanged, the change of an earlier epoch is a
weighted mean of the changes of the last ones and of zero (the normal matrix is that of a grounded graph), so it is never
larger than theirs, which `update` checks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from slipscan.timeseries.closure import closures
from slipscan.timeseries.elimination import Elimination, eliminate, factorise, forward, reached_epochs
from slipscan.timeseries.inversion import Float, Solution
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
    "used", "chi2", "squares", "cosine", "sine",
)  # fmt: skip
BATCH: Final = 2048


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

    def settled_triangles(self, triangles: Index) -> Index:
        """Positions of the triangles whose pairs are settled."""
        return np.flatnonzero(self.settled[triangles].all(axis=1))


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
    """Sums up the settled part of a tile while the whole is inverted; arrays (row, pixel).

    Parameters
    ----------
    border
        where it ends
    triangles, short, half, error_m
        of the plan: triangles, short triplets, half a wavelength, and the misclosure that is counted as an error
    observed
        (pair, pixel) m, not screened yet
    """

    def __init__(
        self,
        border: Border,
        triangles: Index,
        short: ShortTriplets,
        half: float,
        error_m: float,
        observed: NDArray[np.float32],
    ) -> None:
        pixels = observed.shape[1]
        self._border, self._triangles, self._short, self._half = border, triangles, short, half
        self._unscreened = observed[: border.checked[-1] + 1].copy()
        count, reach = border.clusters, border.reach
        self.fields: dict[str, NDArray[np.generic]] = {
            "displacement": np.full((border.first, pixels), np.nan, np.float32),
            "deviation": np.full((border.first, pixels), np.nan, np.float32),
            "sums": np.zeros((len(SUMS), pixels)),
            "bias": np.zeros((2 * count, pixels)),
            "boundary": np.zeros((reach * (reach + 2), pixels)),
            "decisions": np.zeros((len(border.checked), pixels), np.int8),
        }
        closed = triangles[border.settled_triangles(triangles)]
        for batch in batches(pixels):
            closure = closures(observed[:, batch], closed)
            self._put(batch, unscreened_sums(closure, observed[:, batch][border.settled], half, error_m))

    def _put(self, batch: slice | Index, sums: dict[str, NDArray[np.generic]]) -> None:
        for name, values in sums.items():
            self.fields["sums"][SUMS.index(name), batch] = values

    def screened(self, observed: NDArray[np.float32]) -> None:
        """Take in what screening has made of the interferograms."""
        border = self._border
        settled = border.settled_triangles(self._triangles)
        closed, short = self._triangles[settled], self._short.among(settled)
        pairs = np.flatnonzero(border.settled)
        for batch in batches(observed.shape[1]):
            part = observed[:, batch]
            decided = decisions(self._unscreened[:, batch], part[: len(self._unscreened)], self._half)
            self.fields["decisions"][:, batch] = decided[border.checked]
            self._put(batch, decision_sums(decided[pairs]))
            self._put(batch, {"valid": np.isfinite(part[pairs]).sum(axis=0)})
            if len(short.index):
                self.fields["bias"][:, batch] = bias_sums(closures(part, closed), short, border.clusters, self._half)

    def solved(self, members: Index, observed: NDArray[np.float32], weight: Float, solution: Solution, wave: float) -> None:
        """Take in the solution of some pixels.

        Parameters
        ----------
        members
            (pixel,) their positions
        observed, weight, solution
            (pair, pixel), (pair,), of the inversion
        wave
            length of the radar's, m
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
        self._put(members, fit_sums(solution.residual[border.settled], weight[border.settled], wave))
        self.fields["boundary"][:, members] = normal_equations(
            border.pattern, observed[border.settled], weight[border.settled]
        )


def batches(pixels: int) -> list[slice]:
    """Pixels that are summed up at once."""
    return [slice(start, min(start + BATCH, pixels)) for start in range(0, pixels, BATCH)]


def unscreened_sums(
    closure: NDArray[np.floating], observed: NDArray[np.floating], half: float, error_m: float
) -> dict[str, NDArray[np.generic]]:
    """What is counted of closures (triangle, pixel) m and interferograms (pair, pixel) before they are screened."""
    valid = np.isfinite(closure)
    size = np.where(valid, np.abs(closure), 0.0)
    return {
        "closure_squares": (size**2).sum(axis=0, dtype=np.float64),
        "closures": valid.sum(axis=0),
        "closure_errors": (size > error_m).sum(axis=0),
        "misclosed": (np.rint(size / half) != 0).sum(axis=0),
        "valid_before": np.isfinite(observed).sum(axis=0),
    }


def decisions(before: NDArray[np.float32], after: NDArray[np.float32], half: float) -> NDArray[np.int8]:
    """What screening did to interferograms, (pair, pixel): cycles added, or MASKED."""
    same = np.equal(before, after) | np.isnan(before)
    if same.all():
        return np.zeros(before.shape, np.int8)
    turns = np.rint(np.where(same | np.isnan(after), 0.0, after - before) / half).astype(np.int8)
    turns[np.isnan(after) & ~same] = MASKED
    return turns


def decision_sums(decided: NDArray[np.int8]) -> dict[str, NDArray[np.generic]]:
    """Interferograms that were masked and corrected, of every pixel."""
    masked = decided == MASKED
    return {"masked": masked.sum(axis=0), "corrected": ((decided != 0) & ~masked).sum(axis=0)}


def fit_sums(residual: Float, weight: Float, wave: float) -> dict[str, NDArray[np.generic]]:
    """What is summed of residuals (pair, pixel) m, NaN where not used."""
    used = np.isfinite(residual)
    misfit = np.where(used, residual, 0.0)
    phase = (misfit * (4 * np.pi / wave)).astype(np.float32)
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
    size = max(64, 2**20 // max(pattern.size, 1))
    for start in range(0, observed.shape[1], size):
        part = slice(start, start + size)
        data = observed[:, part].astype(np.float64)
        valid = np.isfinite(data)
        rooted = reached_epochs(pattern, valid)
        reached = reached_epochs(pattern, valid, pattern.zero | last)
        used = valid & reached[pattern.network.reference] & reached[pattern.network.secondary]
        weights = np.where(used, weight[:, None], 0.0)
        # The matrix of what has no interferogram is zero where an epoch is kept, one where it is eliminated.
        factor = factorise(pattern, weights, reached | last[:, None])
        right = forward(factor, weights, np.where(used, data, 0.0))
        out[: kept * kept, part] = factor.entries[pattern.left.ravel()]
        out[kept * kept : kept * (kept + 1), part] = right[last]
        out[kept * (kept + 1) :, part] = rooted[last]
    return out
