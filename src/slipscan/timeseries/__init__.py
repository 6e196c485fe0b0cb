"""From interferograms to a displacement stack."""

VERSION = 4
"""Raised when results change (`slipscan.versions`)."""
