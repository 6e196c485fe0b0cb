"""What a buried source does to the surface: a point that changes volume, or a fault that slips and opens.

Volume: Mogi (1958). Fault: a rectangle in an elastic half space (Okada 1985, BSSA 75, 1135). Places are in metres, east
and north of the upper left corner of a tile.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import torch
from torch import Tensor

from slipscan.fit.spectrum import wide
from slipscan.forward.mogi import mogi_surface
from slipscan.forward.okada import okada_surface

RAKES: Final = (0.0, 90.0, 0.0)
SLIPS: Final = (1.0, 1.0, 0.0)
OPENINGS: Final = (0.0, 0.0, 1.0)
"""Parts of what a fault does: it slips along strike and along dip, and opens."""
DEPTHS: Final = 7
SHALLOWEST_PX, DEEPEST = 1.5, 0.29
"""First and last depth that is looked at: coarse pixels, and the share of the longer side of the tile."""
ORIENTATIONS: Final = (*((45.0 * n, 89.0) for n in range(4)), *((45.0 * n, 40.0) for n in range(8)), (0.0, 5.0))
"""Strike and dip,"""
LENGTHS: Final = (1.5, 5.0)
"""and lengths, over the depth, of faults that are looked at everywhere."""
LEAST_DIP_DEG: Final = 1.0
SMALLEST, LARGEST = math.log(20.0), math.log(1e6)
"""Logarithms of lengths, m, that are ever computed."""


@dataclass(frozen=True)
class Kind:
    """A kind of source.

    Attributes
    ----------
    steps
        of unknowns in which they are improved: east and north in coarse pixels, others as they are
    usual, spread
        of the unknowns but for the place: Gaussian, wide; it keeps those apart that the data do not tell
    """

    steps: tuple[float, ...]
    usual: tuple[float, ...]
    spread: tuple[float, ...]


VOLUME: Final = Kind((1.0, 1.0, 0.3), (math.log(5e3),), (1.5,))
"""Unknowns: east, north, logarithm of the depth."""
FAULT: Final = Kind(
    (1.0, 1.0, 0.3, 20.0, 15.0, 0.4, 0.4),
    (math.log(8e3), 0.0, 50.0, math.log(15e3), math.log(8e3)),
    (1.5, math.inf, 45.0, 1.0, 1.0),
)
"""Unknowns: east, north, logarithm of the middle's depth, strike, dip (degrees), logarithms of length and width."""


def displacement(kind: Kind, unknowns: Tensor, east: Tensor, north: Tensor) -> Tensor:
    """Displacement (source, part, point, 3) of the surface, east, north and up, of unit parts; unknowns (source, n)."""
    if kind is VOLUME:
        e0, n0, depth = unknowns.T
        return mogi_surface(east, north, east0=e0, north0=n0, depth=_metres(depth), volume_change=1e6)[:, None]
    parts = len(RAKES)
    e0, n0, log_depth, strike, dip, length, width = unknowns.repeat_interleave(parts, 0).T
    dip, depth = dip.clamp(LEAST_DIP_DEG, 90.0), _metres(log_depth)
    sine, cosine = (dip * math.pi / 180).sin(), (dip * math.pi / 180).cos()
    # It ends below the surface: slip that breaks it is looked for by itself.
    width = torch.minimum(_metres(width), 1.96 * depth / sine)
    across = (strike + 90) * math.pi / 180
    rake, slip, opening = (torch.tensor(part).to(unknowns).repeat(len(unknowns)) for part in (RAKES, SLIPS, OPENINGS))
    moved = okada_surface(
        east, north, east0=e0 - width / 2 * cosine * across.sin(), north0=n0 - width / 2 * cosine * across.cos(),
        depth_top=depth - width / 2 * sine, strike_deg=strike, dip_deg=dip, length=_metres(length), width=width,
        rake_deg=rake, slip=slip, opening=opening,
    )  # fmt: skip
    return moved.reshape(len(unknowns), parts, -1, 3)


def _metres(logarithm: Tensor) -> Tensor:
    return logarithm.clamp(SMALLEST, LARGEST).exp()


@lru_cache(maxsize=2)
def usual_sources(pixel_m: float, shape: tuple[int, int], device: torch.device) -> list[tuple[Kind, Tensor, Tensor]]:
    """Sources that are looked for everywhere: kind, unknowns (n,), transform (part, 3, ky, kx) of mirrored fields.

    They lie under the first pixel.
    """
    # Kept for all that comes, training too, so no tensor of inference mode.
    with torch.inference_mode(False), torch.device("cpu"):
        size = wide(torch.Size(shape))
        south, east = torch.meshgrid(*(torch.fft.fftfreq(n, 1 / n) for n in size), indexing="ij")
        points = (east * pixel_m).flatten(), (-south * pixel_m).flatten()
        shallowest, deepest = math.log(SHALLOWEST_PX * pixel_m), math.log(DEEPEST * pixel_m * max(shape))
        sources: list[tuple[Kind, Tensor]] = []
        for depth in torch.linspace(shallowest, deepest, DEPTHS).tolist():
            sources.append((VOLUME, torch.tensor([0.0, 0.0, depth])))
            sources += [
                (FAULT, torch.tensor([0.0, 0.0, depth, strike, dip, depth + math.log(length), depth]))
                for strike, dip in ORIENTATIONS
                for length in LENGTHS
            ]
        return [
            (kind, unknowns, torch.fft.rfft2(moved.transpose(1, 2).reshape(-1, 3, *size)).to(device))
            for kind, unknowns in sources
            for moved in displacement(kind, unknowns[None], *points)
        ]
