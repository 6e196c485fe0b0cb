"""The statistic of a network: how well any source explains a ramp that begins at a day, at all stations together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from slipscan.gnss.background import Background, event_column, onsets
from slipscan.gnss.bank import SourceBank
from slipscan.gnss.kalman import Noise, fit, fit_onsets

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]

INFORMATIVE = 0.1
"""Share of its median information from which a station counts at a day: at its ends it tells nothing."""
LEAST_SCALE = 0.5
BLOCK_D = 128
SAME_SHAPE = 0.05
"""Whitened sources are used again where no relative sigma has changed by more."""
DURATIONS_D = (1, 2, 3, 4, 5, 7, 9, 12, 15, 18, 22, 26, 30, 36, 43, 51, 60, 72, 85)
"""Of ramps that are tried."""
_LENGTH = 700
_MAD = 1.4826


@dataclass(frozen=True)
class Ramps:
    """Offsets of ramps of one duration, by their first day.

    Attributes
    ----------
    z
        (station, 3, day) offset over its standard deviation; NaN where the station tells nothing
    sigma
        (station, 3, day) standard deviation of the offset, metres
    """

    z: Float
    sigma: Float


@dataclass(frozen=True)
class Onset:
    """Score and information (station, 3, day) of a step at every day, and what neighbouring ones share.

    Attributes
    ----------
    smoothing
        (station, 3) by duration: information of a ramp over the mean of its days' steps
    scale
        (station, 3) robust scatter of score / sqrt(information); 1 where the noise model is right
    """

    score: Float
    information: Float
    smoothing: dict[int, Float]
    scale: Float

    def ramps(self, duration_d: int) -> Ramps:
        """Ramps of `duration_d` equal daily steps."""
        score, information = (_forward_mean(v, duration_d) for v in (self.score, self.information))
        information = information * self.smoothing[duration_d][:, :, None]
        information[:, :, max(0, information.shape[2] - duration_d) :] = 0.0
        informative = information > INFORMATIVE * _typical(information)[:, :, None]
        root = np.sqrt(np.where(informative, information, np.nan))
        informative &= np.isfinite(root).all(axis=1, keepdims=True)
        z = np.where(informative, score / root / self.scale[:, :, None], np.nan)
        return Ramps(z, np.where(informative, self.scale[:, :, None] / root, np.nan))


def onset_of(background: Background, scale: Float | None = None, smoothing: dict[int, Float] | None = None) -> Onset:
    """Every onset of a network; `scale` and `smoothing` are worked out where they are not given."""
    found = onsets(background)
    shape = background.series.position.shape
    score, information = found.score.reshape(shape), found.information.reshape(shape)
    if scale is None:
        informative = information > INFORMATIVE * _typical(information)[:, :, None]
        z = np.abs(score) / np.sqrt(np.maximum(information, 1e-9))
        rows = zip(z.reshape(-1, z.shape[2]), informative.reshape(-1, z.shape[2]), strict=True)
        scatter = [_MAD * float(np.median(row[there])) if there.any() else 1.0 for row, there in rows]
        scale = np.maximum(np.array(scatter).reshape(shape[:2]), LEAST_SCALE)
    return Onset(score, information, smoothing or _smoothing(background), scale)


def _typical(information: Float) -> Float:
    """Median (station, 3) over the days on which a station tells anything (rounding is above zero, too)."""
    rows = information.reshape(-1, information.shape[2])
    medians = [np.median(row[row >= 1e-3 * row.max()]) if row.max() > 0 else 1.0 for row in rows]
    return np.array(medians).reshape(information.shape[:2])


def _forward_mean(values: Float, count: int) -> Float:
    """Mean over a day and the `count` - 1 next ones, (…, day); over fewer at the end."""
    sums = np.concatenate([np.zeros((*values.shape[:-1], 1)), np.cumsum(values, axis=-1)], axis=-1)
    day = np.arange(values.shape[-1])
    end = np.minimum(day + count, values.shape[-1])
    return np.asarray((sums[..., end] - sums[..., day]) / (end - day))


def _smoothing(background: Background) -> dict[int, Float]:
    """Information (station, 3) of a ramp over the mean of its days' steps, by duration, far from the ends."""
    noise, present = background.noise, np.repeat(background.series.present, 3, axis=0)
    # White noise of a series with gaps counts for more, as if spread over all days.
    full = [there.sum() / max(1.0, np.ptp(np.flatnonzero(there)) + 1.0) for there in present]
    white = np.array(
        [np.median(row[there]) / np.sqrt(f) for row, there, f in zip(noise.white, present, full, strict=True)]
    )
    day = np.arange(_LENGTH)
    first = _LENGTH // 2 - DURATIONS_D[-1] // 2
    ramps = [event_column(day, first, duration) for duration in DURATIONS_D]
    background_columns = [np.ones(_LENGTH), day / _LENGTH - 0.5]
    count = len(white)
    columns = np.broadcast_to(np.stack(background_columns), (count, 2, _LENGTH))
    typical = Noise(np.repeat(white[:, None], _LENGTH, axis=1), noise.flicker, noise.walk)
    information = fit_onsets(np.zeros((count, _LENGTH)), columns, typical)[1].information
    out = {}
    for duration, ramp in zip(DURATIONS_D, ramps, strict=True):
        with_it = np.concatenate([columns, np.broadcast_to(ramp, (count, 1, _LENGTH))], axis=1)
        exact = 1.0 / fit(np.zeros((count, _LENGTH)), with_it, typical).covariance[:, 2, 2]
        of_days = information[:, first : first + duration].mean(axis=1)
        out[duration] = (exact / of_days).reshape(len(background.series.names), 3)
    return out


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
