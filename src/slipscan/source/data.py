"""What a source is held against: displacements in stated directions with their covariance, whitened.

A track's change is one `Block` (line of sight, one value a point); the offsets of GNSS stations are another (three
values a station, directions east, north, up): any number of blocks of independent noise are explained jointly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular
from torch import Tensor

from slipscan.errors import SlipscanError

Float = NDArray[np.float64]
PARTS = np.array([(-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0)])
"""Middles of the quarters of a pixel, over a quarter of its sides."""
SMOOTH = 1.5
"""Of the distance over which errors stay alike: that over which what moves does."""
JITTER = 1e-6
"""Of a covariance's mean variance, added to its diagonal: what single precision can hold."""
SHARE, LEAST_SHARE = 90, 40
"""Values that a first search is held against, of all blocks together, and at least of a block."""
PREDICTION_ERROR = 0.1
"""Standard deviation of what a simple source in a half space predicts wrongly, over the displacement: the Earth is not
homogeneous, and no source is a rectangle (Duputel et al. 2014, doi 10.1093/gji/ggt517)."""


@dataclass(frozen=True)
class Block:
    """Displacements whose noise is that of no other block.

    Attributes
    ----------
    east, north
        (value,) metres, in the local frame; a place may occur more than once
    direction
        (value, 3) unit vector east, north, up that the displacement is seen along
    value
        (value,) metres, positive along `direction`
    covariance
        (value, value) of the noise, m2
    nuisance
        (value, column) what is unknown beside the source (offset, ramp, height), metres for one standard deviation of
        its prior; (value, 0): nothing
    near
        (value,) bool, where the event is; None: everywhere
    cycle
        (value,) m, what an unwrapping error of a whole cycle would look like; None: none is thought of
    cell_m
        height and width of the pixels that the values are of: near the event a source is averaged over them, since slip
        that breaks the surface jumps within one; 0: points
    error_length_m
        distance over which what a source predicts wrongly stays alike (see `with_errors_of`); 0: it predicts rightly
    size_error
        standard deviation of what all values may be wrong by at once, over what is predicted: when the event was is not
        known

    Raises
    ------
    SlipscanError
        shapes that do not match, a value or covariance that is not finite
    """

    east: Float
    north: Float
    direction: Float
    value: Float
    covariance: Float
    nuisance: Float | None = None
    near: NDArray[np.bool_] | None = None
    cycle: Float | None = None
    cell_m: tuple[float, float] = (0.0, 0.0)
    error_length_m: float = 0.0
    size_error: float = 0.0

    def __post_init__(self) -> None:
        count = len(self.value)
        shapes = (self.east.shape, self.north.shape, self.direction.shape, self.covariance.shape)
        if shapes != ((count,), (count,), (count, 3), (count, count)):
            raise SlipscanError(f"{count} values of a block came with positions, directions, covariance of {shapes}")
        if not (np.isfinite(self.value).all() and np.isfinite(self.covariance).all()):
            raise SlipscanError("a value or covariance of a block is not finite: leave such points out")

    def with_errors(self) -> Block:
        """The block with the covariance of what sources predict wrongly.

        In proportion to what moved, as a Wiener filter has it, not to what was measured: where noise makes a value
        small its error would be small, too, and sources would come out too small (Peelle's puzzle; D'Agostini 1994, doi
        10.1016/0168-9002(94)90719-6). Nor to what a first source predicts: where that is wrong its errors are, too.
        """
        if self.error_length_m == 0:
            return self
        errors = prediction_error(self.moved, self.east, self.north, self.error_length_m)
        return replace(self, covariance=self.covariance + errors)

    def thinned(self, count: int) -> Block:
        """About `count` of the values, as points; a block with fewer as it is."""
        step = len(self.value) // count
        if step < 2:
            return self
        some = np.arange(step // 2, len(self.value), step)
        return Block(
            self.east[some], self.north[some], self.direction[some], self.value[some],
            self.covariance[np.ix_(some, some)], None if self.nuisance is None else self.nuisance[some],
            size_error=self.size_error,
        )  # fmt: skip

    @property
    def moved(self) -> Float:
        """Values (value,) less what is likely noise, or unknown beside the source, m: Wiener's filter.

        What moves is as large, near the event, as the values are more than their noise, and alike over `SMOOTH` lengths
        of the errors.
        """
        near = slice(None) if self.near is None or not self.near.any() else self.near
        left = self.left_of(self.value)
        variance = float(np.mean(left[near] ** 2) - np.mean(np.diag(self.covariance)[near]))
        if variance <= 0:
            return np.zeros(len(self.value))
        apart = np.hypot(self.east[:, None] - self.east, self.north[:, None] - self.north)
        signal = variance * np.exp(-0.5 * (apart / (SMOOTH * self.error_length_m)) ** 2)
        return np.asarray(signal @ np.linalg.solve(signal + self.root @ self.root.T, self.value))

    def left_of(self, values: Float) -> Float:
        """Values (value,) less the fit of what is unknown beside the source (offset, ramp, height), metres."""
        if self.nuisance is None or self.unknowns == 0:
            return values
        # C N (N' C^-1 N + 1)^-1 by way of the whole covariance, of which a root is at hand.
        white, columns = self.whitened(values), self.whitened(self.nuisance)
        return np.asarray(values - self.nuisance @ (columns.T @ white))

    @cached_property
    def root(self) -> Float:
        """(value, value) lower triangle L: L L' is the covariance of the noise and of what is unknown beside it."""
        whole = self.covariance.copy()
        if self.nuisance is not None:
            whole += self.nuisance @ self.nuisance.T
        whole[np.diag_indices(len(whole))] += JITTER * float(np.mean(np.diag(self.covariance)))
        try:
            return np.asarray(cholesky(whole, lower=True))
        except np.linalg.LinAlgError as error:
            raise SlipscanError(
                "the covariance of a change is not positive definite: give that of a real noise"
            ) from error

    @property
    def places(self) -> Float:
        """(value, part, 2) east, north at which a source is evaluated; a value is the mean over its parts."""
        within = np.zeros(len(self.value), bool) if self.near is None else self.near
        parts = PARTS * np.array([self.cell_m[1], self.cell_m[0]]) / 4 * within[:, None, None]
        return np.asarray(np.column_stack([self.east, self.north])[:, None] + parts)

    @property
    def unknowns(self) -> int:
        """Number of nuisance columns."""
        return 0 if self.nuisance is None else self.nuisance.shape[1]

    def whitened(self, values: Float) -> Float:
        """L^-1 times values (value, ...)."""
        return np.asarray(solve_triangular(self.root, values, lower=True))


def prediction_error(moved: Float, east: Float, north: Float, length_m: float) -> Float:
    """Covariance (point, point), m2, of what a source that moves points by `moved` (point,), m, predicts wrongly."""
    apart = np.hypot(east[:, None] - east, north[:, None] - north)
    size = PREDICTION_ERROR * np.abs(moved)
    return np.asarray(size[:, None] * size * np.exp(-apart / max(length_m, 1.0)))


class Data:
    """Blocks, whitened: what one source is to explain.

    Parameters
    ----------
    blocks
        one or more

    Attributes
    ----------
    east, north
        (point,) places at which a source is evaluated, each once, metres, float32
    degrees
        of freedom of the noise: values less nuisance columns
    energy
        of the data in units of the noise: chi-square without a source
    size_error
        (block,) of each block
    log_root
        logarithm of the root of the covariance's determinant
    """

    def __init__(self, blocks: Sequence[Block]) -> None:
        if not blocks:
            raise SlipscanError("there are no data to hold a source against")
        self.blocks = tuple(blocks)
        places = np.concatenate([b.places for b in blocks])
        unique, index = np.unique(places.reshape(-1, 2), axis=0, return_inverse=True)
        self.east, self.north = (torch.from_numpy(unique[:, axis].astype(np.float32)) for axis in (0, 1))
        index = index.reshape(places.shape[:2])
        self._index = torch.from_numpy(index[:, :1] if (index == index[:, :1]).all() else index)
        self._direction = torch.from_numpy(np.concatenate([b.direction for b in blocks]).astype(np.float32))
        # Transposed: rows of predictions are multiplied from the right.
        self._whitener = [torch.from_numpy(b.whitened(np.eye(len(b.value))).T.astype(np.float32)) for b in blocks]
        self.value = torch.from_numpy(np.concatenate([b.whitened(b.value) for b in blocks]).astype(np.float32))
        self.degrees = len(places) - sum(b.unknowns for b in blocks)
        self.energy = float(self.value.double().square().sum())
        self.size_error = torch.tensor([b.size_error for b in blocks], dtype=torch.float64)
        self.log_root = sum(float(np.log(np.diag(b.root)).sum()) for b in blocks)

    def thinned(self) -> Data:
        """What a share of the values says: a source takes a tenth of the time. Few values are all there."""
        blocks = [block.thinned(max(LEAST_SHARE, SHARE // len(self.blocks))) for block in self.blocks]
        return self if all(a is b for a, b in zip(blocks, self.blocks, strict=True)) else Data(blocks)

    def cycle_energy(self) -> float:
        """The least chi-square that an unwrapping error of a whole cycle in one block leaves; inf: there is none."""
        least = math.inf
        for block in self.blocks:
            if block.cycle is not None and block.cycle.any():
                white = block.whitened(np.column_stack([block.value, block.value - block.cycle]))
                before, after = (white**2).sum(axis=0)
                least = min(least, self.energy - float(before - after))
        return least

    def predicted(self, moved: Tensor) -> Tensor:
        """Displacements (source, point, 3) in the directions of the values, (source, value), metres."""
        whole = moved[:, self._index[:, 0]]
        for part in self._index.T[1:]:
            whole = whole + moved[:, part]
        return (whole / self._index.shape[1] * self._direction).sum(dim=-1)

    def products(self, moved: Tensor) -> tuple[Tensor, Tensor]:
        """Of unit sources (source, point, 3) the products with the data and with themselves, (source, block) each."""
        sizes = [len(b.value) for b in self.blocks]
        parts = torch.split(self.predicted(moved), sizes, dim=1)
        white = [part @ root for part, root in zip(parts, self._whitener, strict=True)]
        own = [one @ value for one, value in zip(white, torch.split(self.value, sizes), strict=True)]
        return torch.stack(own, 1).double(), torch.stack([one.square().sum(dim=1) for one in white], 1).double()

    def misfit(self, sizes: Tensor, b: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
        """Chi-square of sources of some sizes (source, node), and the logarithm of what their errors add to the noise.

        The size of every block may be wrong by its `size_error`, independently: an error in proportion to what is
        predicted, of a standard deviation t = size x size_error, which is integrated out (Sherman & Morrison 1950).

        Parameters
        ----------
        b, a
            `products` (source, block)
        """
        each = sizes[..., None]
        chi_square = self.energy - 2 * sizes * b.sum(1)[:, None] + sizes.square() * a.sum(1)[:, None]
        variance = (each * self.size_error).square()
        more = 1.0 + variance * a[:, None]
        chi_square = chi_square - (variance * (b[:, None] - each * a[:, None]).square() / more).sum(-1)
        return chi_square, torch.log(more).sum(-1)
