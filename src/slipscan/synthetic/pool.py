"""Blocks of scenes that share large random fields and one evaluation of their sources.

A block belongs to (seed, block number, shape, pixel size) and is made whole, so that a scene is the same whether
it is drawn alone, in order or in a batch, for any number of epochs. What scenes share are fields on large tori,
of which each epoch gets a window of its own, flipped, transposed and with a sign of its own: a scene costs
copies instead of Fourier transforms. Nothing else is shared: every scene has sources of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from slipscan.noise.simulate import TurbulenceSpectrum, land_cover, random_fields, turbulence
from slipscan.synthetic.backdrop import Frame, draw_relief, relief_fields, scale_relief
from slipscan.synthetic.bank import SourceBank
from slipscan.synthetic.distribution import draw_sources, draw_spectrum
from slipscan.synthetic.sources import Source, source_map

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]

SCENES_PER_BLOCK = 128
SPECTRA = 4
FIELDS_PER_SPECTRUM = 8
RELIEFS = 2
SIDES = 4
"""A torus is as many times as long as a scene, within the range below, but at least twice."""
TORUS_PX = (128, 1024)
MAX_FIELD_PX = 2**24
"""Pixels of turbulence of a block at most (64 MiB): of large scenes there are fewer fields."""
SOURCES, POOL = 1, 2
"""Streams of random numbers: one of each scene's sources, one of each block's fields."""


@dataclass(frozen=True)
class Block:
    """What some scenes share.

    Attributes
    ----------
    turbulence
        (spectrum, field, y, x) of unit variance, on square tori
    spectra
        of each
    relief, cover, gaps
        (field, y, x): fractal relief in no unit; long-term coherence; smooth fields whose highest parts
        are missing pixels
    sources
        of each scene of the block, without their times
    bank
        maps of all sources
    """

    turbulence: Float32
    spectra: tuple[TurbulenceSpectrum, ...]
    relief: Float32
    cover: Float32
    gaps: Float32
    sources: tuple[tuple[Source, ...], ...]
    bank: SourceBank


@lru_cache(maxsize=2)
def block_of(
    seed: int, number: int, shape: tuple[int, int], pixel_m: float, spectrum: TurbulenceSpectrum | None = None
) -> Block:
    """The block of the scenes `number` * SCENES_PER_BLOCK and on, of one spectrum or drawn ones.

    The last few blocks stay in memory.
    """
    frame = Frame.rectangle(shape, pixel_m)
    first = number * SCENES_PER_BLOCK
    sources = tuple(scene_sources(seed, index, frame) for index in range(first, first + SCENES_PER_BLOCK))
    generator = np.random.default_rng([seed, number, POOL])
    longest = max(shape)
    side = int(fft.next_fast_len(max(2 * longest, min(max(SIDES * longest, TORUS_PX[0]), TORUS_PX[1]))))
    count = max(2, min(FIELDS_PER_SPECTRUM, MAX_FIELD_PX // (SPECTRA * side**2)))
    drawn = tuple(draw_spectrum(generator) for _ in range(SPECTRA))
    spectra = drawn if spectrum is None else (spectrum,) * SPECTRA
    fields = np.empty((SPECTRA, count, side, side), np.float32)
    for one, row in zip(spectra, fields, strict=True):
        row[:] = random_fields(generator, one.mode_std((side, side), pixel_m), (side, side), count)
    return Block(
        fields,
        spectra,
        relief_fields(generator, (side, side), pixel_m, RELIEFS),
        land_cover(generator, (side, side), pixel_m)[None],
        gap_fields(generator, (side, side), shape),
        sources,
        SourceBank([source for scene in sources for source in scene], frame),
    )


def scene_sources(seed: int, index: int, frame: Frame) -> tuple[Source, ...]:
    """Sources of one scene, without their times."""
    return draw_sources(np.random.default_rng([seed, index, SOURCES]), frame)


def gap_fields(generator: np.random.Generator, size: tuple[int, int], shape: tuple[int, int]) -> Float32:
    """A field (1, y, x) whose blobs are about a fifth of a scene of `shape` across."""
    white = generator.standard_normal(size, dtype=np.float32)
    k = np.hypot(fft.fftfreq(size[0])[:, None], fft.rfftfreq(size[1])[None, :]) * 8
    return np.asarray(fft.irfft2(fft.rfft2(white) * np.exp(-(k**2)), s=size), dtype=np.float32)[None]


def windows(
    generator: np.random.Generator, fields: Float32, shape: tuple[int, int], count: int, directed: bool = False
) -> Float32:
    """Random windows (count, y, x) of random ones of some fields, flipped, transposed and signed at random.

    Of `directed` fields, say anisotropic noise, only half turns: others would change their direction.
    """
    out = np.empty((count, *shape), np.float32)
    drawn = generator.random((count, 3)) * (len(fields), 1, 1)
    flips = generator.integers(2, size=(count, 4))
    if directed:
        flips[:, 0], flips[:, 1] = 0, flips[:, 2]
    for number, ((field, row, column), (turned, down, across, sign)) in enumerate(zip(drawn, flips, strict=True)):
        rows, columns = shape[::-1] if turned else shape
        torus = fields[int(field)]
        i, j = int(row * (torus.shape[0] - rows + 1)), int(column * (torus.shape[1] - columns + 1))
        cut = torus[i : i + rows, j : j + columns][:: 1 - 2 * down, :: 1 - 2 * across]
        np.multiply(cut.T if turned else cut, np.float32(1 - 2 * sign), out=out[number])
    return out


class PooledMaterial:
    """What one scene takes from its block."""

    def __init__(self, seed: int, index: int, frame: Frame, spectrum: TurbulenceSpectrum | None = None) -> None:
        self.frame = frame
        number, self._place = divmod(index, SCENES_PER_BLOCK)
        self._block = block_of(seed, number, frame.shape, frame.pixel_m, spectrum)
        self._first = sum(len(s) for s in self._block.sources[: self._place])

    @property
    def sources(self) -> tuple[Source, ...]:
        """Sources without their times."""
        return self._block.sources[self._place]

    def source_map(self, number: int, source: Source, los: Float) -> Float32:
        """Final displacement of the scene's source of that number (y, x), metres."""
        return self._block.bank.map(self._first + number, source, los)

    def relief(self, generator: np.random.Generator) -> Float32:
        """Heights (y, x), metres."""
        return scale_relief(generator, windows(generator, self._block.relief, self.frame.shape, 1)[0])

    def cover(self, generator: np.random.Generator) -> Float32:
        """Long-term coherence (y, x)."""
        return np.abs(windows(generator, self._block.cover, self.frame.shape, 1)[0])

    def gaps(self, generator: np.random.Generator) -> Float32:
        """A smooth field (y, x) whose highest parts are missing pixels."""
        return windows(generator, self._block.gaps, self.frame.shape, 1)[0]

    def turbulence(self, generator: np.random.Generator, count: int) -> tuple[TurbulenceSpectrum, Float32]:
        """Spectrum and fields (count, y, x) of unit variance."""
        number = int(generator.integers(SPECTRA))
        spectrum = self._block.spectra[number]
        fields = self._block.turbulence[number]
        return spectrum, windows(generator, fields, self.frame.shape, count, directed=spectrum.anisotropy > 1)


class FreshMaterial:
    """The same, drawn for one scene alone and evaluated on every pixel: slow, and the truth to check pools with."""

    def __init__(self, seed: int, index: int, frame: Frame, spectrum: TurbulenceSpectrum | None = None) -> None:
        self.frame = frame
        self._spectrum = spectrum
        self.sources = scene_sources(seed, index, frame)

    def source_map(self, number: int, source: Source, los: Float) -> Float32:
        """Final displacement of a source (y, x), metres."""
        return source_map(source, self.frame, los)

    def relief(self, generator: np.random.Generator) -> Float32:
        """Heights (y, x), metres."""
        return draw_relief(generator, self.frame)

    def cover(self, generator: np.random.Generator) -> Float32:
        """Long-term coherence (y, x)."""
        return land_cover(generator, self.frame.shape, self.frame.pixel_m)

    def gaps(self, generator: np.random.Generator) -> Float32:
        """A smooth field (y, x) whose highest parts are missing pixels."""
        return gap_fields(generator, self.frame.shape, self.frame.shape)[0]

    def turbulence(self, generator: np.random.Generator, count: int) -> tuple[TurbulenceSpectrum, Float32]:
        """Spectrum and fields (count, y, x) of unit variance."""
        spectrum = self._spectrum or draw_spectrum(generator)
        return spectrum, turbulence(generator, self.frame.shape, self.frame.pixel_m, count, spectrum)
