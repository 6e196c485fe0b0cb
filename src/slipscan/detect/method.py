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

    def null_maximum(self, order: NDArray[np.intp]) -> float:
        """The strongest statistic with the epochs in another order, 0 where nothing is found."""
        ...


class Detector(Protocol):
    """One class in a file of its own, see `detect.registry`."""

    needs_field: bool
    """Whether it reads what the denoiser says."""

    def search(self, track: Track, settings: DetectSettings) -> Search:
        """Prepare a track."""
        ...
