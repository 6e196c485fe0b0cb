"""GNSS series beside InSAR events."""

VERSION = 6
"""Raised when results change (`slipscan.versions`)."""
