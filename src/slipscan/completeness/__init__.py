"""Magnitude of completeness: events injected into a region's own noise, and searched for."""

VERSION = 6
"""Raised when results change (`slipscan.versions`)."""
