"""Transients out of a displacement field, at a stated false-alarm rate."""
