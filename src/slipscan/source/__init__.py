"""What made a transient."""

VERSION = 3
"""Raised when results change (`slipscan.versions`)."""
