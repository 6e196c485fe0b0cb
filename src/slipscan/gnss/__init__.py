"""GNSS series beside InSAR events."""

VERSION = 13
"""Raised when results change (`slipscan.versions`)."""
