"""What the network learns from: a window of a synthetic scene, and what events moved the ground by in it.

Every scene has a rate and a season; for half of the examples they are known and taken out beforehand. Events are
rescaled to a matched-filter SNR that is drawn log-uniformly, or most of them would be invisible or plain.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import fft
from torch import Tensor

from slipscan import seriesmodel
from slipscan.denoise import front_end, local_history
from slipscan.denoise.front_end import Window
from slipscan.denoise.local_history import LocalHistory
from slipscan.denoise.validation import scene_time
from slipscan.noise.simulate import NoiseModel
from slipscan.settings import TrainSettings
from slipscan.synthetic.pool import SCENES_PER_BLOCK
from slipscan.synthetic.scene import TrainingScene, draw_scene
from slipscan.synthetic.structures import draw_structured

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]

KNOWN_SHARE: Final = 0.5
"""Of the examples: those whose rate and season are taken out beforehand."""
NATURAL_SHARE: Final = 0.08
"""Of the examples with an event: those whose size is left as it was drawn."""
SNR: Final = (5.0, 60.0)
HUGE_SHARE, HUGE_SNR = 0.08, (60.0, 1000.0)
"""Range of the matched-filter SNR, and that of a few events."""
EASY_FACTOR: Final = 6.0
"""Events of the very first scene are larger by that."""
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
REGION_SHARE, REGION_FULL, REGION_LOG_STD = 0.75, 24, 0.2
"""Of the blocks of scenes: those with a region's own noise in the end; block from which on; spread of its strength."""
TAUGHT_SHARE: Final = 0.5
"""Of the examples with an event: those whose first history is the true one."""


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

    def to(self, device: torch.device) -> Example:
        """The same on a device."""
        return dataclasses.replace(
            self, window=self.window.to(device), maps=self.maps.to(device), courses=self.courses.to(device)
        )


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


def draw_example(settings: TrainSettings, index: int, noise: NoiseModel | None = None) -> Example:
    """The example of scene `index`: the same whenever it is drawn.

    Of a region's `noise`, a growing share of the blocks of scenes have it (`of_the_region`), its strength varied.
    """
    generator = np.random.default_rng([settings.seed, 1, index])
    block = index // SCENES_PER_BLOCK
    pixel_m = PIXELS_M[block % len(PIXELS_M)]
    if generator.random() < TYPICAL_SHARE:
        epochs = int(generator.integers(*TYPICAL_EPOCHS))
    else:
        epochs = round(math.exp(generator.uniform(*np.log(EPOCHS))))
    # Weights that go on for a region know events already.
    easier = EASY_FACTOR ** max(0.0, 1 - index / settings.easy_scenes) if noise is None else 1.0
    if noise is not None:
        noise = _varied(noise, generator) if of_the_region(settings.seed, block) else None
    elif settings.noise != "full":
        noise = draw_structured(settings.noise, settings.seed, block, generator)
    scene = draw_scene(settings.seed, index, epochs=epochs, pixels=settings.pixels, pixel_m=pixel_m, noise=noise)
    return example_of(scene, pixel_m, generator, easier)


def of_the_region(seed: int, block: int) -> bool:
    """Whether a block of scenes has the noise of the region: none of the first, REGION_SHARE from REGION_FULL on."""
    share = REGION_SHARE * min(1.0, block / REGION_FULL)
    return float(np.random.default_rng([seed, 4, block]).random()) < share


def _varied(noise: NoiseModel, generator: np.random.Generator) -> NoiseModel:
    """The same spectrum with another strength: another track or year of the region is not just as calm."""
    strength = math.exp(REGION_LOG_STD * generator.standard_normal())
    return dataclasses.replace(noise, turbulence_std_m=strength * noise.turbulence_std_m)


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
        std = float(true_history(window, strongest(courses, maps), (1, 1)).std)
        gain = snr * std * window.unit_m / float(np.sqrt((total**2).mean()))
    return Example(
        window=window,
        maps=torch.from_numpy(np.ascontiguousarray(sign * maps)) / window.unit_m,
        courses=torch.from_numpy(np.ascontiguousarray(courses, dtype=np.float32)),
        gain=gain,
        taught=bool(generator.random() < TAUGHT_SHARE),
    )


def strongest(courses: Float32, maps: Float32) -> Float32:
    """Course (time,) of the pixel that moved most from the first to the last epoch."""
    total = np.tensordot(courses[-1], maps, 1)
    at = np.unravel_index(int(np.abs(total).argmax()), total.shape)
    return np.asarray(courses @ maps[:, at[0], at[1]] / total[at], dtype=np.float32)


def true_history(window: Window, course: Float32, shape: tuple[int, ...]) -> LocalHistory:
    """The history of one course (time,), the same in every block."""
    column = torch.from_numpy(np.ascontiguousarray(course))[:, None].to(window.days)
    return local_history.expected(window, column, torch.ones(1, *shape, device=column.device))


def _turned(field: Float32, turned: bool, down: bool, across: bool) -> Float32:
    field = field[..., ::-1, :] if down else field
    field = field[..., ::-1] if across else field
    return np.ascontiguousarray(np.swapaxes(field, -1, -2) if turned else field)
