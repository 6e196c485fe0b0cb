"""Surface displacement of fault slip and volume change, and their histories in time."""
