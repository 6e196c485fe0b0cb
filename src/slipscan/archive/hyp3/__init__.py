"""Interferograms ordered at ASF's HyP3: pairs, prices, jobs, products."""
