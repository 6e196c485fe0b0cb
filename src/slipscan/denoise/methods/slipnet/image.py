"""What the network sees: the amplitude of a history in every pixel, in scales, each in units of its own noise."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pixel_unshuffle

from slipscan.denoise.methods.slipnet import scales
from slipscan.denoise.methods.slipnet.prepare import Prepared, bin_histories
from slipscan.denoise.methods.slipnet.scales import BAND_SIGMAS, COARSE, Levels
from slipscan.fit.ramps import projected, without
from slipscan.fit.spectrum import Whitening, whitening_of
from slipscan.fit.temporal import TemporalCovariance

HEIGHT_UNIT_M: Final = 500.0
PIXEL_UNIT_M: Final = 500.0
EPOCHS_UNIT: Final = 24.0
MIN_KEPT: Final = 0.2
"""Share of a filter that gaps must leave in a pixel."""
MIN_SHARE: Final = 1e-2
"""Of the information in all epochs: a pixel with less of it says nothing."""
MIN_SIZE: Final = 1e-3
"""Of a history beside the background, over the largest: a smaller one is the background's own."""
MIN_INFORMATION: Final = 1e-4
"""1/unit^2: the amplitude of a history that the background absorbs has a finite error."""
BANDS: Final = len(BAND_SIGMAS) + 1
CHANNELS: Final = 2 * (BANDS + COARSE**2) + 1 + 5
"""Image and noise in bands and in detail, the removed delay; height, validity, error, size of a pixel, epochs."""
SIGNED: Final = CHANNELS - 5
"""So many channels, the first ones, change sign with the data."""
Orientation = tuple[bool, bool, bool]
"""Whether a scene is transposed, then its rows and its columns are reversed."""


@dataclass(frozen=True)
class Moved:
    """Something that happened in a tile: displacement is map x course.

    Attributes
    ----------
    map
        (y, x) displacement from the first to the last epoch, units
    steps
        (time, step) its course, or those of several things of one size: each 0 at the first and 1 at the last epoch
    """

    map: Tensor
    steps: Tensor

    @property
    def course(self) -> Tensor:
        """(time,) fraction of the map, 0 at the first epoch and 1 at the last."""
        return self.steps.mean(1)


@dataclass(frozen=True)
class Image:
    """Amplitude of a history in every pixel, over its formal error.

    Attributes
    ----------
    features
        (CHANNELS, y, x) on coarse pixels
    bands
        (quiet part of each band, loud part of each band, removed delay; y, x) on coarse pixels
    white
        (y, x) the same on coarse pixels, whitened
    detail
        (2, y, x) what coarse pixels do not hold of it, and of its noise
    detail_std
        () standard deviation of noise in the detail
    std
        () formal error of the amplitude of a pixel, units
    filter
        (time,) whose sum over time with a series is the amplitude where no epoch is missing
    """

    features: Tensor
    bands: Tensor
    white: Tensor
    detail: Tensor
    detail_std: Tensor
    std: Tensor
    filter: Tensor

    def to(self, device: torch.device) -> Image:
        """The same on a device."""
        return Image(*(getattr(self, field.name).to(device) for field in dataclasses.fields(self)))

    def turned(self, orientation: Orientation) -> Image:
        """What the network sees of it in another orientation."""
        bands, white, detail, features = (
            turned(part, orientation) for part in (self.bands, self.white, self.detail, self.features)
        )
        first = 2 * BANDS
        # The pixels in a coarse pixel trade places.
        features[first : first + 2 * COARSE**2] = pixel_unshuffle(detail[None] / self.detail_std, COARSE)[0]
        return dataclasses.replace(self, features=features, bands=bands, white=white, detail=detail)


def turned(fields: Tensor, orientation: Orientation) -> Tensor:
    """Fields (..., y, x) in another orientation, as a copy."""
    transposed, down, across = orientation
    fields = fields.transpose(-1, -2) if transposed else fields
    return fields.flip([axis for axis, reverse in ((-2, down), (-1, across)) if reverse]).contiguous()


def turned_back(fields: Tensor, orientation: Orientation) -> Tensor:
    """What `turned` was made of."""
    transposed, down, across = orientation
    fields = fields.flip([axis for axis, reverse in ((-2, down), (-1, across)) if reverse])
    return fields.transpose(-1, -2) if transposed else fields


def levels_of(prepared: Prepared, whitening: Whitening) -> Levels:
    """Noise of images in scales, from those of short histories after one another, in most of which nothing happens."""
    return levels_from(step_statistics(prepared), prepared.seen, whitening)


def levels_from(images: Tensor, seen: Tensor, whitening: Whitening | None = None) -> Levels:
    """Noise of images (n, y, x), most of which are noise, 0 where not `seen` (y, x); None: they tell the spectrum."""
    broad = scales.complete(images, seen.expand_as(images))[0]
    fine = scales.detail(images, broad, seen)
    return scales.noise_levels(broad, fine, seen, whitening_of(broad) if whitening is None else whitening)


def step_statistics(prepared: Prepared) -> Tensor:
    """Amplitudes of `bin_histories` over their errors, (BINS, y, x); 0 where there is no data, or nothing to tell."""
    rest, whitener = _rest_of(prepared, bin_histories(len(prepared.days), prepared.days.device), prepared.design)
    size = rest.square().sum(0).sqrt()
    filters = torch.where(size > size.max() * MIN_SIZE, rest / size.clamp(min=1e-30), 0.0).T @ whitener
    statistic = filters.float() @ prepared.residual.flatten(1)
    if not bool(prepared.valid.all()):
        energy = (filters.square() / prepared.weight).float()
        share = energy @ prepared.valid.flatten(1).float() / energy.sum(1, keepdim=True).clamp(min=1e-12)
        statistic = torch.where(share > MIN_SHARE, statistic / share.clamp(min=MIN_SHARE).sqrt(), 0.0)
    return statistic.reshape(-1, *prepared.height.shape)


def filter_of(prepared: Prepared, course: Tensor, beside: Tensor) -> tuple[Tensor, Tensor]:
    """Filter (time,) of the amplitude of a course (time,) beside the background and others (time, n); its error ()."""
    rest, whitener = _rest_of(prepared, course[:, None], torch.cat([prepared.design, beside], 1))
    information = rest.square().sum().clamp(min=MIN_INFORMATION)
    return (rest[:, 0] @ whitener / information).float(), information.rsqrt().float()


def _rest_of(prepared: Prepared, courses: Tensor, design: Tensor) -> tuple[Tensor, Tensor]:
    """Whitened courses (time, n) less what a design (time, k) takes of them, and what whitens the noise of an epoch."""
    noise = TemporalCovariance.relative(1 / prepared.weight, float(prepared.red.mean()))
    whitener = noise.whitener(prepared.days).double()
    columns = design.double()
    return without(whitener @ courses.double(), whitener @ (columns / columns.square().mean(0).sqrt())), whitener


def left_of(prepared: Prepared, course: Tensor) -> Tensor:
    """What the fit of the background leaves of a course (time,)."""
    return projected(course[:, None], prepared.design, prepared.weight)[:, 0]


def image_of(
    prepared: Prepared,
    levels: Levels,
    course: Tensor,
    beside: Tensor | None = None,
    others: Sequence[Moved] = (),
    unsure: Tensor | None = None,
    level: bool = False,
) -> Image:
    """The amplitude of a course in every pixel, and what the network sees of it.

    Parameters
    ----------
    prepared
        the tile
    levels
        of `levels_of`
    course
        (time,) from 0 at the first to 1 at the last epoch
    beside
        (time, n) other courses whose amplitudes are unknown, too; None: none
    others
        what else happened, taken out
    unsure
        (time, n) courses of what was taken out that is known no better than this: the error is that beside them
    level
        take out the columns of the delay, too
    """
    shape = prepared.height.shape
    own, std = filter_of(prepared, course, own_of(prepared, beside))
    if unsure is not None:
        std = filter_of(prepared, course, unsure)[1]
    even = torch.zeros_like(own)
    even[::2] = own[::2]
    # Every other epoch with the other sign: noise of the same size, and next to no event.
    pair = torch.stack([own, 2 * even - own])
    amplitudes = pair @ prepared.residual.flatten(1)
    for other in others:
        amplitudes = amplitudes - (pair @ left_of(prepared, other.course))[:, None] * other.map.flatten()
    if level:
        amplitudes = amplitudes - _delay_in(prepared, amplitudes)
    # Where epochs are missing, the others stand in for them.
    size = own.abs()
    kept = ((size / size.sum().clamp(min=1e-12)) @ prepared.valid.flatten(1).float()).reshape(shape)
    usable = kept > MIN_KEPT
    scale = torch.where(usable, 1 / kept.clamp(min=MIN_KEPT), 0.0) / std
    removed = torch.tensordot(own @ prepared.removed, prepared.columns, 1) / std
    return image_from(
        Amplitudes(amplitudes.reshape(2, *shape) * scale, usable * kept, removed, prepared.height, std),
        levels, prepared.pixel_m, len(prepared.days), own,
    )  # fmt: skip


def _delay_in(prepared: Prepared, images: Tensor) -> Tensor:
    """What images (n, pixel) hold of the delay's columns, by least squares."""
    columns = prepared.columns.flatten(1).T
    seen = columns * prepared.seen.flatten()[:, None]
    normal = (seen.T @ columns).double()
    normal = normal + 1e-9 * torch.diag(normal.diagonal() + 1e-30)
    coefficients = torch.linalg.solve(normal, (seen.T @ images.T).double())
    return (columns @ coefficients.float()).T * prepared.seen.flatten()


@dataclass(frozen=True)
class Amplitudes:
    """What an image is made of, over the error of a pixel `std` ().

    Attributes
    ----------
    pair
        (2, y, x) amplitude of the history and noise of the same size; 0 where there is no data
    kept
        (y, x) share of the filter that gaps have left; 0 where there is no data
    removed
        (y, x) what the fit of epochs took
    height
        (y, x) m, relative to the mean
    std
        () units
    """

    pair: Tensor
    kept: Tensor
    removed: Tensor
    height: Tensor
    std: Tensor


def image_from(seen: Amplitudes, levels: Levels, pixel_m: float, epochs: int, own: Tensor) -> Image:
    """What the network sees of amplitudes; `own` (time,) their filter, of a series of so many epochs."""
    usable = seen.kept > 0
    broad = scales.complete(seen.pair, usable.expand_as(seen.pair))[0]
    detail = scales.detail(seen.pair, broad, usable)
    white = levels.whitening.whitened(broad)
    quiet = levels.whitening.low_noise(broad[:1])
    bands = torch.stack(scales.bands(white))
    split = torch.stack([*scales.bands(quiet), *scales.bands(broad[:1] - quiet)])[:, 0]
    ground = torch.stack([seen.height / HEIGHT_UNIT_M, seen.kept, seen.std.log().expand(seen.kept.shape)])
    coarse_maps = avg_pool2d(torch.cat([seen.removed[None], ground])[None], COARSE)[0]
    constants = math.log(pixel_m / PIXEL_UNIT_M), math.log(epochs / EPOCHS_UNIT)
    features = torch.cat([
        (bands / levels.band_std[:, None, None, None]).flatten(0, 1),
        pixel_unshuffle(detail[None] / levels.detail_std, COARSE)[0],
        coarse_maps,
        *(torch.full_like(coarse_maps[:1], constant) for constant in constants),
    ])  # fmt: skip
    return Image(features, torch.cat([split, coarse_maps[:1]]), white[0], detail, levels.detail_std, seen.std, own)


def own_of(prepared: Prepared, beside: Tensor | None) -> Tensor:
    """Courses (time, n) beside the background; none of None."""
    return prepared.design[:, :0] if beside is None else beside
