"""What the atmosphere does in a region: estimate and simulate."""
