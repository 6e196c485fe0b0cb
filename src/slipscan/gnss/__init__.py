"""GNSS series beside InSAR events."""

VERSION = 9
"""Raised when results change (`slipscan.versions`)."""
