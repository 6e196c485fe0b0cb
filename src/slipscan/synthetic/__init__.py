"""Labelled synthetic scenes and named scenarios."""
