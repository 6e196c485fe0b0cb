"""What made a transient."""

VERSION = 7
"""Raised when results change (`slipscan.versions`)."""
