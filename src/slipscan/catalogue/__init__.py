"""The event table, its increments and the GeoPackage."""

VERSION = 5
"""Raised when results change (`slipscan.versions`)."""
