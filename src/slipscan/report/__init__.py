"""Figures and pages."""

VERSION = 2
"""Raised when results change (`slipscan.versions`)."""
