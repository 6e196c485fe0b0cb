"""Detectors: one file each."""
