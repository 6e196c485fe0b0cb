"""The displacement field without its atmosphere, with sigma."""

VERSION = 5
"""Raised when results change (`slipscan.versions`)."""
