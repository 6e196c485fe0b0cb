"""From the archives of Sentinel-1 products to datasets in slipscan's units and signs."""
