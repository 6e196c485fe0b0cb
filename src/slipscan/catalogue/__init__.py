"""The event table, its increments and the GeoPackage."""

VERSION = 4
"""Raised when results change (`slipscan.versions`)."""
