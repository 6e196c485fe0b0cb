"""What made a transient."""

VERSION = 4
"""Raised when results change (`slipscan.versions`)."""
