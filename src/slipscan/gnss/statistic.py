"""The statistic of a network: how well any source explains a ramp that begins at a day, at all stations together."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from slipscan.gnss.bank import SourceBank
from slipscan.gnss.scan import Ramps

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]

BLOCK_D = 128
SAME_SHAPE = 0.05
"""Whitened sources are used again where relative sigmas have changed by no more, RMS over stations and components."""
FILLED = 30
"""Of more stations, those that tell on most days of a block are taken, and what lacks is what the others predict."""
SOURCES = 512
"""Whitened together."""
KEPT_VALUES = 1 << 27
"""Values of whitened sources that are kept, at most: 512 MB."""


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
        for rows, stations, white, sigma in self._blocks(ramps, day):
            basis = self._basis(stations, sigma)
            projected = basis.reshape(-1, basis.shape[2]) @ white.astype(np.float32)
            t2 = np.square(projected, out=projected).reshape(len(basis), 2, -1).sum(axis=1)
            which[rows] = np.argmax(t2, axis=0)
            best[rows] = np.take_along_axis(t2, which[rows][None], axis=0)[0]
        return best, which

    def of_a_step(self, ramps: Ramps, day: NDArray[np.int64]) -> Float:
        """T2 (day,) of a ramp of all stations together: of a new frame, or of a satellite's antenna."""
        out = np.zeros(len(day))
        for rows, stations, white, sigma in self._blocks(ramps, day):
            alike = np.linalg.qr(self.whitened(np.eye(3) / sigma[:, :, None], stations))[0]
            out[rows] = np.sum((alike.T @ white) ** 2, axis=0)
        return out

    def _blocks(
        self, ramps: Ramps, day: NDArray[np.int64]
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.bool_], Float, Float]]:
        """Rows of `day`, their stations, whitened z (3 station, row) and the middle sigma (station, 3)."""
        there = np.isfinite(ramps.z[:, 0, day])
        change = np.flatnonzero(np.diff(there, axis=1).any(axis=0)) + 1
        edges = [0, *(change.tolist() if len(there) <= FILLED else []), len(day)]
        for start, end in itertools.pairwise(edges):
            for first in range(start, end, BLOCK_D):
                rows = np.arange(first, min(first + BLOCK_D, end))
                stations = there[:, rows].mean(axis=1) > 0.5
                if not stations.any():
                    continue
                z, sigma = (values[stations][:, :, day[rows]] for values in (ramps.z, ramps.sigma))
                yield rows, stations, self._whitened_with_gaps(z, stations), np.nanmedian(sigma, axis=2)

    def _whitened_with_gaps(self, z: Float, stations: NDArray[np.bool_]) -> Float:
        """As `whitened`; where a station lacks (NaN), what the others predict of it stands for it."""
        there = np.isfinite(z[:, 0])
        if there.all():
            return self.whitened(z, stations)
        filled = z.copy()
        patterns, which = np.unique(there, axis=1, return_inverse=True)
        for number, pattern in enumerate(patterns.T):
            rows = np.flatnonzero(which.ravel() == number)
            for component in range(3):
                whole = self.correlation[component][np.ix_(stations, stations)]
                known = np.linalg.solve(whole[np.ix_(pattern, pattern)], z[pattern, component][:, rows])
                filled[:, component][np.ix_(~pattern, rows)] = whole[np.ix_(~pattern, pattern)] @ known
        return self.whitened(filled, stations)

    def _basis(self, stations: NDArray[np.bool_], sigma: Float) -> Float32:
        """What each source can do (source, 2, 3 station), whitened, orthonormal."""
        shape = sigma / sigma.mean()
        for known, its_shape, basis in self._kept:
            if np.array_equal(known, stations) and np.sqrt(np.mean((shape / its_shape - 1.0) ** 2)) < SAME_SHAPE:
                return basis
        basis = self.basis_of(np.arange(len(self.bank.kind)), stations, sigma)
        self._kept.insert(0, (stations, shape, basis))
        del self._kept[max(2, KEPT_VALUES // basis.size) :]
        return basis

    def basis_of(self, sources: NDArray[np.int64], stations: NDArray[np.bool_], sigma: Float) -> Float32:
        """Orthonormal vectors (source, 2, 3 station) of what sources do, whitened; zero where there is but one."""
        out = np.empty((len(sources), 2, 3 * int(stations.sum())), np.float32)
        for first in range(0, len(sources), SOURCES):
            some = sources[first : first + SOURCES]
            unit = self.bank.columns[some][:, :, :, stations] / sigma.T
            flat = self.whitened(unit.reshape(-1, *unit.shape[2:]).transpose(2, 1, 0), stations)
            out[first : first + SOURCES] = _orthonormal(flat.T.reshape(*unit.shape[:2], -1))
        return out

    def whitened(self, z: Float, stations: NDArray[np.bool_]) -> Float:
        """(3 station, ...) of standardised values (station, 3, ...), with the noise's correlation taken out."""
        parts = []
        for component in range(3):
            factor = np.linalg.cholesky(self.correlation[component][np.ix_(stations, stations)])
            parts.append(solve_triangular(factor, z[:, component], lower=True, check_finite=False))
        return np.concatenate(parts)


def _orthonormal(white: Float) -> Float:
    """The two columns (source, 2, value) of each source, orthonormal."""
    first = _unit(white[:, 0], np.linalg.norm(white[:, 0], axis=1))
    size = np.linalg.norm(white[:, 1], axis=1)
    rest = white[:, 1] - np.sum(white[:, 1] * first, axis=1, keepdims=True) * first
    left = np.linalg.norm(rest, axis=1)
    return np.stack([first, _unit(rest, np.where(left > 1e-4 * size, left, 0.0))], axis=1)


def _unit(vectors: Float, size: Float) -> Float:
    return np.where(size[:, None] > 0.0, vectors / np.where(size > 0.0, size, 1.0)[:, None], 0.0)
