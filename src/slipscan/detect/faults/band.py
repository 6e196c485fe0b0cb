"""The series of a track projected on the patterns of sources along faults: a band whose places are the sources."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from slipscan.detect.bands import MIN_RELATIVE_NOISE, Band, filtered
from slipscan.detect.faults.bank import Sources, patterns
from slipscan.fit.masks import all_valid
from slipscan.fit.robust import temporal_std

TOGETHER: Final = 16
"""Sources whose patterns are made at once."""
SEEN: Final = 0.5
"""Share of a pattern's power that must lie where there is data, and of that in an epoch."""
FOOTPRINT: Final = 0.3
"""Of a pattern's own peak: where the source is."""
NEAR_KM: Final = 8.0
"""Within which sources have the same noise: what one series of some dozen epochs tells of its own is a fifth off."""
FAINTEST: Final = 0.02
"""Of a pattern's peak in a band: what is weaker is left out, and is less than a hundredth of its power."""


@dataclass(frozen=True)
class Footprint:
    """Where a pattern is: rows and columns of the coarse grid, and (y, x) bool there."""

    rows: slice
    columns: slice
    mask: NDArray[np.bool_]

    @property
    def middle(self) -> tuple[float, float]:
        """Row and column."""
        return (self.rows.start + self.rows.stop) / 2, (self.columns.start + self.columns.stop) / 2

    def touches(self, mask: NDArray[np.bool_]) -> bool:
        """Whether it has a pixel of a mask (y, x) of the coarse grid."""
        return bool((mask[self.rows, self.columns] & self.mask).any())

    def on(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """The same on the coarse grid."""
        out = np.zeros(shape, bool)
        out[self.rows, self.columns] = self.mask
        return out


@dataclass(frozen=True)
class FaultBand(Band):
    """A band whose places are sources; `shape` is (1, source), and `footprints` are theirs.

    `near` is the (source, source) matrix that takes the mean over the sources near each.
    """

    footprints: tuple[Footprint, ...] = ()
    near: Tensor | None = None

    @property
    def middles(self) -> NDArray[np.float64]:
        """Rows and columns (source, 2) of the middles of the footprints."""
        return np.array([one.middle for one in self.footprints], float)

    def touched(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which sources (place,) have a pixel of a mask (y, x) of the coarse grid in their footprint."""
        return np.array([footprint.touches(mask) for footprint in self.footprints], bool)

    def _noise(self, order: NDArray[np.intp]) -> Tensor:
        assert self.near is not None
        return averaged(super()._noise(order), self.near)


def fault_band(bands: Sequence[Band], bank: Sequence[Sources], los: Tensor, pixel_m: float) -> FaultBand | None:
    """Series of the sources of a bank: what the bands hold of their patterns, each over its standard deviation.

    The projection that has the largest signal-to-noise ratio where bands and the cells of each are independent:
    sum of pattern x series over the noise, in all of them. Its unit is the standard deviation of a typical epoch.

    Parameters
    ----------
    bands
        of a track
    bank
        sources along its mapped faults
    los
        (3, y, x) of the coarse grid
    pixel_m
        side of its pixels

    Returns
    -------
    band
        None where no source lies where there are data
    """
    made = list(_projected(bands, bank, los, pixel_m))
    if not made:
        return None
    kinds, footprints, *series = zip(*made, strict=True)
    values, known, shares = (torch.stack(part, dim) for part, dim in zip(series, (1, 1, 0), strict=True))
    share = shares.mean(0)
    white = torch.stack([band.weight.median() / band.weight for band in bands], 1)
    std = (white @ share).sqrt()
    near = near_sources(footprints, kinds, NEAR_KM * 1e3 / pixel_m)
    relative = averaged(temporal_std(values, known, std), near).clamp(min=MIN_RELATIVE_NOISE)
    gappy = torch.nonzero(~all_valid(known))[:, 0]
    return FaultBand(
        values=values.div_(relative), weight=std**-2, std=relative, gappy=gappy, valid=known[:, gappy].float(),
        shape=(1, len(relative)), level=0, place_km2=1.0, cell_km2=1.0,
        red=float(share @ torch.tensor([band.red for band in bands])), footprints=footprints, near=near,
    )  # fmt: skip


def near_sources(footprints: Sequence[Footprint], kinds: Sequence[int], distance: float) -> Tensor:
    """The matrix (source, source) of the mean over those of a kind whose middles lie within a distance, pixels."""
    # Kinds apart: as far from one another as none of one kind is.
    tree = cKDTree([(*one.middle, 2 * distance * kind) for one, kind in zip(footprints, kinds, strict=True)])
    one, other = tree.query_pairs(distance, output_type="ndarray").T
    itself = np.arange(len(footprints))
    rows, columns = np.concatenate([one, other, itself]), np.concatenate([other, one, itself])
    share = 1 / np.bincount(rows)[rows]
    at = torch.from_numpy(np.stack([rows, columns]))
    size = (len(footprints), len(footprints))
    return torch.sparse_coo_tensor(at, torch.from_numpy(share).float(), size, check_invariants=True).coalesce()


def averaged(noise: Tensor, near: Tensor) -> Tensor:
    """Root mean square of a standard deviation (source,) over the sources near each."""
    return torch.sparse.mm(near, noise.square()[:, None])[:, 0].sqrt()


def _projected(
    bands: Sequence[Band], bank: Sequence[Sources], los: Tensor, pixel_m: float
) -> Iterator[tuple[int, Footprint, Tensor, Tensor, Tensor]]:
    """Of every source that lies where there are data: number of its kind, footprint, and what `_series` gives."""
    for kind, sources in enumerate(bank):
        for start in range(0, len(sources), TOGETHER):
            fields, first = _on_squares(bands, sources.some(slice(start, start + TOGETHER)), los, pixel_m)
            in_bands = [filtered(fields, band, pixel_m / 1e3) for band in bands]
            for number, at in enumerate(first):
                if (made := _series(bands, [field[number] for field in in_bands], at)) is not None:
                    yield kind, _footprint(fields[number], at, (los.shape[1], los.shape[2])), *made


def _on_squares(
    bands: Sequence[Band], sources: Sources, los: Tensor, pixel_m: float
) -> tuple[Tensor, list[tuple[int, int]]]:
    """Patterns (source, y, x), m, on squares about the sources, and the row and column where each begins."""
    step = 2 ** max(band.level for band in bands)  # where places of all bands begin
    side = step * math.ceil(2e3 * sources.kind.reach_km / pixel_m / step)
    middle = np.column_stack([-sources.north, sources.east]) / pixel_m
    first = (step * np.round((middle - side / 2) / step)).astype(int)
    return patterns(sources, first, side, los, pixel_m), [(int(row), int(column)) for row, column in first]


def _footprint(field: Tensor, first: tuple[int, int], shape: tuple[int, int]) -> Footprint:
    """Of a pattern (y, x) on a square that begins at a pixel, within a scene."""
    rows, columns = (
        slice(max(0, at), max(0, min(size, at + field.shape[axis])))
        for axis, (at, size) in enumerate(zip(first, shape, strict=True))
    )
    inner = field[rows.start - first[0] : rows.stop - first[0], columns.start - first[1] : columns.stop - first[1]]
    size = inner.abs().numpy()
    return Footprint(rows, columns, size >= FOOTPRINT * float(field.abs().max()))


def _series(
    bands: Sequence[Band], in_bands: Sequence[Tensor], first: tuple[int, int]
) -> tuple[Tensor, Tensor, Tensor] | None:
    """Series (time,), where it is known (time,) and share (band,) of every band, of a pattern given in each (y, x).

    None where there are no data for most of it.
    """
    count = len(bands[0].values)
    total, power, by_band, whole = torch.zeros(count), torch.zeros(count), [], 0.0
    for band, field in zip(bands, in_bands, strict=True):
        scale = float(band.weight.median()) * band.place_km2 / band.cell_km2
        strong = field.abs() > FAINTEST * field.abs().max()
        row, column = torch.nonzero(strong, as_tuple=True)
        row, column, pattern = row + first[0] // 2**band.level, column + first[1] // 2**band.level, field[strong]
        whole += scale * float(pattern.square().sum())
        inside = (row >= 0) & (row < band.shape[0]) & (column >= 0) & (column < band.shape[1])
        places = row[inside] * band.shape[1] + column[inside]
        # The noise of a place is infinite where there is no data.
        pattern = pattern[inside] / band.std[places]
        known = band.known(places).float() @ (scale * pattern.square())
        total += scale * (band.values[:, places] @ pattern)
        power += known
        by_band.append(known.max())
    shares = torch.stack(by_band)
    if float(shares.sum()) <= SEEN * whole:
        return None
    seen = power > SEEN * shares.sum()
    return torch.where(seen, total / power.clamp(min=1e-30).sqrt(), 0.0), seen, shares / shares.sum()
