"""The map of a buried source: points, sheets and faults that are fitted to an image by their likelihood.

What a source of a few unknowns tells of its map is far surer than what can be said of every pixel by itself. They are
fitted on coarse pixels, whitened by the 2-D spectrum of noise, beside what the delay of an epoch may be, a plane and
the height: that was taken from every epoch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

import torch
from torch import Tensor

from slipscan.denoise.methods.slipnet.ground import Ground
from slipscan.denoise.methods.slipnet.scales import COARSE, upsampled
from slipscan.denoise.methods.slipnet.source_patterns import Kind
from slipscan.denoise.methods.slipnet.source_search import starts
from slipscan.fit.spectrum import MARGIN

ROUNDS: Final = ((6, 3), (3, 9))
"""So many sources of a kind have so many rounds of Levenberg and Marquardt's method, and then fewer others."""
FOR_AN_UNKNOWN: Final = 10 / 3
"""Energy that a source explains more for every unknown more that it has, or the simpler one is likelier: it finds more
in noise."""
ALIKE: Final = 1.0
"""Two sources are one if what they say of the data differs by less energy."""
LEAST_WEIGHT: Final = 0.02
"""Of a source beside the likeliest."""
DIFFERENCE: Final = 0.1
"""Of a step, of which derivatives are taken."""
RIDGE: Final = 1e-4
ENOUGH: Final = 0.5
"""An improvement of less is the last."""


class Source(NamedTuple):
    """A source in an image: the mean of those that explain it about as well, weighted by how likely each is.

    Attributes
    ----------
    map, std
        (y, x) what it has moved, and how sure that is, if it is one; units of the image
    explained
        energy of the image that it explains, noise being 1: twice the logarithm of the likelihood ratio
    kinds
        unknowns (source, n) of those of every kind
    """

    map: Tensor
    std: Tensor
    explained: float
    kinds: dict[Kind, Tensor]


def source_map(image: Tensor, ground: Ground, near: Source | None = None) -> Source | None:
    """The source that explains an image (y, x) on coarse pixels, without holes; None where none can be fitted.

    It is looked for everywhere, or `near` one that explained nearly the same image.
    """
    if min(image.shape) <= MARGIN:
        return None
    data = ground.white(image[None])[:, 0]
    if near is None:
        found = [_best(kind, some, data, ground) for kind, some in starts(data, ground).items()]
    else:
        rounds = sum(rounds for _, rounds in ROUNDS)
        found = [_improved(_begun(kind, some, data, ground), rounds, data, ground) for kind, some in near.kinds.items()]
    found = [_different(one) for one in found]
    likely = torch.cat([one.better - FOR_AN_UNKNOWN * one.kind.unknowns for one in found]).nan_to_num(nan=-math.inf)
    if not bool(likely.isfinite().any()):
        return None
    weights = (0.5 * (likely - likely.max())).exp()
    weights = torch.where(weights < LEAST_WEIGHT, 0.0, weights) / weights[weights >= LEAST_WEIGHT].sum()
    return _mean_of(found, weights.float(), data, ground)


def _mean_of(found: list[_Improved], weights: Tensor, data: Tensor, ground: Ground) -> Source:
    """The mean of sources; those that have no weight (source,) are left out."""
    kinds, singles = {}, []
    for one, some in zip(found, torch.split(weights, [len(one.unknowns) for one in found]), strict=True):
        if bool((some > 0).any()):
            kinds[one.kind] = one.unknowns[some > 0]
            singles += [_single(one.kind, unknowns, data, ground) for unknowns in kinds[one.kind]]
    maps, variances = (torch.stack(part) for part in list(zip(*singles, strict=True))[:2])
    weights = weights[weights > 0]
    mean = torch.tensordot(weights, maps, 1)
    variance = torch.tensordot(weights, variances + (maps - mean).square(), 1)
    return Source(mean, variance.sqrt(), float(weights @ weights.new_tensor([one.explained for one in singles])), kinds)


class _Single(NamedTuple):
    """Map and its variance (y, x) of one source, and energy that it explains."""

    map: Tensor
    variance: Tensor
    explained: float


class _Fits(NamedTuple):
    """Of sources: parts (source, part), what is left (source, pixel), energy that is explained (source,)."""

    parts: Tensor
    left: Tensor
    explained: Tensor


def _fits(kind: Kind, unknowns: Tensor, data: Tensor, ground: Ground) -> _Fits:
    maps = ground.maps(kind, unknowns)
    columns = ground.white(maps.flatten(0, 1)).reshape(-1, *maps.shape[:2]).permute(1, 0, 2)
    wide_columns = columns.double()
    normal = wide_columns.transpose(1, 2) @ wide_columns
    normal = normal + torch.diag_embed(RIDGE * normal.diagonal(dim1=1, dim2=2) + 1e-30)
    parts = torch.linalg.solve(normal, wide_columns.transpose(1, 2) @ data.double()).float()
    left = data - (columns @ parts[..., None])[..., 0]
    return _Fits(parts, left, data.square().sum() - left.square().sum(1))


def _unusual(kind: Kind, unknowns: Tensor) -> Tensor:
    """(source, n) how far unknowns are from what is usual, in standard deviations."""
    usual, spread = (torch.tensor(part).to(unknowns) for part in (kind.usual, kind.spread))
    return (unknowns[:, 2:] - usual) / spread


@dataclass
class _Improved:
    """Sources of a kind that are being improved.

    Attributes
    ----------
    unknowns, missed
        (source, n); (source, pixel and unknown) what each misses of data and of what is usual
    damping, done
        (source,) how careful its next step is, and whether it has taken the last
    """

    kind: Kind
    unknowns: Tensor
    missed: Tensor
    damping: Tensor
    done: Tensor

    @property
    def better(self) -> Tensor:
        """(source,) less is missed than this below zero."""
        return -self.missed.square().sum(1)

    def some(self, which: Tensor) -> _Improved:
        """Those of some numbers."""
        return _Improved(self.kind, *(part[which] for part in (self.unknowns, self.missed, self.damping, self.done)))


def _begun(kind: Kind, unknowns: Tensor, data: Tensor, ground: Ground) -> _Improved:
    missed = _missed(kind, unknowns, data, ground)
    return _Improved(kind, unknowns, missed, missed.new_full((len(missed),), 0.3), missed.new_zeros(len(missed)) > 0)


def _best(kind: Kind, starts: Tensor, data: Tensor, ground: Ground) -> _Improved:
    """The best sources of a kind, of those (source, n) that are tried, best first."""
    going = _begun(kind, starts[: ROUNDS[0][0]], data, ground)
    for number, rounds in ROUNDS:
        going = going.some(going.better.argsort(descending=True)[:number])
        going = _improved(going, rounds, data, ground)
    return going


def _different(ones: _Improved) -> _Improved:
    """Those that explain data in different ways, the best of those that are alike."""
    kept: list[int] = []
    for number in ones.better.argsort(descending=True).tolist():
        others = ones.missed[kept]
        if bool(((others - ones.missed[number]).square().sum(1) > ALIKE).all()):
            kept.append(number)
    return ones.some(torch.tensor(kept, device=ones.done.device))


def _missed(kind: Kind, unknowns: Tensor, data: Tensor, ground: Ground) -> Tensor:
    return torch.cat([_fits(kind, unknowns, data, ground).left, _unusual(kind, unknowns)], 1).double()


def _steps(kind: Kind, ground: Ground) -> Tensor:
    steps = torch.tensor(kind.steps, device=ground.known.device)
    steps[:2] *= ground.pixel_m
    return steps


def _improved(ones: _Improved, rounds: int, data: Tensor, ground: Ground) -> _Improved:
    """Steps of Levenberg and Marquardt's method."""
    for _ in range(rounds):
        going = (~ones.done).nonzero()[:, 0]
        if not len(going):
            break
        _improve(ones, going, data, ground)
    return ones


def _improve(ones: _Improved, going: Tensor, data: Tensor, ground: Ground) -> None:
    """One step of those that go on; of each the first that is better."""
    kind, steps = ones.kind, _steps(ones.kind, ground)
    beside = ones.unknowns[going, None] + DIFFERENCE * torch.diag(steps)
    slopes = _missed(kind, beside.flatten(0, 1), data, ground).reshape(*beside.shape[:2], -1)
    slopes = (slopes - ones.missed[going, None]) / DIFFERENCE
    normal, slope = slopes @ slopes.transpose(1, 2), slopes @ ones.missed[going, :, None]
    for _ in range(5):
        careful = ones.damping[going, None] * (normal.diagonal(dim1=1, dim2=2) + 1e-3)
        step = -torch.linalg.solve(normal + torch.diag_embed(careful), slope)[..., 0].nan_to_num().clamp(-2, 2).float()
        unknowns = ones.unknowns[going] + step * steps
        missed = _missed(kind, unknowns, data, ground)
        gained = ones.missed[going].square().sum(1) - missed.square().sum(1)
        better, worse = gained > 0, ~(gained > 0)
        taken = going[better]
        ones.unknowns[taken], ones.missed[taken] = unknowns[better], missed[better]
        ones.done[taken] = gained[better] < ENOUGH
        ones.damping[taken] /= 6
        going, normal, slope = going[worse], normal[worse], slope[worse]
        if not len(going):
            return
        ones.damping[going] = 6 * ones.damping[going].clamp(min=0.01)
    ones.done[going] = True


def _single(kind: Kind, unknowns: Tensor, data: Tensor, ground: Ground) -> _Single:
    """Map of a source, and its standard deviation: of unknowns and parts, linearised."""
    steps = _steps(kind, ground)
    several = torch.cat([unknowns[None], unknowns + DIFFERENCE * torch.diag(steps)])
    fit = _fits(kind, unknowns[None], data, ground)
    maps = ground.maps(kind, several)
    whole = torch.einsum("spyx,p->syx", maps, fit.parts[0])
    slopes = torch.cat(
        [(whole[1:] - whole[0]) / DIFFERENCE, maps[0] * fit.parts[0].abs().clamp(min=1e-30)[:, None, None]]
    )
    white = ground.white(slopes).double()
    unusual = _unusual(kind, several).double()
    usual = (unusual[1:] - unusual[0]).T / DIFFERENCE
    information = white.T @ white
    number = len(steps)
    information[:number, :number] += usual.T @ usual
    information += RIDGE * torch.eye(len(information), device=information.device, dtype=information.dtype)
    information += torch.diag(1e-6 * information.diagonal())
    flat = slopes.flatten(1).T.double()
    variance = ((flat @ torch.linalg.inv(information)) * flat).sum(1).clamp(min=0).reshape(ground.known.shape)
    fine = torch.einsum("pyx,p->yx", ground.maps(kind, unknowns[None], COARSE)[0], fit.parts[0])
    return _Single(fine, upsampled(variance.float()[None, None])[0, 0].clamp(min=0), float(fit.explained[0]))
