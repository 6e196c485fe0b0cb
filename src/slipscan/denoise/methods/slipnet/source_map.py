"""The map of a buried source: a point or a fault that is fitted to an image by its likelihood.

What a source of a few unknowns tells of its map is far surer than what can be said of every pixel by itself. It is
fitted on coarse pixels, whitened by the 2-D spectrum of noise, beside what the delay of an epoch may be, a plane and
the height: that was taken from every epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import torch
from torch import Tensor

from slipscan.denoise.methods.slipnet.ground import Ground
from slipscan.denoise.methods.slipnet.scales import COARSE, upsampled
from slipscan.denoise.methods.slipnet.source_patterns import FAULT, VOLUME, Kind, usual_sources
from slipscan.fit.spectrum import MARGIN, mirrored, wide

STARTS: Final = {VOLUME: 1, FAULT: 12}
"""So many of the sources that are looked for everywhere, faults of different orientations, are improved."""
ROUNDS: Final = 12
"""Of Levenberg and Marquardt's method,"""
FIRST_ROUNDS: Final = 4
"""and of those that all starts have,"""
GOING_ON: Final = 3
"""so many of which go on."""
SIMPLER: Final = 20.0
"""What a fault explains more than a point, or it is a point: it has six unknowns more, and finds more in noise."""
DIFFERENCE: Final = 0.1
"""Of a step, of which derivatives are taken."""
RIDGE: Final = 1e-4
SEARCHED: Final = 0.7
"""Of the longer side of a tile: longer waves hardly count where sources are looked for everywhere."""
ENOUGH: Final = 0.5
"""An improvement of less is the last."""


class Source(NamedTuple):
    """A source in an image.

    Attributes
    ----------
    map, std
        (y, x) what it has moved, and how sure that is, if it is one; units of the image
    explained
        energy of the image that it explains, noise being 1: twice the logarithm of the likelihood ratio
    kind, unknowns
        what it is
    """

    map: Tensor
    std: Tensor
    explained: float
    kind: Kind
    unknowns: Tensor


def source_map(image: Tensor, ground: Ground, near: Source | None = None) -> Source | None:
    """The source that explains an image (y, x) on coarse pixels, without holes; None where none can be fitted.

    It is looked for everywhere, or `near` one that explained nearly the same image.
    """
    if min(image.shape) <= MARGIN:
        return None
    data = ground.white(image[None])[:, 0]
    if near is not None:
        return _source(near.kind, _best(near.kind, [near.unknowns], data, ground).unknowns, data, ground)
    starts = _everywhere(image, ground)
    found = {kind: _best(kind, [start for of, start in starts if of is kind], data, ground) for kind in STARTS}
    kind = max(found, key=lambda one: found[one].better - (SIMPLER if one is FAULT else 0.0))
    return _source(kind, found[kind].unknowns, data, ground)


def _everywhere(image: Tensor, ground: Ground) -> list[tuple[Kind, Tensor]]:
    """The usual sources, each where it explains most."""
    shape, size = image.shape, wide(image.shape)
    k = torch.hypot(torch.fft.fftfreq(size[0])[:, None], torch.fft.rfftfreq(size[1])).to(image.device)
    weight = ground.gain.square() / (1 + (1 / (k.clamp(min=1e-6) * SEARCHED * max(shape))) ** 4)
    seen = torch.fft.rfft2(mirrored(image[None])) * weight
    out = []
    for kind, unknowns, moved in usual_sources(ground.pixel_m, tuple(shape), image.device):
        waves = torch.einsum("pcyx,c->pyx", moved, ground.los.to(moved.dtype))
        common = torch.fft.irfft2(seen * waves.conj(), s=size)
        common = common[:, MARGIN : MARGIN + shape[0], MARGIN : MARGIN + shape[1]]
        products = (waves * weight)[:, None] * waves.conj()
        normal = torch.fft.irfft2(products, s=size)[..., 0, 0].double()
        normal = normal + 100 * RIDGE * torch.diag(normal.diagonal())
        flat = common.flatten(1).double()
        explained = (torch.linalg.solve(normal, flat) * flat).sum(0)
        at = int(explained.argmax())
        place = torch.tensor([at % shape[1] + 0.5, -(at // shape[1]) - 0.5]) * ground.pixel_m
        out.append((kind, torch.cat([place, unknowns[2:]]).to(image.device)))
    return out


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
    """A source that is being improved: unknowns, what it misses of data and of what is usual, how careful a step is."""

    unknowns: Tensor
    missed: Tensor
    damping: float = 0.3
    done: bool = False

    @property
    def better(self) -> float:
        """Less is missed than this below zero."""
        return -float(self.missed.square().sum())


def _best(kind: Kind, starts: list[Tensor], data: Tensor, ground: Ground) -> _Improved:
    """The best source of a kind."""
    tried = torch.stack(starts)
    order = _fits(kind, tried, data, ground).explained.argsort(descending=True)
    going = []
    different: dict[tuple[float, ...], Tensor] = {}
    for unknowns in tried[order]:
        different.setdefault(tuple(unknowns[3:5].tolist()), unknowns)
    for unknowns in list(different.values())[: STARTS[kind]]:
        one = _Improved(unknowns, _missed(kind, unknowns[None], data, ground)[0])
        for _ in range(FIRST_ROUNDS):
            _improve(kind, one, data, ground)
        going.append(one)
    going = sorted(going, key=lambda one: -one.better)[:GOING_ON]
    for one in going:
        for _ in range(ROUNDS - FIRST_ROUNDS):
            _improve(kind, one, data, ground)
    return going[0] if len(going) == 1 else max(going, key=lambda one: one.better)


def _missed(kind: Kind, unknowns: Tensor, data: Tensor, ground: Ground) -> Tensor:
    return torch.cat([_fits(kind, unknowns, data, ground).left, _unusual(kind, unknowns)], 1).double()


def _steps(kind: Kind, ground: Ground) -> Tensor:
    steps = torch.tensor(kind.steps, device=ground.known.device)
    steps[:2] *= ground.pixel_m
    return steps


def _improve(kind: Kind, one: _Improved, data: Tensor, ground: Ground) -> None:
    """A step of Levenberg and Marquardt's method."""
    if one.done:
        return
    steps = _steps(kind, ground)
    beside = one.unknowns + DIFFERENCE * torch.diag(steps)
    slopes = (_missed(kind, beside, data, ground) - one.missed).T / DIFFERENCE
    normal, slope = slopes.T @ slopes, slopes.T @ one.missed
    for _ in range(5):
        damped = normal + one.damping * torch.diag(normal.diagonal() + 1e-3)
        step = -torch.linalg.solve(damped, slope).nan_to_num().clamp(-2, 2).float()
        unknowns = one.unknowns + step * steps
        missed = _missed(kind, unknowns[None], data, ground)[0]
        gained = float(one.missed.square().sum() - missed.square().sum())
        if gained > 0:
            one.unknowns, one.missed, one.damping, one.done = unknowns, missed, one.damping / 6, gained < ENOUGH
            return
        one.damping = 6 * max(one.damping, 0.01)
    one.done = True


def _source(kind: Kind, unknowns: Tensor, data: Tensor, ground: Ground) -> Source:
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
    return Source(fine, upsampled(variance.sqrt().float()[None, None])[0, 0], float(fit.explained[0]), kind, unknowns)
