"""GNSS series beside InSAR events."""

VERSION = 8
"""Raised when results change (`slipscan.versions`)."""
