"""What made a transient."""

VERSION = 9
"""Raised when results change (`slipscan.versions`)."""
