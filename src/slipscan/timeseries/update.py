"""An update of a tile: open interferograms read, screened and inverted with what is kept of the settled ones."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from slipscan.geometry import Grid
from slipscan.timeseries.closure import ClosureSummary, closures, sums_of
from slipscan.timeseries.elimination import factorise, reached_epochs, solve, variances
from slipscan.timeseries.inversion import Float
from slipscan.timeseries.opened import Window
from slipscan.timeseries.phase_bias import bias_of_sums, bias_sums
from slipscan.timeseries.plan import Plan
from slipscan.timeseries.settled import SUMS, decision_sums, decisions, fit_sums, misclosed
from slipscan.timeseries.tile import BATCH_VALUES, Counts, Maps, observed_of
from slipscan.timeseries.unwrapping import screen

TOLERANCE: Final = 1e-4
"""Change of the last settled epochs, in standard deviations, and of these, relatively, from which all is inverted."""
ROUNDING_M: Final = 2e-8
"""Of the kept series, which is single precision, where a pixel has no misclosure."""
Arrays = dict[str, NDArray[Any]]


class DisagreementError(Exception):
    """What is kept does not agree with the new interferograms; says which check failed."""


def update_tile(plan: Plan, window: Window, tile: tuple[slice, slice], mask: NDArray[np.bool_]) -> tuple[Maps, Counts]:
    """Invert one tile from what is kept and the open interferograms: maps and counts as of `tile.invert_tile`.

    Raises
    ------
    DisagreementError
        the solution may differ from that of all interferograms
    """
    settings = plan.settings
    rows, columns = tile
    counts = Counts(ClosureSummary(1e-3 * settings.closure_error_mm), inside=int(mask.sum()))
    grid = Grid(plan.target.x[columns], plan.target.y[rows], plan.target.crs)
    observed = observed_of(plan, grid, mask, window.start)
    kept = {name: values[:, mask] for name, values in window.entry.tile(tile).items()}
    pixels = observed.shape[1]
    fields: Maps = {
        name: np.full((len(plan.network.dates), pixels), np.nan, np.float32)
        for name in ("displacement", "inversion_std")
    }
    names = ["temporal_coherence", "closure_rms"]
    if len(plan.triangles):
        names += ["unwrapping_error_share"] + (["phase_bias"] if len(plan.short.index) else [])
    fields |= {name: np.full(pixels, np.nan, np.float32) for name in names}
    size = max(256, BATCH_VALUES // max(len(observed), window.pattern.size))
    for begin in range(0, pixels, size):
        part = slice(begin, begin + size)
        one = {name: values[:, part] for name, values in kept.items()}
        for name, values in _update(plan, window, np.ascontiguousarray(observed[:, part]), one, counts).items():
            if name in fields:
                fields[name][..., part] = values
    maps = {}
    for name, values in fields.items():
        maps[name] = np.full((*values.shape[:-1], *mask.shape), np.nan, np.float32)
        maps[name][..., mask] = values
    return maps, counts


def _update(plan: Plan, window: Window, observed: NDArray[np.float32], kept: Arrays, counts: Counts) -> Arrays:
    """Screen and solve a batch of pixels: values of the stack's variables."""
    sums = dict(zip(SUMS, kept["sums"].astype(np.float64), strict=True))
    biased, fields = _screened(plan, window, observed, kept, sums, counts)
    valid = np.isfinite(observed[window.opened])
    count = sums["valid"] + valid.sum(axis=0)
    enough = count >= (plan.settings.min_pair_fraction - 1e-9) * len(plan.network.reference)
    if (sums["solved"] == 0)[enough].any():
        raise DisagreementError("pixels have come to have enough interferograms")
    displacement, deviation, residual, change = _solved(window, observed[window.opened], kept, enough)
    for name, values in fit_sums(residual, window.weight, plan.wavelength / 2).items():
        sums[name] = sums[name] + values
    used = sums["used"]
    freedom = used - np.isfinite(displacement).sum(axis=0) + 1
    chi2, agreement = np.full(len(used), np.nan), np.full(len(used), np.nan, np.float32)
    np.divide(sums["chi2"], freedom, out=chi2, where=freedom > 0)
    std = deviation * np.sqrt(chi2)
    if ((freedom > 0) & np.isnan(std) & np.isfinite(displacement)).any():
        raise DisagreementError("something has become redundant")
    last = std[window.border.first - window.border.reach : window.border.first]
    if (change > TOLERANCE * np.nan_to_num(last) + ROUNDING_M).any():
        raise DisagreementError("settled epochs change")
    np.divide(
        np.hypot(sums["cosine"], sums["sine"]), used, out=agreement, where=enough & (used > 0), casting="same_kind"
    )
    good = agreement >= plan.settings.min_temporal_coherence
    keep = good & ~biased
    displacement[:, ~keep] = np.nan
    std[:, ~keep] = np.nan
    counts.enough_pairs += int(enough.sum())
    counts.kept += int(keep.sum())
    counts.biased += int((good & biased).sum())
    counts.chain_lost += int((used < count)[keep].sum())
    counts.squares += float(sums["squares"][keep].sum())
    counts.residuals += int(used[keep].sum())
    return fields | {"displacement": displacement, "inversion_std": std, "temporal_coherence": agreement}


def _screened(
    plan: Plan, window: Window, observed: NDArray[np.float32], kept: Arrays, sums: dict[str, Float], counts: Counts
) -> tuple[NDArray[np.bool_], Arrays]:
    """Screen what is open, in place; add it to the sums; where the phase bias is too large, and maps.

    Raises
    ------
    DisagreementError
        it is decided otherwise of an interferogram that was looked at before
    """
    settings, half, pixels = plan.settings, plan.wavelength / 2, observed.shape[1]
    none = np.zeros(pixels, bool)
    if not len(plan.triangles):
        sums["valid_before"] = sums["valid_before"] + np.isfinite(observed[window.opened]).sum(axis=0)
        return none, {}
    before, error_m = observed.copy(), 1e-3 * settings.closure_error_mm
    closure = closures(observed, window.triangles)
    part, names = closure[window.unsettled], ("closure_squares", "closures", "closure_errors")
    added: dict[str, Any] = dict(zip(names, sums_of(part, error_m), strict=True))
    added |= {"misclosed": misclosed(part, half), "valid_before": np.isfinite(observed[window.opened]).sum(axis=0)}
    screen(observed, closure, window.triangles, half, error_m, settings.unwrapping_errors)
    decided = decisions(before, observed, half)
    if (decided[window.border.checked - window.start] != kept["decisions"]).any():
        raise DisagreementError("unwrapping errors are found otherwise")
    added |= decision_sums(decided[window.opened])
    for name, values in added.items():
        sums[name] = sums[name] + values
    count, wrong = sums["closures"], sums["misclosed"]
    known = count > 0
    rms = counts.closure.add_sums(sums["closure_squares"], count.astype(np.int64), sums["closure_errors"])
    summary = counts.unwrapping
    summary.pixels += int(known.sum())
    summary.misclosed += int((wrong > 0).sum())
    summary.values += int(sums["valid_before"][known].sum())
    summary.masked += int(sums["masked"].sum())
    summary.corrected += int(sums["corrected"].sum())
    share = np.full(pixels, np.nan)
    np.divide(wrong, count, out=share, where=known)
    fields: Arrays = {"closure_rms": rms, "unwrapping_error_share": share}
    if not len(plan.short.index):
        return none, fields
    closure = closures(observed, window.triangles[window.unsettled])
    bias, significant = bias_of_sums(
        _padded(kept["bias"], window.border.clusters) + bias_sums(closure, window.short, window.border.clusters, half)
    )
    counts.bias_squares += float(np.nansum(bias**2))
    counts.bias_pixels += int(np.isfinite(bias).sum())
    limit = np.inf if settings.max_phase_bias_mm_yr is None else 1e-3 * settings.max_phase_bias_mm_yr
    return np.abs(bias) > np.maximum(significant, limit), fields | {"phase_bias": bias}


def _padded(sums: NDArray[Any], clusters: int) -> Float:
    """Sums of so many clusters of triplets: zeros for those that have come since, none of those that have gone.

    No cluster of a settled triplet goes.
    """
    parts = (part[:clusters] for part in np.split(sums.astype(np.float64), 2))
    return np.concatenate([np.pad(part, ((0, clusters - len(part)), (0, 0))) for part in parts])


def _solved(
    window: Window, observed: NDArray[np.float32], kept: Arrays, enough: NDArray[np.bool_]
) -> tuple[Float, Float, Float, Float]:
    """Displacement and formal deviation of all epochs, residuals of the open interferograms, and `_change`.

    All is NaN in pixels without enough interferograms.

    Raises
    ------
    DisagreementError
        the last settled epochs change, or are reached where they were not
    """
    border, pattern, network = window.border, window.pattern, window.pattern.network
    reach, pixels = border.reach, observed.shape[1]
    matrix = kept["boundary"][: reach**2].reshape(reach, reach, pixels)
    right, rooted = np.split(kept["boundary"][reach**2 :], 2)
    first, second = np.triu_indices(reach + 1, 1)
    # The normal matrix of a graph with one epoch held at zero is again that of a graph.
    to_zero = np.maximum(matrix.sum(axis=1), 0.0)
    between = np.maximum(-matrix[np.maximum(first - 1, 0), second - 1], 0.0)
    held = np.where((first == 0)[:, None], to_zero[second - 1], between)
    connects = np.where((first == 0)[:, None], rooted[second - 1] > 0, between > 1e-12)
    data = observed.astype(np.float64)
    valid = np.concatenate([connects, np.isfinite(data)])
    reached = reached_epochs(pattern, valid)
    used = valid & reached[network.reference] & reached[network.secondary]
    weight = np.concatenate([held, np.repeat(window.weight[:, None], pixels, axis=1)])
    weight[~used] = 0.0
    data = np.where(used, np.concatenate([np.zeros(held.shape), data]), 0.0)
    known = np.zeros((len(network.dates), pixels))
    known[1 : reach + 1] = np.where(reached[1 : reach + 1], right, 0.0)
    factor = factorise(pattern, weight, reached)
    solved = solve(factor, weight, data, known)
    deviation = np.sqrt(variances(factor))
    residual = data - (solved[network.secondary] - solved[network.reference])
    residual[~used] = np.nan
    solved[~reached] = np.nan
    for values in (solved, deviation, residual):
        values[:, ~enough] = np.nan
    settled = kept["displacement"].astype(np.float64), kept["deviation"].astype(np.float64)
    change = _change(reach, solved, deviation, settled, enough)
    before = border.first - reach
    return (
        np.concatenate([np.where(enough, settled[0][:before], np.nan), solved[1:]]),
        np.concatenate([np.where(enough, settled[1][:before], np.nan), deviation[1:]]),
        residual[len(first) :],
        change,
    )


def _change(
    reach: int, solved: Float, deviation: Float, settled: tuple[Float, Float], enough: NDArray[np.bool_]
) -> Float:
    """How far the last settled epochs move, (epoch, pixel) m; 0 where there is none.

    Raises
    ------
    DisagreementError
        they are reached where they were not, or their standard deviations change
    """
    new, formal = solved[1 : reach + 1], deviation[1 : reach + 1]
    old, kept = (np.where(enough, values[-reach:], np.nan) for values in settled)
    known = np.isfinite(old)
    if (np.isfinite(new) != known).any():
        raise DisagreementError("epochs are connected otherwise")
    if (np.abs(formal - kept) > TOLERANCE * kept + 1e-6)[known].any():  # NaN: nothing was redundant
        raise DisagreementError("standard deviations change")
    return np.where(known, np.abs(new - old), 0.0)
