"""What every detector is: it prepares a search of a track, which finds transients and says what noise looks like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from slipscan.detect.track import Track
from slipscan.detect.transient import Transient
from slipscan.settings import DetectSettings


class Search(Protocol):
    """A track, ready to be searched."""

    def find(self, floor: float, at_most: int = ...) -> list[Transient]:
        """Transients whose statistic reaches `floor`, strongest first."""
        ...

    def without(self, found: Sequence[Transient]) -> Search:
        """The same as noise: less transients that were found."""
        ...

    def null_maxima(
        self, order: NDArray[np.intp], added: NDArray[np.float32] | None = None
    ) -> list[tuple[float, bool]]:
        """The strongest statistic of every tile of a null stack (0: nothing found), and whether it lies at an edge.

        The residual with its epochs in an order, or a simulated series (time, y, x), m.
        """
        ...


class Detector(Protocol):
    """One class in a file of its own, see `detect.registry`."""

    needs_field: bool
    """Whether it reads what the denoiser says."""

    def search(self, track: Track, settings: DetectSettings) -> Search:
        """Prepare a track."""
        ...
