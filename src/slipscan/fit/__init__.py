"""Least squares that every stage shares: background of a pixel, delay of an epoch, ramps in time, robust scales."""
