"""GNSS series beside InSAR events."""

VERSION = 4
"""Raised when results change (`slipscan.versions`)."""
