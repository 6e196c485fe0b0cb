"""GNSS series beside InSAR events."""

VERSION = 11
"""Raised when results change (`slipscan.versions`)."""
