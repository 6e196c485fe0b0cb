"""Transients out of a displacement field, at a stated false-alarm rate."""

VERSION = 2
"""Raised when results change (`slipscan.versions`)."""
