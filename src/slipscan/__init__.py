"""slipscan: a catalogue of slow slip events from the Sentinel-1 archive."""

__version__ = "0.1.0"
