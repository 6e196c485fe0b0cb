"""Training of any network: scenes, optimiser, checkpoints, validation."""
