"""Weights of interferograms, from a sample of their coherence."""

from __future__ import annotations

import itertools

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from slipscan.geometry import Grid
from slipscan.settings import TimeseriesSettings
from slipscan.store import CHUNK
from slipscan.timeseries.inversion import weight_of_coherence
from slipscan.timeseries.reading import masked, pair_groups, window

SAMPLE_CHUNKS = 16
"""Chunks of the store, spread over the scene, from which a large scene's median coherence is taken."""


def median_coherence(
    dataset: xr.Dataset, native: Grid, settings: TimeseriesSettings, known: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the median coherence of every interferogram's valid native pixels, (pair,); NaN where it is not needed."""
    count = dataset.sizes["pair"]
    coherence = np.full(count, np.nan)
    if settings.weights != "coherence" or "coherence" not in dataset:
        return coherence
    coherence[: len(known)] = known
    blocks, step = _sample(native.shape)
    for pairs in pair_groups(count, len(known)):
        layers: list[list[NDArray[np.float32]]] = [[] for _ in range(count)[pairs]]
        for rows, columns in blocks:
            part = window(dataset, pairs, rows, columns)
            valid = np.isfinite(masked(part, settings.min_coherence))[:, ::step, ::step]
            values = part["coherence"].values[:, ::step, ::step]
            for kept, layer, good in zip(layers, values, valid, strict=True):
                kept.append(layer[good])
        for pair, kept in enumerate(layers, pairs.start):
            sampled = np.concatenate(kept)
            if len(sampled):
                coherence[pair] = np.median(sampled)
    return coherence


def weights_of(
    coherence: NDArray[np.float64], settings: TimeseriesSettings, has_coherence: bool
) -> NDArray[np.float64]:
    """Return the weight of every interferogram, (pair,), from its median coherence."""
    if settings.weights != "coherence" or not has_coherence:
        return np.ones(len(coherence))
    known = np.isfinite(coherence)
    typical = np.median(coherence[known]) if known.any() else 1.0
    return weight_of_coherence(np.where(known, coherence, typical))


def _sample(shape: tuple[int, int]) -> tuple[list[tuple[slice, slice]], int]:
    """Choose the chunks from which a scene's median coherence is taken, and the step within them."""
    rows, columns = ([slice(start, start + CHUNK["y"]) for start in range(0, size, CHUNK["y"])] for size in shape)
    chunks = list(itertools.product(rows, columns))
    if len(chunks) <= SAMPLE_CHUNKS // 4:
        return chunks, 1
    chosen = np.unique(np.linspace(0, len(chunks) - 1, SAMPLE_CHUNKS).astype(int))
    return [chunks[index] for index in chosen], 2
