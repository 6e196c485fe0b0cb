"""The detector that reads the displacement alone: a whitened multi-scale scan over steps and ramps."""

from __future__ import annotations

from slipscan.detect.scan import Scanner
from slipscan.detect.track import Track
from slipscan.settings import DetectSettings


class Scan:
    """See `detect.scan`."""

    needs_field = False

    def search(self, track: Track, settings: DetectSettings) -> Scanner:
        """Bands of the displacement."""
        return Scanner(track.bands(), track.epochs, track.coarse.shape, track.coarse.pixel_m / 1e3, settings)
