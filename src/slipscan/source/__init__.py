"""What made a transient."""

VERSION = 6
"""Raised when results change (`slipscan.versions`)."""
