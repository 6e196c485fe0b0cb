"""The event table, its increments and the GeoPackage."""

VERSION = 2
"""Raised when results change (`slipscan.versions`)."""
