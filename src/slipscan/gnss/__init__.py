"""GNSS series beside InSAR events."""

VERSION = 5
"""Raised when results change (`slipscan.versions`)."""
