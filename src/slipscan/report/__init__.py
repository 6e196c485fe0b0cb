"""Figures and pages."""

VERSION = 3
"""Raised when results change (`slipscan.versions`)."""
