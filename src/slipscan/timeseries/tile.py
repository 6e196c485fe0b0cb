"""One tile of a stack: interferograms read, joined, projected, screened and inverted, on one thread."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slipscan.geometry import Grid
from slipscan.timeseries.closure import ClosureSummary, closures, sums_of
from slipscan.timeseries.inversion import invert, sorted_by_validity, temporal_coherence
from slipscan.timeseries.phase_bias import phase_bias
from slipscan.timeseries.plan import Plan
from slipscan.timeseries.reading import labels, masked, pair_groups, shifted, window
from slipscan.timeseries.resample import resampler
from slipscan.timeseries.settled import SLACK, Border, Recorder
from slipscan.timeseries.unwrapping import UnwrappingSummary, screen

BATCH_VALUES = 2**19
"""Values (pairs and triplets x pixels) that are screened or inverted at once: they stay in a core's cache."""

SETTLED = "settled "
Maps = dict[str, NDArray[Any]]


@dataclass
class Counts:
    """Pixels left after every mask, and the misclosure of those that stay.

    Attributes
    ----------
    inside, enough_pairs, biased, kept
        pixels in the region's polygon; with enough interferograms; masked by their phase bias; with a series
    chain_lost
        those kept that have interferograms which do not connect with their first epoch
    squares, residuals
        sum of squares (m2) and number of the residuals of the inversion
    bias_squares, bias_pixels
        of the phase bias, (m/yr)2
    """

    closure: ClosureSummary
    unwrapping: UnwrappingSummary = field(default_factory=UnwrappingSummary)
    inside: int = 0
    enough_pairs: int = 0
    biased: int = 0
    kept: int = 0
    chain_lost: int = 0
    squares: float = 0.0
    residuals: int = 0
    bias_squares: float = 0.0
    bias_pixels: int = 0

    def merge(self, other: Counts) -> None:
        """Add the counts of another tile."""
        self.closure.merge(other.closure)
        self.unwrapping.merge(other.unwrapping)
        for name, value in vars(other).items():
            if isinstance(value, int | float):
                setattr(self, name, getattr(self, name) + value)


def invert_tile(
    plan: Plan, rows: slice, columns: slice, mask: NDArray[np.bool_], border: Border | None = None
) -> tuple[Maps, Counts]:
    """Invert one tile.

    Parameters
    ----------
    plan
        what all tiles share
    rows, columns
        of the target grid
    mask
        (y, x) pixels of the tile within the region
    border
        where the part of the network ends of which is kept what updates need; None: nothing is kept

    Returns
    -------
    maps
        the stack's variables, (time, y, x) or (y, x) of the tile, NaN outside of the region; what is kept, (row, y, x),
        under names that begin with SETTLED
    counts
        for attributes and log
    """
    counts = Counts(ClosureSummary(1e-3 * plan.settings.closure_error_mm), inside=int(mask.sum()))
    observed = observed_of(plan, Grid(plan.target.x[columns], plan.target.y[rows], plan.target.crs), mask)
    recorder = None
    if border is not None:
        error_m, pixels = counts.closure.error_m, observed.shape[1]
        recorder = Recorder(border, plan.triangles, plan.short, plan.wavelength / 2, error_m, pixels)
    fields = _screened(plan, observed, counts, recorder)
    fields |= _inverted(plan, observed, fields.pop("biased") > 0, counts, recorder)
    maps = {}
    for name, values in fields.items():
        maps[name] = np.full((*values.shape[:-1], *mask.shape), np.nan, np.float32)
        maps[name][..., mask] = values
    for name, kept in ({} if recorder is None else recorder.fields).items():
        maps[SETTLED + name] = np.zeros((len(kept), *mask.shape), kept.dtype)
        maps[SETTLED + name][:, mask] = kept
    return maps, counts


def observed_of(plan: Plan, tile: Grid, mask: NDArray[np.bool_], first: int = 0) -> NDArray[np.float32]:
    """Masked, joined, referenced and projected interferograms, from `first` on, of a tile's pixels, (pair, pixel) m."""
    take = resampler(plan.native, tile, mask, plan.resampling, plan.target.spacing)
    out = np.full((len(plan.offset) - first, take.pixels), np.nan, np.float32)
    if take.rows.start == take.rows.stop or take.columns.start == take.columns.stop:
        return out
    for pairs in pair_groups(len(plan.offset), first):
        part = window(plan.dataset, pairs, take.rows, take.columns)
        values = masked(part, plan.settings.min_coherence)
        if plan.components is not None:
            shifted(values, labels(part), plan.components.shift[pairs])
        out[pairs.start - first : pairs.stop - first] = take(values) - plan.offset[pairs, None]
    return out


def _batches(pixels: int, values_per_pixel: int, fewest: int) -> list[slice]:
    """Divide pixels into batches, fixed by the network alone."""
    size = max(fewest, BATCH_VALUES // values_per_pixel)
    return [slice(start, min(start + size, pixels)) for start in range(0, pixels, size)]


def _screened(plan: Plan, observed: NDArray[np.float32], counts: Counts, recorder: Recorder | None) -> Maps:
    """Closure, unwrapping errors (masked or corrected in `observed`) and phase bias of every pixel."""
    settings, half = plan.settings, plan.wavelength / 2
    names = ("closure_rms", "unwrapping_error_share", "phase_bias", "biased")
    fields = {name: np.full(observed.shape[1], np.nan, np.float32) for name in names}
    if not len(plan.triangles):
        if recorder is not None:
            recorder.without_triangles(observed)
        return {"closure_rms": fields["closure_rms"], "biased": fields["biased"]}
    limit = np.inf if settings.max_phase_bias_mm_yr is None else 1e-3 * settings.max_phase_bias_mm_yr
    for batch in _batches(observed.shape[1], len(observed) + len(plan.triangles), 256):
        part = np.ascontiguousarray(observed[:, batch])
        before = part if recorder is None else part.copy()
        closure = closures(part, plan.triangles)
        sums = sums_of(closure, counts.closure.error_m)
        fields["closure_rms"][batch] = counts.closure.add_sums(*sums)
        if recorder is not None:
            recorder.unscreened(batch, part, closure, sums)
        share, summary = screen(
            part, closure, plan.triangles, half, 1e-3 * settings.closure_error_mm, settings.unwrapping_errors
        )
        fields["unwrapping_error_share"][batch] = share
        counts.unwrapping.merge(summary)
        changed = bool(summary.masked or summary.corrected)
        if changed:
            closure = closures(part, plan.triangles)
        if recorder is not None:
            recorder.screened(batch, before, part, closure, changed)
        if changed:
            observed[:, batch] = part
        if len(plan.short.index):
            bias, significant = phase_bias(closure, plan.short, half)
            fields["phase_bias"][batch] = bias
            fields["biased"][batch] = np.abs(bias) > np.maximum(significant, limit)
            counts.bias_squares += float(np.nansum(bias**2))
            counts.bias_pixels += int(np.isfinite(bias).sum())
    if not len(plan.short.index):
        del fields["phase_bias"]
    return fields


def _inverted(
    plan: Plan, observed: NDArray[np.float32], biased: NDArray[np.bool_], counts: Counts, recorder: Recorder | None
) -> Maps:
    """Displacement, its misclosure part and temporal coherence of every pixel."""
    settings, pixels = plan.settings, observed.shape[1]
    times = len(plan.network.dates)
    fields: Maps = {"temporal_coherence": np.full(pixels, np.nan, np.float32)}
    for name in ("displacement", "inversion_std"):
        fields[name] = np.full((times, pixels), np.nan, np.float32)
    # Valid ones count, whether or not they still connect with the first epoch: a pixel that a moving reference loses
    # keeps its series up to there.
    valid = np.isfinite(observed)
    enough = np.flatnonzero(valid.mean(axis=0) >= settings.min_pair_fraction - 1e-9)
    counts.enough_pairs = len(enough)
    alike = enough[sorted_by_validity(valid[:, enough])[0]] if len(enough) else enough
    for batch in _batches(len(alike), len(observed), 2048):  # an estimator serves a batch
        members = alike[batch]
        solution = invert(plan.network, plan.segment, observed[:, members], plan.weight, settings.norm, plan.pattern)
        agreement = temporal_coherence(solution.residual, plan.wavelength)
        fields["temporal_coherence"][members] = agreement
        good = agreement >= settings.min_temporal_coherence
        keep = good & ~biased[members]
        fields["displacement"][:, members[keep]] = solution.displacement[:, keep]
        fields["inversion_std"][:, members[keep]] = solution.std[:, keep]
        residual = solution.residual[:, keep]
        used = np.isfinite(residual)
        counts.kept += int(keep.sum())
        counts.biased += int((good & ~keep).sum())
        counts.chain_lost += int((used.sum(axis=0) < valid[:, members[keep]].sum(axis=0)).sum())
        counts.squares += float(np.nansum(residual**2))
        counts.residuals += int(used.sum())
        if recorder is not None:
            recorder.solved(members, observed[:, members], plan.weight, solution)
    if recorder is not None:
        _nearly_enough(plan, observed, valid, recorder)
    return fields


def _nearly_enough(plan: Plan, observed: NDArray[np.float32], valid: NDArray[np.bool_], recorder: Recorder) -> None:
    """Solve for the pixels that lack a few interferograms, for the record alone."""
    lacking = plan.settings.min_pair_fraction - valid.mean(axis=0)
    members = np.flatnonzero((lacking > 1e-9) & (lacking <= SLACK))
    for batch in _batches(len(members), len(observed), 2048):
        some = members[batch]
        solution = invert(plan.network, plan.segment, observed[:, some], plan.weight, "l2", plan.pattern)
        recorder.solved(some, observed[:, some], plan.weight, solution)
