"""Patches of a series that the unwrapping left whole cycles off, from one epoch on, found by their edges.

An error that all interferograms of a date share closes in every triplet, so no closure shows it, and a ready series has
no interferograms at all. What tells it from ground that moved is its edge: all along it displacement jumps by the same
number of half wavelengths from one pixel to the next, in one interval of epochs. What slips, swells or sinks fades out,
or jumps by as much as it slipped there.
"""
