"""What made a transient."""

VERSION = 14
"""Raised when results change (`slipscan.versions`)."""
