"""What made a transient."""

VERSION = 16
"""Raised when results change (`slipscan.versions`)."""
