"""Denoisers: one file or folder each."""
