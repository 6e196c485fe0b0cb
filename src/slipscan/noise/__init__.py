"""What the atmosphere does in a region: estimate and simulate."""

VERSION = 5
"""Raised when results change (`slipscan.versions`)."""
