"""Mirror images and quarter turns of a scene: its maps, its line of sight and its sources together.

An elastic half space has no hand, so the mirror image of a displacement is what the mirror image of its source makes.
But a line of sight is mirrored too: a flip from east to west turns an ascending pass into a descending one, and any
other flip gives a view that no right-looking Sentinel-1 has.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from slipscan.errors import SlipscanError
from slipscan.noise.simulate import NoiseParts
from slipscan.synthetic.scene import TrainingScene
from slipscan.synthetic.sources import Source

Float = NDArray[np.float64]
Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True)
class Symmetry:
    """A symmetry of the square: transposition first (north-east axis), then the flips.

    Attributes
    ----------
    east, north
        mirror west and east, south and north
    transpose
        exchange east and north: rows become columns, so that south-east stays where it is
    """

    east: bool = False
    north: bool = False
    transpose: bool = False

    def maps(self, field: NDArray[Scalar]) -> NDArray[Scalar]:
        """A field (..., y, x), rows from north to south; a new array."""
        if self.transpose:  # the array's transpose exchanges east and south: exchange south and north too
            field = field.swapaxes(-1, -2)[..., ::-1, ::-1]
        return np.ascontiguousarray(field[..., :: -1 if self.north else 1, :: -1 if self.east else 1])

    def vector(self, vector: Float) -> Float:
        """Components (..., 3) east, north, up, such as a line of sight."""
        order = [1, 0, 2] if self.transpose else [0, 1, 2]
        return np.asarray(vector[..., order] * np.array([-1 if self.east else 1, -1 if self.north else 1, 1]))

    def source(self, source: Source) -> Source:
        """The source whose displacement is the mirror image."""
        east, north, _ = self.vector(np.array([source.east, source.north, 0.0]))
        moved = dataclasses.replace(source, east=float(east), north=float(north))
        if source.kind == "volume":
            return moved
        strike = math.radians(source.strike_deg)
        along = self.vector(np.array([math.sin(strike), math.cos(strike), 0.0]))
        turned = math.degrees(math.atan2(along[0], along[1]))
        if (self.east + self.north + self.transpose) % 2 == 0:  # a rotation
            return dataclasses.replace(moved, strike_deg=turned % 360)
        # The mirror image dips to the left of the mirrored strike: count the strike the other way.
        return dataclasses.replace(moved, strike_deg=(turned + 180) % 360, rake_deg=180 - source.rake_deg)

    def scene(self, scene: TrainingScene) -> TrainingScene:
        """The whole scene, its line of sight and sources included.

        Raises
        ------
        SlipscanError
            a symmetry but that from east to west: no Sentinel-1 pass sees such a scene
        """
        if self.north or self.transpose:
            raise SlipscanError("no Sentinel-1 pass sees a scene turned that way: only Symmetry(east=True) can be used")
        if not self.east:
            return scene
        ground = dataclasses.replace(
            scene.ground, rate=self.maps(scene.ground.rate), season=self.maps(scene.ground.season)
        )
        parts: dict[str, Any] = {name: self.maps(part) for name, part in scene.noise_parts.by_name.items()}
        return dataclasses.replace(
            scene,
            displacement=self.maps(scene.displacement),
            height=self.maps(scene.height),
            los=self.vector(scene.los),
            orbit_direction="descending" if scene.orbit_direction == "ascending" else "ascending",
            mask=self.maps(scene.mask),
            ground=ground,
            sources=tuple(self.source(source) for source in scene.sources),
            source_maps=self.maps(scene.source_maps),
            noise_parts=NoiseParts(scene.noise_parts.shape, **parts),
        )
