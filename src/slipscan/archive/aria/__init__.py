"""ARIA-S1-GUNW interferograms of ASF."""
