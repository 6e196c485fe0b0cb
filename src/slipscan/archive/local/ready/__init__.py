"""Displacement series that other tools made."""
