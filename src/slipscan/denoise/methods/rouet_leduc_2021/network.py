"""The prototype of 2021: a purely convolutional network from nine epochs and a height map to one map.

Rouet-Leduc, Jolivet, Dalaison, Johnson & Hulbert 2021, "Autonomous extraction of millimeter-scale deformation
in InSAR time series using deep learning", Nat. Commun. 12:6480, doi 10.1038/s41467-021-26254-3.

From the publications (article, and the abstract of WO 2021/165197, by the same authors): nine epochs of
48 x 48 pixels in, one map of accumulated displacement out; eleven convolutional layers and nothing else;
layers 1-3 and 5 filter in space and time, layers 4 and 6 reduce the epochs to one map, then the heights come
in as one more channel and layers 7-11 filter in space; trained on synthetic series alone. No mask, no
standard deviation.

Our choice, where we know of no statement: kernels of three, 9 to 3 to 1 epochs, numbers of channels (about the
operations of slipscan's own network), leaky ReLU, the odd part of the network as the answer; loss, optimiser, scenes
and length of training (slipscan's own recipe); the plane of every epoch is taken out beforehand, and the data are in
units of the noise of their own stack. Rate and season stay in: nine epochs cannot tell, so the network learns to
answer what *events* moved the ground by. It has been written from the description, and it is not the authors' code or
weights. The method is the subject of patents of its authors (EP 3866105, US 12639789).
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from slipscan.errors import SlipscanError
from slipscan.fit.clean import clean
from slipscan.fit.delay import MIN_STD_M
from slipscan.fit.robust import masked_median
from slipscan.fit.scatter import MAD_TO_STD

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]

WINDOW: Final = 9
"""Epochs that the network sees."""
STRIDE: Final = 4
"""Epochs from one window of a stack to the next."""
HEIGHT_UNIT_M: Final = 500.0
LEAK: Final = 0.1
"""Slope of the activation below zero: in trials with a plain ReLU the gradient faded within a few hundred steps."""
BATCH: Final = 4


class WindowNet(nn.Module):
    """Eleven convolutions: six in space and time, which turn nine epochs into one, and five in space.

    Parameters
    ----------
    width
        channels of the first layers; twice as many where three epochs are left, three times where one is
    """

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.width = width
        kept, reduced = {"padding": 1}, {"stride": (3, 1, 1), "padding": (0, 1, 1)}
        self.space_time = nn.ModuleList(
            nn.Conv3d(inputs, outputs, 3, **options)
            for inputs, outputs, options in (
                (1, width, kept),
                (width, width, kept),
                (width, width, kept),
                (width, 2 * width, reduced),
                (2 * width, 2 * width, kept),
                (2 * width, 3 * width, reduced),
            )
        )
        self.space = nn.ModuleList(nn.Conv2d(3 * width + (i == 0), 3 * width, 3, padding=1) for i in range(4))
        self.head = nn.Conv2d(3 * width, 1, 3, padding=1)
        # Eleven plain layers in torch's default initialisation pass on 0.3 % of the data: nothing is learnt.
        for layer in [*self.space_time, *self.space]:
            nn.init.kaiming_normal_(layer.weight, a=LEAK)
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]
        # Channels last is 1.6 times faster on a CPU.
        self.space_time.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.space.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Displacement (batch, y, x) over the window, from (batch, WINDOW + 1, y, x): the epochs and the height."""
        x = features[:, None, :WINDOW].contiguous(memory_format=torch.channels_last_3d)
        for layer in self.space_time:
            x = nn.functional.leaky_relu(layer(x), LEAK)
        x = torch.cat([x[:, :, 0], features[:, WINDOW:]], dim=1)
        for layer in self.space:
            x = nn.functional.leaky_relu(layer(x), LEAK)
        return torch.as_tensor(self.head(x)[:, 0])


def flatten(displacement: NDArray[np.floating]) -> tuple[Float32, float]:
    """Displacement about the temporal mean of every pixel and the plane of every epoch, and its noise.

    Parameters
    ----------
    displacement
        (time, y, x) m about any reference epoch, NaN = no data

    Returns
    -------
    field, unit
        (time, y, x) m, NaN = no data; standard deviation in space of an epoch, m: from the differences of
        consecutive epochs, which hold hardly anything of the rate
    """
    cleaned = clean(displacement, None, np.ones((len(displacement), 1)), dtype=torch.float64)
    both = cleaned.valid[1:] & cleaned.valid[:-1]
    step = cleaned.series.diff(dim=0)
    centre = masked_median(step, both, 1)
    spread = masked_median((step - centre).abs(), both, 1)
    std = MAD_TO_STD / math.sqrt(2) * spread[spread > 0]
    field = np.where(cleaned.valid.numpy(), cleaned.series.numpy(), np.nan)
    return field.reshape(displacement.shape).astype(np.float32), max(
        float(std.median()) if len(std) else 0.0, MIN_STD_M
    )


def windows_of(field: Float32, unit: float, height: NDArray[np.floating], starts: list[int]) -> torch.Tensor:
    """Features (window, WINDOW + 1, y, x) of the windows that begin at the epochs `starts`.

    Every pixel is relative to its mean over the window; what is missing is 0, as the prototype has no mask.
    """
    relief = np.nan_to_num((height - _mean(height, (0, 1))) / HEIGHT_UNIT_M)
    out = np.empty((len(starts), WINDOW + 1, *relief.shape), np.float32)
    for i, start in enumerate(starts):
        window = field[start : start + WINDOW] / unit
        out[i, :WINDOW] = np.nan_to_num(window - _mean(window, (0,)))
        out[i, WINDOW] = relief
    return torch.from_numpy(out)


def _mean(values: NDArray[np.floating], axis: tuple[int, ...]) -> NDArray[np.floating]:
    """Mean over what is finite; 0 where nothing is."""
    finite = np.isfinite(values)
    total = np.where(finite, values, 0.0).sum(axis=axis, keepdims=True)
    return np.asarray(total / np.maximum(finite.sum(axis=axis, keepdims=True), 1))


def accumulated(field: NDArray[np.floating]) -> NDArray[np.floating]:
    """Displacement (window, y, x) from the first to the last epoch of every window of a field (time, y, x)."""
    return np.asarray(field[WINDOW - 1 :] - field[: 1 - WINDOW])


def combine(moved: Float, starts: list[int], epochs: int) -> Float:
    """One series (time, y, x), about its temporal mean, of the displacements (window, y, x) over windows.

    A window spreads its displacement evenly over its intervals; where windows overlap, the mean of them holds. A
    step comes out as a ramp, at most twice the length of a window, and its total is kept away from the ends.
    """
    increment = np.zeros((epochs - 1, *moved.shape[1:]))
    count = np.zeros((epochs - 1, 1, 1))
    for displacement, start in zip(moved, starts, strict=True):
        increment[start : start + WINDOW - 1] += displacement / (WINDOW - 1)
        count[start : start + WINDOW - 1] += 1
    series = np.concatenate([np.zeros((1, *moved.shape[1:])), np.cumsum(increment / count, axis=0)])
    return np.asarray(series - series.mean(axis=0))


def predict_transient(network: nn.Module, displacement: NDArray[np.floating], height: NDArray[np.floating]) -> Float:
    """Displacement of events (time, y, x), m, about its temporal mean; changes sign with the data, exactly.

    Raises
    ------
    SlipscanError
        fewer than WINDOW epochs
    """
    epochs = len(displacement)
    if epochs < WINDOW:
        raise SlipscanError(f"rouet_leduc_2021 needs {WINDOW} epochs, this stack has {epochs}: add epochs")
    field, unit = flatten(displacement)
    starts = sorted({*range(0, epochs - WINDOW + 1, STRIDE), epochs - WINDOW})
    moved = np.zeros((len(starts), *field.shape[1:]))
    with torch.inference_mode():
        for first in range(0, len(starts), BATCH):
            features = windows_of(field, unit, height, starts[first : first + BATCH])
            flipped = features.clone()
            flipped[:, :WINDOW] *= -1
            odd = (network(features) - network(flipped)) / 2
            moved[first : first + BATCH] = odd.numpy() * unit
    return combine(moved, starts, epochs)
