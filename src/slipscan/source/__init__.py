"""What made a transient."""

VERSION = 15
"""Raised when results change (`slipscan.versions`)."""
