"""The statistic of a network: how well any source explains a ramp that begins at a day, at all stations together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from slipscan.gnss.bank import SourceBank
from slipscan.gnss.scan import Ramps

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]

BLOCK_D = 128
SAME_SHAPE = 0.05
"""Whitened sources are used again where no relative sigma has changed by more."""


@dataclass
class Network:
    """Stations whose noise is correlated, and the sources that could move them.

    Attributes
    ----------
    correlation
        (3, station, station)
    bank
        sources at the same stations
    """

    correlation: Float
    bank: SourceBank
    _kept: list[tuple[NDArray[np.bool_], Float, Float32]] = field(default_factory=list)

    def statistic(self, ramps: Ramps, day: NDArray[np.int64]) -> tuple[Float, NDArray[np.int64]]:
        """T2 (day,) of the best source for ramps that begin at `day`, and its number; 0 where no station tells."""
        best, which = np.zeros(len(day)), np.zeros(len(day), np.int64)
        for rows, stations, z, sigma in self._blocks(ramps, day):
            basis = self._basis(stations, sigma)
            projected = basis.reshape(-1, basis.shape[2]) @ self.whitened(z, stations).astype(np.float32)
            t2 = np.square(projected, out=projected).reshape(len(basis), 2, -1).sum(axis=1)
            which[rows] = np.argmax(t2, axis=0)
            best[rows] = np.take_along_axis(t2, which[rows][None], axis=0)[0]
        return best, which

    def _blocks(
        self, ramps: Ramps, day: NDArray[np.int64]
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.bool_], Float, Float]]:
        """Rows of `day` of the same stations, those, z (station, 3, row) and the middle sigma (station, 3)."""
        there = np.isfinite(ramps.z[:, 0, day])
        change = np.flatnonzero((np.diff(there, axis=1)).any(axis=0)) + 1
        for start, end in zip([0, *change], [*change, len(day)], strict=True):
            stations = there[:, start]
            if not stations.any():
                continue
            for first in range(start, end, BLOCK_D):
                rows = np.arange(first, min(first + BLOCK_D, end))
                at = day[rows]
                yield rows, stations, ramps.z[stations][:, :, at], np.median(ramps.sigma[stations][:, :, at], axis=2)

    def _basis(self, stations: NDArray[np.bool_], sigma: Float) -> Float32:
        """What each source can do (source, 2, 3 station), whitened, orthonormal."""
        shape = sigma / sigma.mean()
        for known, its_shape, basis in self._kept:
            if np.array_equal(known, stations) and (np.abs(shape / its_shape - 1.0) < SAME_SHAPE).all():
                return basis
        basis = self.basis_of(np.arange(len(self.bank.kind)), stations, sigma).astype(np.float32)
        self._kept.insert(0, (stations, shape, basis))
        del self._kept[8:]
        return basis

    def basis_of(self, sources: NDArray[np.int64], stations: NDArray[np.bool_], sigma: Float) -> Float:
        """Orthonormal vectors (source, 2, 3 station) of what sources do, whitened; zero where there is but one."""
        unit = self.bank.columns[sources][:, :, :, stations] / sigma.T
        shape = unit.shape[:2]
        flat = self.whitened(unit.reshape(-1, 3, int(stations.sum())).transpose(2, 1, 0), stations)
        white = flat.T.reshape(*shape, -1)
        first = _unit(white[:, 0], np.linalg.norm(white[:, 0], axis=1))
        size = np.linalg.norm(white[:, 1], axis=1)
        rest = white[:, 1] - np.sum(white[:, 1] * first, axis=1, keepdims=True) * first
        second = _unit(rest, np.where(np.linalg.norm(rest, axis=1) > 1e-4 * size, np.linalg.norm(rest, axis=1), 0.0))
        return np.stack([first, second], axis=1)

    def whitened(self, z: Float, stations: NDArray[np.bool_]) -> Float:
        """(3 station, ...) of standardised values (station, 3, ...), with the noise's correlation taken out."""
        parts = []
        for component in range(3):
            factor = np.linalg.cholesky(self.correlation[component][np.ix_(stations, stations)])
            parts.append(np.linalg.solve(factor, z[:, component]))
        return np.concatenate(parts)


def _unit(vectors: Float, size: Float) -> Float:
    return np.where(size[:, None] > 0.0, vectors / np.where(size > 0.0, size, 1.0)[:, None], 0.0)
