"""OPERA DISP-S1 displacements of ASF."""
