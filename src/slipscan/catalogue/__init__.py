"""The event table, its increments and the GeoPackage."""

VERSION = 6
"""Raised when results change (`slipscan.versions`)."""
