"""GNSS series beside InSAR events."""

VERSION = 3
"""Raised when results change (`slipscan.versions`)."""
