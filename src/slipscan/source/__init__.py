"""What made a transient."""

VERSION = 12
"""Raised when results change (`slipscan.versions`)."""
