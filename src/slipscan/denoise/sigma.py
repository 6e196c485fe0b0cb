"""An honest standard deviation: what the network says, times a factor that held-out scenes give.

The factor depends on what is predicted, never on the truth: on the size of the displacement over its standard
deviation, and on that standard deviation. A single factor for all would be too small where an event is and too large
elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Float = NDArray[np.float64]

COVERAGE: Final = 0.68
FEWEST: Final = 100
"""Pixels of a bin that tells a factor."""
PIXELS_OF_ONE: Final = 3000
"""So many pixels, neighbours, tell about as much as one that stands alone."""
SMALLEST: Final = 0.05
"""Factor of a bin."""
FARTHEST: Final = float(np.log(2))
"""Logarithm of a factor beyond those that bins tell."""
STIFFNESS: Final = 10.0
"""Weight of an even course of the factors from bin to bin, in pixels that stand alone."""


@dataclass(frozen=True)
class SigmaCalibration:
    """Factors of the standard deviation on a grid of what is predicted, linear in between.

    Attributes
    ----------
    amplitude
        nodes of log10(|mean| / std), ascending
    size
        nodes of log10(std), std over the formal error of a pixel, ascending
    factor
        of every pair of nodes, [amplitude][size]
    """

    amplitude: list[float]
    size: list[float]
    factor: list[list[float]]

    def apply(self, mean: Tensor, std: Tensor) -> Tensor:
        """Calibrated standard deviations; mean and std of any one shape."""
        table = torch.tensor(self.factor, dtype=torch.float32, device=mean.device)
        ratio = (mean.abs() / std.clamp(min=1e-12)).clamp(min=1e-6)
        row = _position(ratio.log10(), self.amplitude)
        column = _position(std.clamp(min=1e-12).log10(), self.size)
        i, j = row.floor().long().clamp(max=len(table) - 2), column.floor().long().clamp(max=table.shape[1] - 2)
        up, right = row - i, column - j
        low = table[i, j] * (1 - right) + table[i, j + 1] * right
        high = table[i + 1, j] * (1 - right) + table[i + 1, j + 1] * right
        return std * (low * (1 - up) + high * up)


def calibrate(
    mean: NDArray[np.floating],
    std: NDArray[np.floating],
    truth: NDArray[np.floating],
    amplitudes: int = 7,
    sizes: int = 5,
) -> SigmaCalibration:
    """Factors that make COVERAGE of held-out truth lie within one standard deviation, smooth from bin to bin.

    Bins of large amplitudes hold the pixels of few events. So the logarithm of the factor is a smooth surface through
    theirs (Whittaker 1923, Proc. Edinb. Math. Soc. 41, 63): a jump would be chance, and rounding would cross it.

    Parameters
    ----------
    mean, std, truth
        (pixel,) predictions and what they should have been, over the formal error of a pixel
    amplitudes, sizes
        number of bins
    """
    ratio, scale = np.log10(np.maximum(np.abs(mean) / std, 1e-6)), np.log10(std)
    size_nodes = _nodes(scale, sizes)
    amplitude_nodes = np.linspace(-1.5, 1.0, amplitudes)
    error = np.abs(truth - mean) / std
    nearest_size = np.abs(scale[:, None] - size_nodes).argmin(axis=1)
    nearest_amplitude = np.abs(np.clip(ratio, -1.5, 1.0)[:, None] - amplitude_nodes).argmin(axis=1)
    bins = nearest_amplitude * sizes + nearest_size
    count, log_factor = np.bincount(bins, minlength=amplitudes * sizes), np.zeros(amplitudes * sizes)
    told = np.flatnonzero(count >= FEWEST)
    for number in told:
        log_factor[number] = np.log(max(np.quantile(error[bins == number], COVERAGE), SMALLEST))
    weight = np.where(count >= FEWEST, count / PIXELS_OF_ONE, 0.0)
    uneven = _second_differences(amplitudes, sizes)
    normal = np.diag(weight + 1e-9) + STIFFNESS * uneven.T @ uneven
    smooth = np.linalg.solve(normal, weight * log_factor)
    if len(told):
        # Beyond the bins that tell anything it would run away.
        smooth = smooth.clip(log_factor[told].min() - FARTHEST, log_factor[told].max() + FARTHEST)
    factor = np.exp(smooth).reshape(amplitudes, sizes)
    return SigmaCalibration(*(np.round(part, 4).tolist() for part in (amplitude_nodes, size_nodes, factor)))


def _second_differences(rows: int, columns: int) -> Float:
    """(difference, row and column) along rows and along columns."""
    along_rows, along_columns = (np.diff(np.eye(count), n=2, axis=0) for count in (rows, columns))
    return np.concatenate([np.kron(along_rows, np.eye(columns)), np.kron(np.eye(rows), along_columns)])


def _nodes(values: NDArray[np.floating], count: int) -> Float:
    """Evenly spaced nodes from the 2nd to the 98th percentile, apart from one another."""
    low, high = np.quantile(values, (0.02, 0.98))
    return np.linspace(low, max(high, low + 1e-3), count)


def _position(values: Tensor, nodes: list[float]) -> Tensor:
    """Where values lie between evenly spaced nodes, 0 to len - 1."""
    return ((values - nodes[0]) / (nodes[-1] - nodes[0]) * (len(nodes) - 1)).clamp(0, len(nodes) - 1)
