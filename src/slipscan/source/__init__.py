"""What made a transient."""

VERSION = 11
"""Raised when results change (`slipscan.versions`)."""
