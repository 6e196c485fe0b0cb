"""Closure of interferogram triplets: what unwrapping errors and multilooking leave, and motion never does."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slipscan.timeseries.network import Index

log = logging.getLogger(__name__)


def closures(observed: NDArray[np.floating], triangles: Index) -> NDArray[np.floating]:
    """Return ab + bc - ac of interferograms (pair, pixel) m for triangles (triangle, 3), (triangle, pixel) m."""
    ab, bc, ac = triangles.T
    return observed[ab] + observed[bc] - observed[ac]


def sums_of(
    closure: NDArray[np.floating], error_m: float
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Sum of squares, m2, number of valid ones and of those over `error_m`, of closures (triangle, pixel)."""
    valid = np.isfinite(closure)
    size = np.where(valid, np.abs(closure), 0.0)
    squares = (size**2).sum(axis=0, dtype=np.float64)
    return squares, valid.sum(axis=0), (size > error_m).sum(axis=0)


@dataclass
class ClosureSummary:
    """Sums over blocks of pixels.

    Attributes
    ----------
    error_m
        a triplet that misclosed by more is counted as an unwrapping error
    triplet_pixels, errors
        number of valid triplets in all pixels, and of those over `error_m`
    sum_squares
        sum of their squares, m2
    """

    error_m: float
    triplet_pixels: int = 0
    errors: int = 0
    sum_squares: float = 0.0

    def add(self, closure: NDArray[np.floating]) -> NDArray[np.float64]:
        """Add a block of pixels.

        Parameters
        ----------
        closure
            (triangle, pixel) m, NaN = no data

        Returns
        -------
        rms
            (pixel,) RMS of ab + bc - ac over the pixel's valid triplets, m; NaN where there is none
        """
        return self.add_sums(*sums_of(closure, self.error_m))

    def add_sums(self, squares: NDArray[np.float64], count: NDArray[Any], errors: NDArray[Any]) -> NDArray[np.float64]:
        """Add what `sums_of` gives of a block of pixels; as `add`."""
        self.errors += int(errors.sum())
        self.triplet_pixels += int(count.sum())
        self.sum_squares += float(squares.sum())
        return np.where(count > 0, np.sqrt(squares / np.maximum(count, 1)), np.nan)

    def merge(self, other: ClosureSummary) -> None:
        """Add the sums of another block."""
        self.triplet_pixels += other.triplet_pixels
        self.errors += other.errors
        self.sum_squares += other.sum_squares

    def attributes(self, triangles: int) -> dict[str, float | int]:
        """Return the summary as attributes and say it in the log; empty without a triplet."""
        if self.triplet_pixels == 0:
            log.info("closure: the network has no triplet, so unwrapping errors cannot be seen")
            return {}
        rms = float(np.sqrt(self.sum_squares / self.triplet_pixels))
        share = self.errors / self.triplet_pixels
        log.info(
            "closure: %d triplets, RMS %.2f mm; %d of %d triplet pixels (%.2f %%) misclose by more than %g mm:"
            " unwrapping errors",
            triangles,
            1e3 * rms,
            self.errors,
            self.triplet_pixels,
            100 * share,
            1e3 * self.error_m,
        )
        return {"closure_rms_m": rms, "closure_triplets": triangles, "closure_error_share": share}
