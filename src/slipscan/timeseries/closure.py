"""Closure of interferogram triplets: what unwrapping errors and multilooking leave, and motion never does."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slipscan.timeseries.network import Index

log = logging.getLogger(__name__)


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

    def add(self, observed: NDArray[np.floating], triangles: Index) -> NDArray[np.float64]:
        """Add a block of pixels.

        Parameters
        ----------
        observed
            (pair, pixel) m, NaN = no data
        triangles
            (triangle, 3) positions of the pairs a-b, b-c, a-c

        Returns
        -------
        rms
            (pixel,) RMS of ab + bc - ac over the pixel's valid triplets, m; NaN where there is none
        """
        squares = np.zeros(observed.shape[1])
        count = np.zeros(observed.shape[1], np.int64)
        for ab, bc, ac in triangles:
            closure = observed[ab] + observed[bc] - observed[ac]
            valid = np.isfinite(closure)
            squares += np.where(valid, closure, 0.0) ** 2
            count += valid
            self.errors += int((np.abs(closure[valid]) > self.error_m).sum())
        self.triplet_pixels += int(count.sum())
        self.sum_squares += float(squares.sum())
        return np.where(count > 0, np.sqrt(squares / np.maximum(count, 1)), np.nan)

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
