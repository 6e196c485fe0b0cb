"""What the atmosphere does in a region: estimate and simulate."""

VERSION = 6
"""Raised when results change (`slipscan.versions`)."""
