"""What the atmosphere does in a region: estimate and simulate."""

VERSION = 4
"""Raised when results change (`slipscan.versions`)."""
