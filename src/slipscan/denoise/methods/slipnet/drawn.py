"""Images to learn from that are drawn without a series.

The network sees the amplitude of a history over its error, and noise of the same size. Both are sums over epochs of
fields that are alike, so they can be drawn at once: events, and Gaussian noise with a spectrum of its own in two
dimensions, whatever number of epochs they stand for. A series, and the search for its history, cost ten times as much;
a share of the examples are made of them (`examples`), since only they have what a search prefers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import fft

from slipscan.denoise.methods.slipnet.examples import Example
from slipscan.denoise.methods.slipnet.image import MIN_KEPT, Amplitudes, image_from, levels_from
from slipscan.denoise.training.scenes import EASY_FACTOR, HUGE_SHARE, HUGE_SNR, MIN_SNR
from slipscan.fit.spectrum import no_whitening
from slipscan.noise.simulate import random_fields
from slipscan.settings import TrainSettings
from slipscan.synthetic.backdrop import Frame
from slipscan.synthetic.distribution import draw_los, draw_missing_share, draw_times, raise_relief
from slipscan.synthetic.pool import SCENES_PER_BLOCK, PooledMaterial
from slipscan.synthetic.sources import SEASONAL

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]

STREAM: Final = 6
"""Of random numbers; others have those below."""
PIXELS_M: Final = (500.0, 400.0, 200.0, 500.0, 250.0, 100.0)
"""Side of a cell, by block of examples in turn."""
SPECTRA, FIELDS = 8, 8
"""Of a block, and of each: two images, and those that tell the noise."""
EPOCHS: Final = (24, 300)
STD: Final = (0.8, 4.0)
"""Error of an amplitude, units; see `prepare`."""
SNR: Final = (4.0, 60.0)
OUTER_KM: Final = (30.0, 150.0)
SLOPE, SLOPE_STD, BEND_STD = 3.1, 0.5, 0.4
"""Mean and scatter of the slope of power with wavenumber, and scatter from one octave to the next."""
STEEPEST: Final = (1.2, 5.5)
ROUND_SHARE, STRETCH = 0.35, (1.0, 5.0)
"""Of the spectra: those that are nearly round; of the others, the ratio of their axes."""
TURN_DEG: Final = 15.0
"""Scatter of the axis from octave to octave."""
WHITE: Final = (1e-4, 0.3)
"""Share of the variance that is white in space: decorrelation."""
RED_SHARE, RED = 0.35, (0.1, 4.0)
"""Of the images: those whose noise is redder in time than the noise beside it tells; its further variance."""
RELIEF_SHARE, RELIEF = 0.5, (0.05, 0.6)
"""Of the images: those with delay that no plane and no line in height take; its standard deviation."""
STRENGTH_LOG_STD: Final = 0.2
"""The noise of a pixel may differ from what it is taken for."""
PLANE: Final = (0.05, 5.0)
"""Plane and slope with height that the fit of epochs takes, standard deviation over that of noise."""
BLOCK_SHARE, BLOCK_SIZE, BLOCK_AREA = 0.12, (0.5, 20.0), (0.003, 0.05)
"""Of the images: those with a block of wrong cycles that stays; its size over noise; its share of the area."""
GAPPY_SHARE: Final = 0.4
"""Of the images: those in parts of which epochs are missing."""
OTHERS_STD: Final = 0.5
"""Share of a second event in the history of the first."""
LEAK_STD: Final = 0.05
"""Share of the events in the noise beside the image."""


@dataclass(frozen=True)
class Spectrum:
    """Power per mode of noise of unit variance, of a torus twice as long as an image, in the order of fftfreq."""

    power: Float

    @property
    def of_cosines(self) -> Float:
        """The same of the cosine modes of an image, whose directions k and -k are one."""
        n = self.power.shape[0] // 2
        both = 0.5 * (self.power + np.roll(self.power[::-1], 1, axis=0))
        return np.asarray(both[:n, :n])


def draw_power(generator: np.random.Generator, pixels: int, pixel_m: float) -> Spectrum:
    """A random spectrum: power laws from octave to octave, stretched along axes that turn with the scale."""
    k = fft.fftfreq(2 * pixels, pixel_m / 1e3)
    ky, kx = k[:, None], k[None, :]
    outer = 1 / math.exp(generator.uniform(*np.log(OUTER_KM)))
    octaves = np.log2(outer) + np.arange(math.ceil(math.log2(1e3 / pixel_m / outer)) + 2)
    slope = SLOPE + SLOPE_STD * generator.standard_normal() + BEND_STD * generator.standard_normal(len(octaves) - 1)
    levels = np.concatenate(([0.0], -np.cumsum(np.clip(slope, *STEEPEST)) * math.log(2)))
    largest = 1.2 if generator.random() < ROUND_SHARE else math.exp(generator.uniform(*np.log(STRETCH)))
    stretch = np.clip(largest * np.exp(0.2 * generator.standard_normal(len(octaves))), 1.0, STRETCH[1])
    azimuth = generator.uniform(0, math.pi) + math.radians(TURN_DEG) * np.cumsum(
        generator.standard_normal(len(octaves))
    )
    size = np.log2(np.maximum(np.hypot(ky, kx), outer / 2))
    ratio, turn = np.interp(size, octaves, stretch), np.interp(size, octaves, azimuth)
    along, across = kx * np.cos(turn) + ky * np.sin(turn), ky * np.cos(turn) - kx * np.sin(turn)
    own = np.hypot(along * np.sqrt(ratio), across / np.sqrt(ratio))
    power = np.exp(np.interp(np.log2(np.maximum(own, outer / 2)), octaves, levels))
    power /= power.mean()
    white = math.exp(generator.uniform(*np.log(WHITE)))
    # Interpolated axes turn the other way for -k by rounding: noise is real.
    power = 0.5 * (power + np.roll(power[::-1, ::-1], 1, axis=(0, 1)))
    return Spectrum((1 - white) * power + white)


@lru_cache(maxsize=2)
def _noise_of(seed: int, block: int, pixels: int, pixel_m: float) -> tuple[tuple[Spectrum, Float32], ...]:
    """Spectra of a block of examples, and fields (FIELDS, y, x) of each on tori of twice their side."""
    generator = np.random.default_rng([seed, STREAM, 1, block])
    out = []
    for _ in range(SPECTRA):
        spectrum = draw_power(generator, pixels, pixel_m)
        std = (np.sqrt(spectrum.power) / (2 * pixels)).astype(np.float32)
        out.append((spectrum, random_fields(generator, std, std.shape, FIELDS)))
    return tuple(out)


def drawn_example(settings: TrainSettings, index: int) -> Example:
    """Example `index`: the same whenever it is drawn."""
    generator = np.random.default_rng([settings.seed, STREAM, 0, index])
    block, pixels = index // SCENES_PER_BLOCK, settings.pixels
    pixel_m = PIXELS_M[block % len(PIXELS_M)]
    frame = Frame.square(pixels, pixel_m)
    events, height, missing = _ground(settings.seed, index, frame, generator)
    spectra = _noise_of(settings.seed, block, pixels, pixel_m)
    spectrum, tori = spectra[int(generator.integers(SPECTRA))]
    kept = _kept(missing, generator)
    seen = kept > 0
    columns = _columns(height)
    noise, strength = _noise(generator, tori, columns, seen)
    snr, easier = 0.0, EASY_FACTOR ** max(0.0, 1 - index / settings.easy_scenes)
    plain = _without(events, columns, np.ones_like(seen))[0]
    bound = math.sqrt(float((fft.dctn(plain, norm="ortho") ** 2 / spectrum.of_cosines).sum())) / strength
    if bound > MIN_SNR * float(np.abs(events).max()) > 0:
        low, high = np.log(HUGE_SNR if generator.random() < HUGE_SHARE else SNR)
        snr = easier * math.exp(generator.uniform(low, high))
        events = events * np.float32(snr / bound)
    else:
        events = np.zeros_like(events)
    epochs = round(math.exp(generator.uniform(*np.log(EPOCHS))))
    image, other = _observed(generator, noise, events, seen)
    # An epoch has noise that hides all but the largest events from the fit of its plane.
    trust = 1 / (1 + (events / (math.sqrt(epochs) * math.exp(generator.uniform(0, 1.5)))) ** 2)
    left, taken = _without(image + events, columns, seen * trust)
    beside, _ = _without(other + np.float32(LEAK_STD * generator.standard_normal()) * events, columns, seen)
    gaps = np.sqrt(1 / np.where(seen, kept, 1) - 1) * noise[-1]
    plane = math.exp(generator.uniform(*np.log(PLANE))) * generator.standard_normal(len(columns))
    removed = np.tensordot(plane + taken, columns, 1)
    pair = np.stack([left + gaps, beside + np.flip(gaps)]) * seen
    std = torch.tensor(math.exp(generator.uniform(*np.log(STD))), dtype=torch.float32)
    maps = [torch.from_numpy(np.asarray(part, np.float32)) for part in (pair, kept, removed, height)]
    amplitudes = Amplitudes(maps[0], maps[1], maps[2], maps[3], std)
    whitening = None if settings.whitened else no_whitening(std.device)
    levels = levels_from(torch.from_numpy(noise[2:] * seen), torch.from_numpy(seen), whitening)
    rms = float(np.sqrt((events**2).mean()))
    return Example(
        image_from(amplitudes, levels, pixel_m, epochs, torch.zeros(epochs)),
        levels, torch.from_numpy(events), torch.from_numpy(seen), snr / rms if rms > 0 else 0.0,
    )  # fmt: skip


def _ground(seed: int, index: int, frame: Frame, generator: np.random.Generator) -> tuple[Float32, Float32, Float32]:
    """What the history makes of events, in no unit, height about its mean (m), and where data is missing, (y, x)."""
    material = PooledMaterial(seed, index, frame)
    _, los = draw_los(generator)
    sources = draw_times(generator, material.sources, 365.0)
    height, events = material.relief(generator), np.zeros(frame.shape, np.float32)
    for number, source in enumerate(sources):
        if source.history == SEASONAL:
            continue
        share = 1.0 if not events.any() else OTHERS_STD * generator.standard_normal()
        events += np.float32(share) * material.source_map(number, source, los)
        if source.on_relief:
            raise_relief(generator, source, frame, height)
    turned, down, across, negative = generator.random(4) < 0.5
    if negative:
        events = -events
    parts = np.stack([events, height - height.mean(), material.gaps(generator)])[:, :: 1 - 2 * down, :: 1 - 2 * across]
    events, height, gaps = np.ascontiguousarray(parts.swapaxes(1, 2) if turned else parts)
    return events, height, gaps


def _kept(gaps: Float32, generator: np.random.Generator) -> Float32:
    """Share (y, x) of the filter that gaps leave: 0 where there is no data, less than 1 where epochs are missing."""
    missing = draw_missing_share(generator)
    kept = np.ones_like(gaps)
    if generator.random() < GAPPY_SHARE:
        place, depth = np.quantile(gaps, generator.uniform(0, 1)), generator.uniform(0.2, 1)
        kept -= np.float32(depth) / (1 + np.exp(-(gaps - place) / (0.2 * gaps.std()))).astype(np.float32)
    kept[gaps > np.quantile(gaps, 1 - missing)] = 0
    return np.where(kept > MIN_KEPT, kept, np.float32(0))


def _noise(
    generator: np.random.Generator, tori: Float32, columns: Float32, seen: NDArray[np.bool_]
) -> tuple[Float32, float]:
    """Fields (n, y, x) of noise without plane and height, of about unit variance where there is data.

    The second value is what the fields of the tori were multiplied by.
    """
    side = seen.shape[0]
    out = np.empty((len(tori), *seen.shape), np.float32)
    for number, which in enumerate(generator.permutation(len(tori))):
        row, column = generator.integers(side + 1, size=2)
        cut = tori[which, row : row + side, column : column + side]
        sign = np.float32(1 - 2 * generator.integers(2))
        out[number] = sign * (cut[::-1, ::-1] if generator.random() < 0.5 else cut)
    if generator.random() < RELIEF_SHARE:
        out += _relief(generator, columns, len(out))
    for number in range(len(out)):
        out[number] = _without(out[number], columns, seen)[0]
    strength = math.exp(STRENGTH_LOG_STD * generator.standard_normal()) / float(out[:, seen].std())
    return np.float32(strength) * out, strength


def _relief(generator: np.random.Generator, columns: Float32, count: int) -> Float32:
    """Delay (count, y, x) that bends with height, or whose slope with height varies in space."""
    height = columns[-1]
    parts = np.stack([height**2, height * columns[1], height * columns[2], height * columns[1] * columns[2]])
    size = math.exp(generator.uniform(*np.log(RELIEF))) * generator.random(len(parts))
    return np.asarray(np.tensordot(size * generator.standard_normal((count, len(parts))), parts, 1), np.float32)


def _observed(
    generator: np.random.Generator, noise: Float32, events: Float32, seen: NDArray[np.bool_]
) -> tuple[Float32, Float32]:
    """Noise (y, x) of the image, and that beside it."""
    image = noise[0]
    if generator.random() < RED_SHARE:
        # What walks at random in time is in the image and not in what differs from epoch to epoch.
        image = image + np.float32(math.sqrt(math.exp(generator.uniform(*np.log(RED))))) * noise[-2]
    if generator.random() < BLOCK_SHARE:
        image = image + _block(generator, noise[-3])
    return image, noise[1]


def _block(generator: np.random.Generator, texture: Float32) -> Float32:
    """A patch (y, x) of one value: cycles that unwrapping lost for good."""
    side = len(texture)
    y, x = np.mgrid[:side, :side] / side
    place = generator.uniform(0.05, 0.95, 2)
    radius = math.sqrt(math.exp(generator.uniform(*np.log(BLOCK_AREA))) / math.pi)
    near = np.hypot(y - place[0], x - place[1]) / radius + 0.3 * texture / max(float(texture.std()), 1e-6)
    size = math.exp(generator.uniform(*np.log(BLOCK_SIZE))) * (1 - 2 * int(generator.integers(2)))
    return np.where(near < 1, np.float32(size), np.float32(0))


def _columns(height: Float32) -> Float32:
    """(column, y, x) offset, ramp and height, of order one."""
    y, x = np.meshgrid(*(np.linspace(-1, 1, n, dtype=np.float32) for n in height.shape), indexing="ij")
    return np.stack([np.ones_like(y), y, x, height / max(float(height.std()), 1e-3)])


def _without(field: Float32, columns: Float32, weight: NDArray[np.generic]) -> tuple[Float32, Float]:
    """A field (y, x) without the columns that fit it best, and their coefficients."""
    flat, weights = columns.reshape(len(columns), -1).astype(float), np.asarray(weight, float).ravel()
    normal = (flat * weights) @ flat.T + 1e-9 * np.eye(len(flat))
    coefficients = np.linalg.solve(normal, (flat * weights) @ field.ravel())
    return np.asarray(field - np.tensordot(coefficients, columns, 1), np.float32), coefficients
