"""Labelled scenes to learn from: an observation, and what events moved the ground by in it.

Every scene has a rate and a season; for half of the scenes they are known and taken out beforehand. Events are
rescaled to a matched-filter SNR that is drawn log-uniformly, or most of them would be invisible or plain.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from slipscan.field import Observation
from slipscan.fit.model import design_matrix
from slipscan.noise.simulate import NoiseModel
from slipscan.settings import TrainSettings
from slipscan.synthetic.pool import SCENES_PER_BLOCK
from slipscan.synthetic.scene import TrainingScene, draw_scene
from slipscan.synthetic.structures import draw_structured

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]

KNOWN_SHARE: Final = 0.5
"""Of the scenes: those whose rate and season are taken out beforehand."""
NATURAL_SHARE: Final = 0.08
"""Of the scenes with an event: those whose size is left as it was drawn."""
SNR: Final = (5.0, 60.0)
HUGE_SHARE, HUGE_SNR = 0.08, (60.0, 1000.0)
"""Range of the matched-filter SNR, and that of a few events."""
EASY_FACTOR: Final = 6.0
"""Events of the very first scene are larger by that."""
MIN_SNR: Final = 1e-2
"""An event that the background absorbs is not made larger."""
MIN_MAP_M: Final = 1e-5
REVERSED_SHARE: Final = 0.25
"""Of the scenes: those whose time runs backwards."""
TYPICAL_SHARE, TYPICAL_EPOCHS, EPOCHS = 0.6, (18, 30), (10, 64)
"""Share and range of the usual number of epochs, and the range of the others."""
PIXELS_M: Final = (500.0, 500.0, 500.0, 250.0)
"""Side of a cell, by block of the pool of scenes in turn."""
COSINE_BIAS: Final = 0.8
"""Cosine modes promise about a fifth more than generalised least squares gives (11 scenes)."""
REGION_SHARE, REGION_FULL, REGION_LOG_STD = 0.75, 24, 0.2
"""Of the blocks of scenes: those with a region's own noise in the end; block from which on; spread of its strength."""
HELD_OUT_SEED: Final = 1_000_000
"""Added to the seed: scenes that are never trained on."""
FIRST_HELD_OUT: Final = 1_000_000
"""Past the scenes that are made easier, whatever their seed."""


@dataclass(frozen=True)
class LabelledScene:
    """What is seen, and the truth.

    Attributes
    ----------
    observation
        displacement, dates, heights, line of sight
    maps, courses
        (event, y, x) m, and (time, event) fraction, 0 at the first epoch: their sum of products is `events`
    snr
        matched-filter signal-to-noise ratio of the events together; 0 without one that can be told
    """

    observation: Observation
    maps: Float32
    courses: Float32
    snr: float

    @property
    def events(self) -> Float32:
        """(time, y, x) displacement by events since the first epoch, m."""
        if not len(self.maps):
            return np.zeros(self.observation.displacement.shape, np.float32)
        return np.asarray(np.tensordot(self.courses, self.maps, 1), np.float32)


def strongest(courses: NDArray[np.floating], maps: NDArray[np.floating]) -> Float32:
    """Course (time,) of the pixel that moved most from the first to the last epoch."""
    total = np.tensordot(courses[-1], maps, 1)
    at = np.unravel_index(int(np.abs(total).argmax()), total.shape)
    return np.asarray(courses @ maps[:, at[0], at[1]] / total[at], dtype=np.float32)


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


def draw_labelled(settings: TrainSettings, index: int, noise: NoiseModel | None = None) -> LabelledScene:
    """Scene `index`: the same whenever it is drawn.

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
    return labelled(scene, pixel_m, generator, easier)


def held_out(settings: TrainSettings, index: int) -> LabelledScene:
    """Scene `index` of those that are never trained on."""
    settings = settings.model_copy(update={"seed": settings.seed + HELD_OUT_SEED})
    return draw_labelled(settings, FIRST_HELD_OUT + index)


def of_the_region(seed: int, block: int) -> bool:
    """Whether a block of scenes has the noise of the region: none of the first, REGION_SHARE from REGION_FULL on."""
    share = REGION_SHARE * min(1.0, block / REGION_FULL)
    return float(np.random.default_rng([seed, 4, block]).random()) < share


def _varied(noise: NoiseModel, generator: np.random.Generator) -> NoiseModel:
    """The same spectrum with another strength: another track or year of the region is not just as calm."""
    strength = math.exp(REGION_LOG_STD * generator.standard_normal())
    return dataclasses.replace(noise, turbulence_std_m=strength * noise.turbulence_std_m)


def labelled(
    scene: TrainingScene, pixel_m: float, generator: np.random.Generator, easier: float = 1.0
) -> LabelledScene:
    """Known or unknown background, size of the events, orientation, direction of time."""
    courses, maps = scene.event_parts
    total = scene.events[-1]
    displacement, snr, time = scene.displacement, 0.0, scene.time
    known = bool(generator.random() < KNOWN_SHARE)
    if known:
        displacement = displacement - scene.background
    if float(np.abs(total).max()) > MIN_MAP_M:
        design = design_matrix(time)[0]
        snr = matched_filter_snr(scene, total, pixel_m, design[:, :1] if known else design)
        if snr > MIN_SNR and generator.random() > NATURAL_SHARE:
            low, high = np.log(HUGE_SNR if generator.random() < HUGE_SHARE else SNR)
            factor = np.float32(easier * math.exp(generator.uniform(low, high)) / snr)
            displacement = displacement + (factor - 1) * scene.events
            maps, snr = maps * factor, snr * float(factor)
    if generator.random() < REVERSED_SHARE:
        displacement, courses = displacement[::-1], courses[::-1] - courses[-1:]
        time = time[0] + (time[-1] - time[::-1])
    turned, down, across, negative = generator.random(4) < 0.5
    sign = np.float32(-1 if negative else 1)
    seen, height, maps = (_turned(f, turned, down, across) for f in (sign * displacement, scene.height, sign * maps))
    return LabelledScene(
        Observation(
            np.ascontiguousarray(seen),
            time,
            pixel_m,
            height,
            los=_turned_los(scene.los, turned, down, across),
            background_known=known,
        ),
        maps=maps,
        courses=np.ascontiguousarray(courses, dtype=np.float32),
        snr=snr if snr > MIN_SNR else 0.0,
    )


def _turned_los(los: Float, turned: bool, down: bool, across: bool) -> Float:
    """Line of sight (3,) from which a turned scene is seen: it may be none that Sentinel-1 has.

    Sources in a half space turn with what they move.
    """
    east, north = los[0] * (-1 if across else 1), los[1] * (-1 if down else 1)
    return np.array([-north, -east, los[2]] if turned else [east, north, los[2]])


def _turned(field: Float32, turned: bool, down: bool, across: bool) -> Float32:
    field = field[..., ::-1, :] if down else field
    field = field[..., ::-1] if across else field
    return np.ascontiguousarray(np.swapaxes(field, -1, -2) if turned else field)
