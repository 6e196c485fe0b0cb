"""GNSS series beside InSAR events."""

VERSION = 10
"""Raised when results change (`slipscan.versions`)."""
