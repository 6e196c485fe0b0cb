"""Granules of a track put together."""
