"""What the network learns from: a window of a synthetic scene, and what events moved the ground by in it.

Every scene has a rate and a season; for half of the examples they are known and taken out beforehand. Events are
rescaled to a matched-filter SNR that is drawn log-uniformly, or most of them would be invisible or plain.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import fft
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from slipscan import seriesmodel
from slipscan.denoise import front_end, local_history
from slipscan.denoise.front_end import Window
from slipscan.denoise.local_history import LocalHistory
from slipscan.denoise.network import Closed, Image, Prediction, SlipNet, closed_form, image_of, next_history
from slipscan.denoise.recipe import Task
from slipscan.denoise.validation import scene_time
from slipscan.settings import TrainSettings
from slipscan.synthetic.backdrop import Frame
from slipscan.synthetic.pool import SCENES_PER_BLOCK, scene_sources
from slipscan.synthetic.scene import TrainingScene, draw_scene

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]

KNOWN_SHARE: Final = 0.5
"""Of the examples: those whose rate and season are taken out beforehand."""
NATURAL_SHARE: Final = 0.08
"""Of the examples with an event: those whose size is left as it was drawn."""
SNR: Final = (5.0, 60.0)
HUGE_SHARE, HUGE_SNR = 0.08, (60.0, 1000.0)
"""Range of the matched-filter SNR, and that of a few events."""
EASY_SCENES, EASY_FACTOR = 12000, 6.0
"""In the first scenes events are larger, by that factor in the very first."""
MIN_SNR: Final = 1e-2
"""An event that the background absorbs is not made larger."""
MIN_MAP_M: Final = 1e-5
REVERSED_SHARE: Final = 0.25
"""Of the examples: those whose time runs backwards."""
TYPICAL_SHARE, TYPICAL_EPOCHS, EPOCHS = 0.6, (18, 30), (10, 64)
"""Share and range of the usual number of epochs, and the range of the others."""
PIXELS_M: Final = (500.0, 500.0, 500.0, 250.0)
"""Side of a cell, by block of the pool of scenes in turn."""
COSINE_BIAS: Final = 0.8
"""Cosine modes promise about a fifth more than generalised least squares gives (11 scenes)."""
TAUGHT_SHARE: Final = 0.5
"""Of the examples with an event: those whose first history is the true one."""
QUIET_SKIPPED: Final = 0.5
"""Of the scenes without a source: those that are passed over, since most teach nothing after a while."""
DETECTABLE_SNR: Final = 5.0
NULL_POWER: Final = 0.1
"""Mean square of an undetectable map where there is none to tell, over the squared error of a pixel."""
SOFT_POWER: Final = 0.003
"""Mean square below which an example counts by the root of its power: else small ones teach to answer zero."""
STD_WEIGHT: Final = 0.05
LINEAR_FROM: Final = 3.0
"""Standard deviations from which the likelihood grows linearly."""


@dataclass(frozen=True)
class Example:
    """A window and the events in it.

    Attributes
    ----------
    window
        what is seen
    maps, courses
        (event, y, x) units, and (time, event), 0 at the first epoch: their sum of products is the truth
    gain
        matched-filter SNR over the root mean square of a map in units of its error in a pixel; 0 without an event
    taught
        whether the first history is the true one
    """

    window: Window
    maps: Tensor
    courses: Tensor
    gain: float
    taught: bool


def matched_filter_snr(scene: TrainingScene, total: Float32, pixel_m: float, design: Float) -> float:
    """Signal-to-noise ratio of a known map and history beside the background, about: noise in cosine modes, no gaps.

    Parameters
    ----------
    scene
        for its noise
    total
        (y, x) map, m
    pixel_m
        side of a cell
    design
        (time, k) what is unknown in every pixel

    Notes
    -----
    Planes and what follows height are not seen; anisotropy is left out. Good to about 20 %, enough to weight and to
    scale examples with.
    """
    rows, cols = total.shape
    y, x = np.meshgrid(np.linspace(-1, 1, rows), np.linspace(-1, 1, cols), indexing="ij")
    columns = np.stack([np.ones(total.size), x.ravel(), y.ravel(), scene.height.ravel() - scene.height.mean()], 1)
    flat = total.ravel().astype(float)
    left = (flat - columns @ np.linalg.lstsq(columns, flat, rcond=None)[0]).reshape(total.shape)
    k = np.hypot(np.arange(rows)[:, None] / (2 * rows), np.arange(cols) / (2 * cols)) / pixel_m
    density = scene.noise.spectrum.density(k) / pixel_m**2
    turbulence = scene.noise_parts.turbulence
    assert turbulence is not None, "training noise has turbulence"
    roughness = np.abs(np.diff(turbulence[:, ::4], axis=2)).mean(axis=(1, 2))
    strength = scene.noise.turbulence_std_m * roughness / np.median(roughness)
    modes = fft.dctn(left, norm="ortho") ** 2
    decorrelation = scene.noise_parts.decorrelation
    white = 0.0 if decorrelation is None else float(decorrelation[::4].std())
    typical = float(np.median(strength))
    per_epoch = float((modes / (typical**2 * density + white**2)).sum())
    at = np.unravel_index(int(np.abs(total).argmax()), total.shape)
    course = scene.events[:, at[0], at[1]] / total[at]
    root = (typical / strength)[:, None]
    left_over = root[:, 0] * course
    left_over = left_over - root * design @ (np.linalg.pinv(root * design) @ left_over)
    return COSINE_BIAS * math.sqrt(per_epoch * float((left_over**2).sum()))


def draw_example(settings: TrainSettings, index: int) -> Example:
    """The example of scene `index`: the same whenever it is drawn."""
    generator = np.random.default_rng([settings.seed, 1, index])
    pixel_m = PIXELS_M[index // SCENES_PER_BLOCK % len(PIXELS_M)]
    if generator.random() < TYPICAL_SHARE:
        epochs = int(generator.integers(*TYPICAL_EPOCHS))
    else:
        epochs = round(math.exp(generator.uniform(*np.log(EPOCHS))))
    scene = draw_scene(settings.seed, index, epochs=epochs, pixels=settings.pixels, pixel_m=pixel_m)
    easier = EASY_FACTOR ** max(0.0, 1 - index / EASY_SCENES)
    return example_of(scene, pixel_m, generator, easier)


def example_of(scene: TrainingScene, pixel_m: float, generator: np.random.Generator, easier: float = 1.0) -> Example:
    """Make an example of a scene: known or unknown background, size of the events, orientation, direction of time."""
    courses, maps = scene.event_parts
    total = scene.events[-1]
    displacement, snr = scene.displacement, 0.0
    design = seriesmodel.design_matrix(scene_time(scene))[0]
    if generator.random() < KNOWN_SHARE:
        displacement, design = displacement - scene.background, design[:, :1]
    if float(np.abs(total).max()) > MIN_MAP_M:
        snr = matched_filter_snr(scene, total, pixel_m, design)
        if snr > MIN_SNR and generator.random() > NATURAL_SHARE:
            low, high = np.log(HUGE_SNR if generator.random() < HUGE_SHARE else SNR)
            factor = np.float32(easier * math.exp(generator.uniform(low, high)) / snr)
            displacement = displacement + (factor - 1) * scene.events
            maps, total, snr = maps * factor, total * factor, snr * float(factor)
    days, height = scene.start_d + scene.days, scene.height
    if generator.random() < REVERSED_SHARE:
        displacement, courses = displacement[::-1], courses[::-1] - courses[-1:]
        days, design = -days[::-1], design[::-1]
    turned, down, across, negative = generator.random(4) < 0.5
    displacement, height, maps = (_turned(f, turned, down, across) for f in (displacement, height, maps))
    sign = np.float32(-1 if negative else 1)
    stack = front_end.survey(np.ascontiguousarray(sign * displacement), days.copy(), height, design.copy(), pixel_m)
    window = front_end.cut(stack, slice(None), design)
    gain = 0.0
    if snr > MIN_SNR:
        std = float(_true_history(window, _strongest(courses, maps), (1, 1)).std)
        gain = snr * std * window.unit_m / float(np.sqrt((total**2).mean()))
    return Example(
        window=window,
        maps=torch.from_numpy(np.ascontiguousarray(sign * maps)) / window.unit_m,
        courses=torch.from_numpy(np.ascontiguousarray(courses, dtype=np.float32)),
        gain=gain,
        taught=bool(generator.random() < TAUGHT_SHARE),
    )


def _strongest(courses: Float32, maps: Float32) -> Float32:
    """Course (time,) of the pixel that moved most from the first to the last epoch."""
    total = np.tensordot(courses[-1], maps, 1)
    at = np.unravel_index(int(np.abs(total).argmax()), total.shape)
    return np.asarray(courses @ maps[:, at[0], at[1]] / total[at], dtype=np.float32)


def _turned(field: Float32, turned: bool, down: bool, across: bool) -> Float32:
    field = field[..., ::-1, :] if down else field
    field = field[..., ::-1] if across else field
    return np.ascontiguousarray(np.swapaxes(field, -1, -2) if turned else field)


class ExampleStream(IterableDataset[tuple[int, Example]]):
    """One example of every scene, and the number of the next scene, without end, deterministic per seed.

    Parameters
    ----------
    settings
        which scenes
    first
        number of the first scene: where a training goes on
    """

    def __init__(self, settings: TrainSettings, first: int = 0) -> None:
        self.settings = settings
        self.first = first

    def __iter__(self) -> Iterator[tuple[int, Example]]:
        torch.set_num_threads(1)
        for index in itertools.count(self.first):
            if not _passed_over(self.settings, index):
                yield index + 1, draw_example(self.settings, index)


def _passed_over(settings: TrainSettings, index: int) -> bool:
    """Whether a scene has no source and is one of those that are left out."""
    frame = Frame.rectangle((settings.pixels, settings.pixels), PIXELS_M[0])
    skipped = float(np.random.default_rng([settings.seed, 2, index]).random()) < QUIET_SKIPPED
    return skipped and not scene_sources(settings.seed, index, frame)


def batches(settings: TrainSettings, first: int = 0) -> Iterator[tuple[int, list[Example]]]:
    """Number of the next scene, and a batch of new examples, made by a process of their own."""
    loader = DataLoader(ExampleStream(settings, first), batch_size=None, num_workers=1, prefetch_factor=12)
    stream = iter(loader)
    while True:
        drawn = [next(stream) for _ in range(settings.batch)]
        yield drawn[-1][0], [example for _, example in drawn]


def task(settings: TrainSettings) -> Task:
    """The task of slipscan's own network."""
    return Task(SlipNet(settings.width), batches, loss)


def loss(network: nn.Module, batch: list[Example]) -> tuple[Tensor, float]:
    """Error of both rounds, and the likelihood of their standard deviations.

    The truth of an image is what its own filter makes of the events. An example's squared error is measured with the
    power of its truth, or, for an event that hides in noise, with that of one that just does not: every event counts
    nearly alike, whatever its extent. The second value is the share of power explained in the second round.
    """
    with torch.no_grad():
        closed = [closed_form(example.window) for example in batch]
        histories = [_first_history(example, part) for example, part in zip(batch, closed, strict=True)]
        images = [image_of(e.window, c, h) for e, c, h in zip(batch, closed, histories, strict=True)]
    first = network(images)
    total, _ = _loss_of_round(batch, images, first)
    with torch.no_grad():
        histories = [
            next_history(e.window, c, i, m) for e, c, i, m in zip(batch, closed, images, first.mean, strict=True)
        ]
        images = [image_of(e.window, c, h) for e, c, h in zip(batch, closed, histories, strict=True)]
    second, explained = _loss_of_round(batch, images, network(images))
    return total + second, explained


def _first_history(example: Example, closed: Closed) -> LocalHistory:
    """The scan's; or, for some examples, the true one of the place that moved most."""
    if not example.taught or example.gain == 0:
        return closed.first
    course = _strongest(example.courses.numpy(), example.maps.numpy())
    return _true_history(example.window, course, closed.first.std.shape)


def _true_history(window: Window, course: Float32, shape: tuple[int, ...]) -> LocalHistory:
    """The history of one course (time,), the same in every block."""
    column = torch.from_numpy(np.ascontiguousarray(course))[:, None]
    return local_history.expected(window, column, torch.ones(1, *shape))


def _loss_of_round(batch: list[Example], images: list[Image], prediction: Prediction) -> tuple[Tensor, float]:
    truth = torch.stack([truth_of(example, image) for example, image in zip(batch, images, strict=True)])
    valid = torch.stack([example.window.valid.any(0) for example in batch]).float()
    count = valid.sum((1, 2)).clamp(min=1)
    power = truth.square().mean((1, 2))
    gain = torch.tensor([example.gain for example in batch])
    # Power of a map of that shape that is just detectable.
    detectable = torch.where(gain > 0, (DETECTABLE_SNR / gain.clamp(min=1e-6)).square(), NULL_POWER).clamp(max=10.0)
    scale = power + detectable
    squared = (valid * (prediction.mean - truth) ** 2).sum((1, 2)) / count
    out = softened(squared / (scale * (scale + SOFT_POWER)).sqrt()).mean()
    size = (prediction.mean - truth).detach().abs() * torch.exp(-prediction.log_std)
    misfit = torch.where(size < LINEAR_FROM, 0.5 * size**2, LINEAR_FROM * (size - 0.5 * LINEAR_FROM))
    out = out + STD_WEIGHT * (valid * (prediction.log_std + misfit)).sum() / count.sum()
    seen = power > detectable
    explained = (1 - squared.detach() / power.clamp(min=1e-12)).clamp(min=0)[seen]
    return out, float(explained.mean()) if len(explained) else 0.0


def truth_of(example: Example, image: Image) -> Tensor:
    """What an image's filter makes of the events, over the image's error, (y, x)."""
    if len(example.maps) == 0:
        return torch.zeros_like(image.std)
    amplitudes = torch.einsum("tyx,te->eyx", image.filters, example.courses)
    return (amplitudes * example.maps).sum(0) / image.std


def softened(loss: Tensor) -> Tensor:
    """Linear where small, a root where large: no single scene wrecks a step."""
    return (1 + 2 * loss).sqrt() - 1
