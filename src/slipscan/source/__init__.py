"""What made a transient."""

VERSION = 13
"""Raised when results change (`slipscan.versions`)."""
