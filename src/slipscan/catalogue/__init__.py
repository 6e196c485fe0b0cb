"""The event table, its increments and the GeoPackage."""
