"""What made a transient."""

VERSION = 10
"""Raised when results change (`slipscan.versions`)."""
