"""From interferograms to a displacement stack."""
