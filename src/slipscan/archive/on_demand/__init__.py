"""Interferograms ordered at HyP3: pairs, prices, jobs, products."""
