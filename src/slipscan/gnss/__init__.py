"""GNSS series beside InSAR events."""

VERSION = 12
"""Raised when results change (`slipscan.versions`)."""
