"""The method that says that nothing happened: what any other must beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from slipscan.denoise.method import Method
from slipscan.field import Field, Observation


class Zero(Method):
    """No displacement."""

    name = "zero"

    def fields(self, observations: Sequence[Observation]) -> list[Field]:
        """Zeros, of a standard deviation that is the noise of every epoch."""
        out = []
        for one in observations:
            nothing = np.zeros(one.displacement.shape, np.float32)
            std = one.cleaned().delay.std.numpy()[:, None, None]
            out.append(Field(nothing, np.broadcast_to(std, nothing.shape).astype(np.float32), nothing[0]))
        return out
