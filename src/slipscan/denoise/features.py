"""What the network sees of one interval: the bridge from numpy step statistics to torch tensors."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from slipscan.denoise import background
from slipscan.denoise.network import CHANNELS, HALF_WINDOWS, HEIGHT_UNIT_M, MULTIPLE, NEIGHBOURS, RAMPS_D, SCALE_WINDOW
from slipscan.seriesmodel import days_since_2014

Float32 = NDArray[np.float32]


class Features:
    """The step statistics of a stack, from which the features of any interval are cut.

    Parameters
    ----------
    closed
        from `background.estimate`
    time
        (time,) datetime64[ns]
    height
        (y, x) m or None
    shape
        (y, x)
    """

    def __init__(
        self,
        closed: background.Background,
        time: NDArray[np.datetime64],
        height: NDArray[np.floating] | None,
        shape: tuple[int, int],
    ) -> None:
        residual = closed.residual.reshape(-1, *shape).astype(np.float32)
        days = days_since_2014(time)
        self.statistic, std = background.step_statistics(residual, closed.epoch_std, HALF_WINDOWS)
        self.joint = background.joint_statistics(closed, days, residual, RAMPS_D)
        self.unit = np.where(np.isfinite(std[SCALE_WINDOW]), std[SCALE_WINDOW], 0.0).astype(np.float32)
        """(interval, y, x) m: what one unit of the network's output is; 0 where there is no data."""
        relief = np.zeros(shape, np.float32)
        if height is not None and np.isfinite(height).any():
            relief = np.nan_to_num((height - np.nanmean(height)) / HEIGHT_UNIT_M).astype(np.float32)
        self.relief: Float32 = relief
        self.valid = np.isfinite(std[SCALE_WINDOW]).astype(np.float32)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the grid."""
        return self.relief.shape[0], self.relief.shape[1]

    def __len__(self) -> int:
        return int(self.statistic.shape[1])

    def of(self, intervals: list[int]) -> torch.Tensor:
        """Features of some intervals, (interval, CHANNELS, y, x), padded with zeros to whole scales."""
        n, first_neighbour = len(self), len(HALF_WINDOWS) + len(RAMPS_D)
        rows, columns = self.shape
        padded_rows, padded_columns = -(-rows // MULTIPLE) * MULTIPLE, -(-columns // MULTIPLE) * MULTIPLE
        out = np.zeros((len(intervals), CHANNELS, padded_rows, padded_columns), np.float32)
        for i, c in enumerate(intervals):
            view = out[i, :, :rows, :columns]
            view[: len(HALF_WINDOWS)] = self.statistic[:, c]
            view[len(HALF_WINDOWS) : first_neighbour] = self.joint[:, c]
            for j, shift in enumerate(NEIGHBOURS, first_neighbour):
                if 0 <= c + shift < n:
                    view[j] = self.joint[0, c + shift]
            view[-2] = self.relief
            view[-1] = self.valid[c]
        return torch.from_numpy(out)
