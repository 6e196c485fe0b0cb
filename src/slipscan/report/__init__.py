"""Figures and pages."""

VERSION = 4
"""Raised when results change (`slipscan.versions`)."""
