"""What every detector is: it prepares a search of a track, which finds transients and says what noise looks like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

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

    @property
    def simulates(self) -> bool:
        """Whether enough is known of the noise in time for simulated null stacks."""
        ...

    def null_maxima(self, kind: str, seed: int, index: int) -> list[tuple[float, bool]]:
        """The strongest statistic of every tile of a null stack (0: nothing found), and whether it lies at an edge.

        Of one of `nulls.KINDS`, or simulated; depends on (seed, index) alone.
        """
        ...


class Detector(Protocol):
    """One class in a file of its own, see `detect.registry`."""

    needs_field: bool
    """Whether it reads what the denoiser says."""

    def search(self, track: Track, settings: DetectSettings) -> Search:
        """Prepare a track."""
        ...
