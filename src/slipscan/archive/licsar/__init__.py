"""Interferograms of COMET's LiCSAR."""
