"""GNSS series beside InSAR events."""
