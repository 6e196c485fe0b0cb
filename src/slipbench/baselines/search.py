"""Search for the pattern, place and history of the largest signal-to-noise ratio in whitened data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from slipbench.baselines.histories import best_history
from slipbench.baselines.prepare import Prepared
from slipbench.baselines.whitening import TOLERANCE, Told, Whitened, information_root, whiten
from slipbench.estimate import Estimate

Float = NDArray[np.float64]

LEAST_SHARE = 0.1
"""Where less than this part of a pattern's information is left in the data, it counts as this part."""
BORDER = 0.12
"""Part of a scene's side, near its edge, where the approximate information may be wrong by a factor of two."""
_FINALISTS = 3
_BORDER_FINALISTS = 6
_REFINED = 2
_FINAL_TOLERANCE = 1e-2


@dataclass(frozen=True)
class Bank:
    """Patterns to look for, on a torus whose index (0, 0) is the source's position.

    Attributes
    ----------
    patterns
        (pattern, y, x) float32 displacement, of any scale
    modes
        (pattern, y, x / 2 + 1) complex64, their Fourier transforms
    step
        (pattern,) positions are tried at every so many pixels; the pattern is smooth enough for that
    """

    patterns: Tensor
    modes: Tensor
    step: tuple[int, ...]


@dataclass(frozen=True)
class Place:
    """Where a pattern has its largest statistic, and the information that this was computed with."""

    statistic: float
    information: float
    pattern: int
    row: int
    column: int


def make_bank(patterns: Tensor, step: tuple[int, ...]) -> Bank:
    """Transform patterns; steps are reduced to what divides the torus."""
    rows, columns = patterns.shape[1:]
    scaled = patterns / patterns.abs().amax((1, 2), keepdim=True).clamp_min(1e-30)

    def fitting(wanted: int) -> int:
        size = 1
        while size * 2 <= wanted and rows % (2 * size) == 0 and columns % (2 * size) == 0:
            size *= 2
        return size

    return Bank(scaled, torch.fft.rfft2(scaled), tuple(fitting(s) for s in step))


def strongest(prepared: Prepared, bank: Bank, told: Told | None = None) -> Estimate:
    """The pattern, place and history that explain the data best, by generalised least squares.

    Parameters
    ----------
    prepared
        the stack
    bank
        for the torus of the stack's grid
    told
        the law of the noise; None: it is estimated

    Returns
    -------
    estimate
        transient and map are amplitude x pattern x history; the score is the amplitude over its standard
        deviation, with offset, ramp, height delay, rate and season estimated beside
    """
    if told is not None:
        prepared = replace(prepared, covariance=told.covariance)
    with torch.no_grad():
        field = Correlator(whiten(prepared, told))
        best = [_best_places(field, bank, i) for i in range(len(bank.step))]
        finalists = [
            place
            for zone, count in zip(zip(*best, strict=True), (_FINALISTS, _BORDER_FINALISTS), strict=True)
            for place in _strongest_first(zone)[:count]
        ]
        exact = _strongest_first(_with_exact_information(field, bank, prepared, finalists))[:_REFINED]
        refined = [_refined(field, bank, place) for place in exact]
        place = _strongest_first(_with_exact_information(field, bank, prepared, refined))[0]
    return _estimate(prepared, field.whitened, placed(bank, place, prepared.shape).astype(float))


def _strongest_first(places: Sequence[Place]) -> list[Place]:
    return sorted(places, key=lambda place: -place.statistic)


class Correlator:
    """Fourier transforms of the whitened data, at full and at coarser sampling."""

    def __init__(self, whitened: Whitened) -> None:
        self.whitened = whitened
        self.torus = whitened.noise.torus
        self.mixing = torch.from_numpy(whitened.mixing.astype(np.float32))
        self._coupling = torch.from_numpy(whitened.coupling.astype(np.float32))
        stacked = np.concatenate([whitened.data, whitened.nuisance.astype(np.float32)])
        self._modes = torch.fft.rfft2(torch.from_numpy(stacked), s=self.torus)
        self._whitening = torch.from_numpy((whitened.noise.eigenvalues**-0.5).astype(np.float32))
        mask = torch.zeros(self.torus)
        mask[: whitened.valid.shape[0], : whitened.valid.shape[1]] = torch.from_numpy(whitened.valid)
        self._mask = mask
        self._coarse: dict[int, tuple[Tensor, Tensor]] = {}

    def correlate(self, pattern: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """Products of a pattern at every position with the courses, and its information there.

        Parameters
        ----------
        pattern
            (y, x / 2 + 1) modes
        step
            pixels between positions

        Returns
        -------
        product, information
            (course, row, column) and (row, column)

        Notes
        -----
        The information is that of the whitened pattern inside the valid pixels less what the nuisance takes.
        The first part is exact away from edges and gaps; the winner's is computed exactly afterwards.
        """
        if step not in self._coarse:
            seen = torch.fft.rfft2(self._mask[::step, ::step])
            self._coarse[step] = (_low_modes(self._modes, self.torus, step), seen)
        modes, seen = self._coarse[step]
        size = (self.torus[0] // step, self.torus[1] // step)
        rows, columns = (-(-n // step) for n in self.whitened.valid.shape)
        low = _low_modes(pattern, self.torus, step)
        products = torch.fft.irfft2(modes * low.conj(), s=size)[:, :rows, :columns] / step**2
        count = len(self.whitened.data)
        white = torch.fft.irfft2(low * _low_modes(self._whitening, self.torus, step), s=size) / step**2
        energy = torch.fft.irfft2(torch.fft.rfft2(white**2).conj() * seen, s=size)[:rows, :columns] * step**2
        lost = torch.einsum("kyx,kl,lyx->yx", products[count:], self._coupling, products[count:])
        least = LEAST_SHARE * float((white**2).sum()) * step**2
        return products[:count], (energy - lost).clamp_min(max(least, 1e-30))


def _low_modes(modes: Tensor, torus: tuple[int, int], step: int) -> Tensor:
    """Modes (..., y, x / 2 + 1) that a grid of every `step`-th pixel can hold."""
    if step == 1:
        return modes
    rows, columns = torus[0] // step, torus[1] // step
    half = rows // 2
    return torch.cat((modes[..., : rows - half, : columns // 2 + 1], modes[..., -half:, : columns // 2 + 1]), dim=-2)


def statistics(field: Correlator, bank: Bank, index: int, step: int) -> tuple[Tensor, Tensor]:
    """Largest statistic of any history at every position (row, column) of a pattern, and the information there."""
    products, information = field.correlate(bank.modes[index], step)
    largest = (field.mixing @ products.flatten(1)).abs().amax(0).reshape(information.shape)
    return largest / information.sqrt(), information


def _maximum(statistic: Tensor, information: Tensor, allowed: Tensor, index: int, step: int) -> Place:
    best = int(torch.where(allowed, statistic, -1.0).argmax())
    row, column = divmod(best, statistic.shape[1])
    return Place(float(statistic[row, column]), float(information[row, column]), index, row * step, column * step)


def _best_places(field: Correlator, bank: Bank, index: int) -> tuple[Place, Place]:
    """The best place of a pattern inside the scene, and the best one near its edge."""
    step = bank.step[index]
    statistic, information = statistics(field, bank, index, step)
    y, x = (torch.arange(n) * step / side for n, side in zip(statistic.shape, field.whitened.valid.shape, strict=True))
    inside = ((y - 0.5).abs() < 0.5 - BORDER)[:, None] & ((x - 0.5).abs() < 0.5 - BORDER)[None, :]
    return (
        _maximum(statistic, information, inside, index, step),
        _maximum(statistic, information, ~inside, index, step),
    )


def _refined(field: Correlator, bank: Bank, coarse: Place) -> Place:
    """The best place around one that was found at coarse sampling."""
    statistic, information = statistics(field, bank, coarse.pattern, 1)
    reach = bank.step[coarse.pattern]
    y, x = (torch.arange(n) for n in statistic.shape)
    near = ((y - coarse.row).abs() <= reach)[:, None] & ((x - coarse.column).abs() <= reach)[None, :]
    return _maximum(statistic, information, near, coarse.pattern, 1)


def placed(bank: Bank, place: Place, shape: tuple[int, int]) -> NDArray[np.float32]:
    """The pattern of a place on the scene's grid, (y, x)."""
    rolled = bank.patterns[place.pattern].roll((place.row, place.column), (0, 1))
    return rolled[: shape[0], : shape[1]].numpy()


def _with_exact_information(field: Correlator, bank: Bank, prepared: Prepared, places: list[Place]) -> list[Place]:
    """Statistics with the information that edges, gaps and nuisance really leave."""
    patterns = np.stack([placed(bank, place, prepared.shape) for place in places])
    whitened = field.whitened
    solved = whitened.noise.filters(patterns, prepared.nuisance, whitened.mask, 2 * TOLERANCE)
    exact = np.maximum((solved * patterns).sum(axis=(1, 2)), 1e-30)
    return [
        replace(place, statistic=place.statistic * (place.information / float(e)) ** 0.5, information=float(e))
        for place, e in zip(places, exact, strict=True)
    ]


def _estimate(prepared: Prepared, whitened: Whitened, pattern: Float) -> Estimate:
    """Amplitude, history and score of a pattern (y, x) that has its place."""
    best_filter = whitened.noise.filters(pattern[None], prepared.nuisance, whitened.mask, _FINAL_TOLERANCE)[0]
    information = float((best_filter * pattern).sum())
    tried, best, statistic = best_history(np.tensordot(prepared.cleaned, best_filter, 2), prepared)
    if information <= 0 or statistic == 0:
        empty = np.zeros(prepared.cleaned.shape, np.float32)
        return Estimate(empty[0], empty, 0.0, float("nan"))
    amplitude = statistic / (information * information_root(tried, prepared)[best])
    course = amplitude * tried.columns[:, best]
    return Estimate(
        map=((course[-1] - course[0]) * pattern).astype(np.float32),
        transient=((course - course.mean())[:, None, None] * pattern).astype(np.float32),
        score=abs(statistic) / information**0.5,
        t50_d=float(tried.t50_d[best]),
    )
