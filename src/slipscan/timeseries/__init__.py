"""From interferograms to a displacement stack."""

VERSION = 3
"""Raised when results change (`slipscan.versions`)."""
