"""What a buried source does to the surface: a point or a sheet that changes volume, or a fault that slips and opens.

Point: Mogi (1958). Sheet, fault: rectangles in an elastic half space (Okada 1985, BSSA 75, 1135). Places are in
metres, east and north of the upper left corner of a tile.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

import torch
from torch import Tensor

from slipscan.fit.spectrum import wide
from slipscan.forward.mogi import mogi_surface
from slipscan.forward.okada import okada_parts

OPENING: Final = 2
"""The last part of what a fault does: it slips along strike and up dip, and opens."""
DEPTHS: Final = 7
SHALLOWEST_PX, DEEPEST = 1.5, 0.29
"""First and last depth that is looked at: coarse pixels, and the share of the longer side of the tile."""
ORIENTATIONS: Final = (*((45.0 * n, 89.0) for n in range(4)), *((45.0 * n, 40.0) for n in range(8)), (0.0, 5.0))
"""Strike and dip,"""
LENGTHS: Final = (1.5, 5.0)
"""and lengths, over the depth, of faults that are looked at everywhere,"""
SIDES: Final = (1.0, 3.0)
"""and of sheets."""
AT_A_TIME: Final = 16
"""Sources that are looked for together."""
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
    parts
        whose sizes are told by the data
    """

    steps: tuple[float, ...]
    usual: tuple[float, ...]
    spread: tuple[float, ...]
    parts: int = 1

    @property
    def unknowns(self) -> int:
        """How many it has, the sizes of its parts too."""
        return len(self.steps) + self.parts


VOLUME: Final = Kind((1.0, 1.0, 0.3), (math.log(5e3),), (1.5,))
"""Unknowns: east, north, logarithm of the depth."""
SHEET: Final = Kind((1.0, 1.0, 0.3, 0.4), (math.log(5e3), math.log(5e3)), (1.5, 1.0))
"""Lies flat and opens. Unknowns: east, north, logarithms of its depth and of its side."""
FAULT: Final = Kind(
    (1.0, 1.0, 0.3, 20.0, 15.0, 0.4, 0.4),
    (math.log(8e3), 0.0, 50.0, math.log(15e3), math.log(8e3)),
    (1.5, math.inf, 45.0, 1.0, 1.0),
    parts=3,
)
"""Unknowns: east, north, logarithm of the middle's depth, strike, dip (degrees), logarithms of length and width."""


def orientation_of(kind: Kind, unknowns: Tensor) -> tuple[float, float]:
    """Strike and dip of a source with unknowns (n,); zeros where it has none."""
    return (float(unknowns[3]), float(unknowns[4])) if kind is FAULT else (0.0, 0.0)


def displacement(kind: Kind, unknowns: Tensor, east: Tensor, north: Tensor) -> Tensor:
    """Displacement (source, part, point, 3) of the surface, east, north and up, of unit parts; unknowns (source, n)."""
    if kind is VOLUME:
        e0, n0, depth = unknowns.T
        return mogi_surface(east, north, east0=e0, north0=n0, depth=_metres(depth), volume_change=1e6)[:, None]
    if kind is SHEET:
        e0, n0, depth, side = unknowns.T
        flat = torch.zeros_like(e0)
        as_fault = torch.stack([e0, n0, depth, flat, flat, side, side], 1)
        return displacement(FAULT, as_fault, east, north)[:, OPENING:]
    e0, n0, log_depth, strike, dip, length, width = unknowns.T
    dip, depth = dip.clamp(LEAST_DIP_DEG, 90.0), _metres(log_depth)
    sine, cosine = (dip * math.pi / 180).sin(), (dip * math.pi / 180).cos()
    # It ends below the surface: slip that breaks it is looked for by itself.
    width = torch.minimum(_metres(width), 1.96 * depth / sine)
    across = (strike + 90) * math.pi / 180
    moved = okada_parts(
        east, north, east0=e0 - width / 2 * cosine * across.sin(), north0=n0 - width / 2 * cosine * across.cos(),
        depth_top=depth - width / 2 * sine, strike_deg=strike, dip_deg=dip, length=_metres(length), width=width,
    )  # fmt: skip
    return moved.transpose(1, 2)


def _metres(logarithm: Tensor) -> Tensor:
    return logarithm.clamp(SMALLEST, LARGEST).exp()


class Usual(NamedTuple):
    """Some sources of a kind that are looked for everywhere.

    Attributes
    ----------
    kind, unknowns
        what they are, (source, n); they lie under the first pixel
    waves
        (source, part, 3, ky, kx) transform of mirrored fields of what they do
    """

    kind: Kind
    unknowns: Tensor
    waves: Tensor


@lru_cache(maxsize=2)
def usual_sources(pixel_m: float, shape: tuple[int, int], device: torch.device) -> list[Usual]:
    """Sources that are looked for everywhere, some at a time."""
    # Kept for all that comes, training too, so no tensor of inference mode.
    with torch.inference_mode(False), torch.device("cpu"):
        size = wide(torch.Size(shape))
        south, east = torch.meshgrid(*(torch.fft.fftfreq(n, 1 / n) for n in size), indexing="ij")
        points = (east * pixel_m).flatten(), (-south * pixel_m).flatten()
        shallowest, deepest = math.log(SHALLOWEST_PX * pixel_m), math.log(DEEPEST * pixel_m * max(shape))
        sources: dict[Kind, list[list[float]]] = {VOLUME: [], SHEET: [], FAULT: []}
        for depth in torch.linspace(shallowest, deepest, DEPTHS).tolist():
            sources[VOLUME].append([0.0, 0.0, depth])
            sources[SHEET] += [[0.0, 0.0, depth, depth + math.log(side)] for side in SIDES]
            sources[FAULT] += [
                [0.0, 0.0, depth, strike, dip, depth + math.log(length), depth]
                for strike, dip in ORIENTATIONS
                for length in LENGTHS
            ]
        out = []
        for kind, unknowns in sources.items():
            for some in torch.split(torch.tensor(unknowns), AT_A_TIME):
                moved = displacement(kind, some, *points).transpose(2, 3)
                waves = torch.fft.rfft2(moved.reshape(*moved.shape[:3], *size))
                out.append(Usual(kind, some, long_waves(waves, size).to(device)))
        return out


def long_waves(waves: Tensor, size: tuple[int, int]) -> Tensor:
    """Waves (ky, kx) of fields of a size that fields of half the size have."""
    rows, columns = halved(size)
    return torch.cat([waves[..., : rows - rows // 2, :], waves[..., -(rows // 2) :, :]], -2)[..., : columns // 2 + 1]


def halved(size: tuple[int, int]) -> tuple[int, int]:
    """Half a size."""
    return size[0] // 2, size[1] // 2
