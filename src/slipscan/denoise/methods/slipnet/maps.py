"""The map of a history: what a surface rupture, a buried source and the network say of its image, together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from slipscan.denoise.methods.slipnet import scales
from slipscan.denoise.methods.slipnet.image import Image, Moved, image_of, own_of
from slipscan.denoise.methods.slipnet.predict import oriented_prediction
from slipscan.denoise.methods.slipnet.rupture_map import Fault, rupture_map
from slipscan.denoise.methods.slipnet.source_map import Source, source_map
from slipscan.denoise.methods.slipnet.steps import TileState, broad_image, course_of_fault, pixels_of

FAULT_ERROR: Final = 0.3
"""Standard deviation of the displacement of a fault that is fitted, over its size."""
SOURCE_ERROR, UNLIKE = 2.0, 0.3
"""Times the formal error of a buried source, and share of its displacement: none is just like those that are fitted."""
LEAST, LEAST_SHARE = 45.0, 0.2
"""A source that explains less than this, about what the best one does in noise, or than this share of what the
network's map explains, is none."""


class View(NamedTuple):
    """The image of a history in a tile, beside other histories, what else moved taken out; see `image_of`."""

    tile: TileState
    course: Tensor
    beside: Tensor | None
    others: Sequence[Moved]
    unsure: Tensor | None
    image: Image


class Mapped(NamedTuple):
    """A map and its standard deviation, what the map would be without a buried source, and that source.

    All (y, x) are over the error of the image.
    """

    mean: Tensor
    std: Tensor
    without_source: Tensor
    source: Source | None = None


def view_of(
    tile: TileState,
    course: Tensor,
    beside: Tensor | None,
    others: Sequence[Moved],
    unsure: Tensor | None = None,
    level: bool = False,
) -> View:
    """How a history (time,) is seen."""
    image = image_of(tile.prepared, tile.levels, course, beside, others, unsure, level)
    return View(tile, course, beside, others, unsure, image)


class Said(NamedTuple):
    """What the network says of an image: map and standard deviation (y, x), over the error of the image."""

    mean: Tensor
    std: Tensor


class Cleaner(NamedTuple):
    """The network; its answer is averaged over so many orientations."""

    network: nn.Module
    orientations: int = 1

    def __call__(self, views: Sequence[View]) -> list[Said]:
        """What it says of every image."""
        means, stds = oriented_prediction(self.network, [view.image for view in views], self.orientations)
        return [Said(mean, std) for mean, std in zip(means, stds, strict=True)]


def fault_in(view: View, mean: Tensor | None) -> Fault | None:
    """A surface rupture in the image, if it is one; `mean` its map without one (see `rupture_map`)."""
    pixels, beside = pixels_of(view.tile, view.others), own_of(view.tile.prepared, view.beside)
    otherwise = None if mean is None else mean * view.image.std
    return rupture_map(view.course, view.tile.bands, beside, pixels, otherwise)


def timed_by(fault: Fault, view: View, said: Said, told: bool, clean: Cleaner) -> tuple[View, Said, Fault]:
    """View, map and fault of the history that the fault itself tells: beside it, the energy of a tile is noise."""
    course = course_of_fault(view.tile, fault.kernel, own_of(view.tile.prepared, view.beside), view.others)
    if course is None:
        return view, said, fault
    again = view_of(view.tile, course, view.beside, view.others)
    (better_said,) = clean([again])
    better = fault_in(again, None if told else better_said.mean)
    return (view, said, fault) if better is None else (again, better_said, better)


def mapped(
    view: View, fault: Fault | None, said: Said, told: bool, clean: Cleaner, before: Mapped | None = None
) -> Mapped:
    """The map of an image of which the network has `said` something.

    A `fault` is taken out before the network, and put back. What a surface rupture alone has `told` is that fault and
    nothing else: no energy says that there is more. Where there is none, a buried source is looked for; if there was a
    map `before` of nearly the same image, near the one that it had.
    """
    if fault is None:
        if told:
            nothing = torch.zeros_like(said.mean)
            return Mapped(nothing, said.std, nothing)
        return _with_source(view, said, clean, before)
    moved = fault.map / view.image.std
    rest = Said(torch.zeros_like(moved), said.std) if told else _cleaned_rest(view, fault.map, False, clean)
    return Mapped(rest.mean + moved, torch.hypot(rest.std, FAULT_ERROR * moved), rest.mean + moved)


def _cleaned_rest(view: View, moved: Tensor, level: bool, clean: Cleaner) -> Said:
    """What the network says of the image without something (y, x), units; whether the rest is made `level`, too."""
    others = [*view.others, Moved(moved, view.course[:, None])]
    (said,) = clean([view_of(view.tile, view.course, view.beside, others, view.unsure, level)])
    return said


def _with_source(view: View, said: Said, clean: Cleaner, before: Mapped | None) -> Mapped:
    """The mean of two maps, weighted by their errors: the network's, and a buried source with what it says of the rest.

    What the network still finds in the rest counts as an error of the source.
    """
    ground = view.tile.ground
    if ground is None or (before is not None and before.source is None):
        return Mapped(said.mean, said.std, said.mean)
    image = broad_image(view.tile, view.image, view.others)
    source = source_map(image, ground, None if before is None else before.source)
    least = max(LEAST, LEAST_SHARE * ground.explained(image, scales.coarse(said.mean[None])[0]))
    if source is None or source.explained < least:
        return Mapped(said.mean, said.std, said.mean)
    # The fit of every epoch took a plane of the source from the series, which is not there to be taken out.
    left = _cleaned_rest(view, source.map * view.image.std, True, clean)
    own_error = torch.hypot(SOURCE_ERROR * source.std, UNLIKE * source.map)
    errors = [float(part.square().mean()) for part in (said.std, own_error, left.mean)]
    weight = errors[0] / (errors[0] + errors[1] + errors[2])
    return Mapped(
        weight * (source.map + left.mean) + (1 - weight) * said.mean,
        weight * torch.hypot(own_error, left.std) + (1 - weight) * said.std,
        said.mean,
        source,
    )


def map_of(tile: TileState, course: Tensor, network: nn.Module) -> Tensor:
    """Map (y, x) of a history (time,) that is known, as if it were found; units."""
    view, clean = view_of(tile, course, None, ()), Cleaner(network)
    (said,) = clean([view])
    return mapped(view, fault_in(view, said.mean), said, False, clean).mean * view.image.std
