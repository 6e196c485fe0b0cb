"""Where the usual sources, which are looked for everywhere, explain most of an image."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import pad

from slipscan.denoise.methods.slipnet.ground import Ground
from slipscan.denoise.methods.slipnet.source_patterns import Kind, halved, long_waves, orientation_of, usual_sources
from slipscan.fit.spectrum import MARGIN, wide

RIDGE: Final = 0.03
"""Share of the energy of all that a source moves which is added to what is seen of it."""


def starts(data: Tensor, ground: Ground) -> dict[Kind, Tensor]:
    """Unknowns (source, n) of usual sources of each kind, where they explain most of whitened data (pixel,).

    Of each orientation there is the best one; the first explains most.
    """
    best: dict[tuple[Kind, tuple[float, float]], tuple[float, Tensor]] = {}
    for kind, unknowns, explained in _explained(data, ground):
        most, where = explained.flatten(1).max(1)
        for source, at, here in zip(unknowns, where.tolist(), most.tolist(), strict=True):
            orientation = kind, orientation_of(kind, source)
            if orientation not in best or here > best[orientation][0]:
                row, column = divmod(at, explained.shape[2])
                place = torch.tensor([2 * column + 0.5, -2 * row - 0.5]) * ground.pixel_m
                best[orientation] = here, torch.cat([place, source[2:]])
    out: dict[Kind, list[Tensor]] = {}
    for (kind, _), (_, source) in sorted(best.items(), key=lambda item: -item[1][0]):
        out.setdefault(kind, []).append(source)
    return {kind: torch.stack(some).to(data.device) for kind, some in out.items()}


def _explained(data: Tensor, ground: Ground) -> Iterator[tuple[Kind, Tensor, Tensor]]:
    """Kind and unknowns (source, n) of usual sources, and the energy (source, y, x) that each explains at a place.

    Places are every second coarse pixel, waves four of them or longer. Beyond the border a source moves what the
    mirrored ground would, else it is exact.
    """
    shape, size = ground.known.shape, wide(ground.known.shape)
    half = halved(size)
    inside = tuple(slice(MARGIN // 2, (MARGIN + side) // 2) for side in shape)
    fields = torch.cat([data[:, None], ground.delay, ground.known.float().flatten()[:, None]], 1).T
    framed = long_waves(torch.fft.rfft2(pad(fields.reshape(-1, *shape), (MARGIN,) * 4)), size)
    # Scaled to the values of fields of half the size.
    gain = long_waves(ground.gain, size) * (half[0] * half[1] / (size[0] * size[1]))
    for kind, unknowns, waves in usual_sources(ground.pixel_m, tuple(shape), data.device):
        white = torch.einsum("spcyx,c->spyx", waves, ground.los.to(waves.dtype)) * gain
        common, *of_delay = torch.fft.irfft2(framed[:-1, None, None] * white.conj(), s=half)[..., *inside]
        fields = torch.fft.irfft2(white, s=half)
        one, other = torch.triu_indices(fields.shape[1], fields.shape[1])
        products = torch.fft.rfft2(fields[:, one] * fields[:, other])
        products = torch.fft.irfft2(framed[-1] * products.conj(), s=half)[..., *inside]
        for column in of_delay:
            products -= column[:, one] * column[:, other]
        normal = common.new_empty(len(unknowns), *2 * common.shape[1:2], *common.shape[2:])
        normal[:, one, other] = normal[:, other, one] = products
        # Of what lies beyond the border little is seen, and that is not exact.
        everywhere = torch.diag_embed(fields.square().sum((2, 3)) + 1e-30)[:, None, None].double()
        normal = normal.permute(0, 3, 4, 1, 2).double() + RIDGE * everywhere
        flat = common.permute(0, 2, 3, 1).double()
        yield kind, unknowns, (torch.linalg.solve(normal, flat[..., None])[..., 0] * flat).sum(-1)
