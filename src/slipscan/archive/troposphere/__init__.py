"""Tropospheric delay of every date, from OPERA, GACOS or ERA5."""
