"""The map of a history: what a surface rupture, a buried source and the network say of its image, together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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


def cleaned(views: Sequence[View], network: nn.Module, orientations: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Maps that the network makes of images, and their standard deviations, both (y, x) over the error."""
    return zip(*oriented_prediction(network, [view.image for view in views], orientations), strict=True)


def fault_in(view: View, mean: Tensor | None) -> Fault | None:
    """A surface rupture in the image, if it is one; `mean` its map without one (see `rupture_map`)."""
    pixels, beside = pixels_of(view.tile, view.others), own_of(view.tile.prepared, view.beside)
    otherwise = None if mean is None else mean * view.image.std
    return rupture_map(view.course, view.tile.bands, beside, pixels, otherwise)


def timed_by(
    fault: Fault, view: View, mean: Tensor, std: Tensor, told: bool, network: nn.Module, orientations: int
) -> tuple[View, Tensor, Tensor, Fault]:
    """View, map and fault of the history that the fault itself tells: beside it, the energy of a tile is noise."""
    course = course_of_fault(view.tile, fault.kernel, own_of(view.tile.prepared, view.beside), view.others)
    if course is None:
        return view, mean, std, fault
    again = view_of(view.tile, course, view.beside, view.others)
    ((new_mean, new_std),) = cleaned([again], network, orientations)
    better = fault_in(again, None if told else new_mean)
    return (view, mean, std, fault) if better is None else (again, new_mean, new_std, better)


def mapped(
    view: View,
    fault: Fault | None,
    mean: Tensor,
    std: Tensor,
    told: bool,
    network: nn.Module,
    orientations: int,
    before: Mapped | None = None,
) -> Mapped:
    """The map of an image of which the network says `mean` and `std`.

    A `fault` is taken out before the network, and put back. What a surface rupture alone has `told` is that fault and
    nothing else: no energy says that there is more. Where there is none, a buried source is looked for; if there was a
    map `before` of nearly the same image, near the one that it had.
    """
    if fault is None:
        if told:
            nothing = torch.zeros_like(mean)
            return Mapped(nothing, std, nothing)
        return _with_source(view, mean, std, network, orientations, before)
    moved = fault.map / view.image.std
    if told:
        mean = torch.zeros_like(mean)
    else:
        mean, std = _cleaned_rest(view, fault.map, False, network, orientations)
    return Mapped(mean + moved, torch.hypot(std, FAULT_ERROR * moved), mean + moved)


def _cleaned_rest(
    view: View, moved: Tensor, level: bool, network: nn.Module, orientations: int
) -> tuple[Tensor, Tensor]:
    """What the network says of the image without something (y, x), units; whether the rest is made `level`, too."""
    others = [*view.others, Moved(moved, view.course[:, None])]
    rest = view_of(view.tile, view.course, view.beside, others, view.unsure, level)
    ((mean, std),) = cleaned([rest], network, orientations)
    return mean, std


def _with_source(
    view: View, mean: Tensor, std: Tensor, network: nn.Module, orientations: int, before: Mapped | None
) -> Mapped:
    """The mean of two maps, weighted by their errors: the network's, and a buried source with what it says of the rest.

    What the network still finds in the rest counts as an error of the source.
    """
    ground = view.tile.ground
    if ground is None or (before is not None and before.source is None):
        return Mapped(mean, std, mean)
    image = broad_image(view.tile, view.image, view.others)
    source = source_map(image, ground, None if before is None else before.source)
    least = max(LEAST, LEAST_SHARE * ground.explained(image, scales.coarse(mean[None])[0]))
    if source is None or source.explained < least:
        return Mapped(mean, std, mean)
    # The fit of every epoch took a plane of the source from the series, which is not there to be taken out.
    left, left_std = _cleaned_rest(view, source.map * view.image.std, True, network, orientations)
    own_error = torch.hypot(SOURCE_ERROR * source.std, UNLIKE * source.map)
    errors = [float(part.square().mean()) for part in (std, own_error, left)]
    weight = errors[0] / (errors[0] + errors[1] + errors[2])
    return Mapped(
        weight * (source.map + left) + (1 - weight) * mean,
        weight * torch.hypot(own_error, left_std) + (1 - weight) * std,
        mean,
        source,
    )


def map_of(tile: TileState, course: Tensor, network: nn.Module) -> Tensor:
    """Map (y, x) of a history (time,) that is known, as if it were found; units."""
    view = view_of(tile, course, None, ())
    ((mean, std),) = cleaned([view], network, 1)
    return mapped(view, fault_in(view, mean), mean, std, False, network, 1).mean * view.image.std
