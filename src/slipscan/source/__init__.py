"""What made a transient."""

VERSION = 8
"""Raised when results change (`slipscan.versions`)."""
