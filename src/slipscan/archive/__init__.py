"""From the archives of Sentinel-1 products to datasets in slipscan's units and signs."""

VERSION = 4
"""Raised when results change (`slipscan.versions`)."""
