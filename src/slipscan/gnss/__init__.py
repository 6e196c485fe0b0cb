"""GNSS series beside InSAR events."""

VERSION = 7
"""Raised when results change (`slipscan.versions`)."""
