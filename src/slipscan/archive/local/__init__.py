"""Interferograms and ready series in a directory of the user."""
