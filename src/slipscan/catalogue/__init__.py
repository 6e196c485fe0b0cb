"""The event table, its increments and the GeoPackage."""

VERSION = 3
"""Raised when results change (`slipscan.versions`)."""
