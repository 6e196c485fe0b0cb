"""What made a transient."""

VERSION = 5
"""Raised when results change (`slipscan.versions`)."""
