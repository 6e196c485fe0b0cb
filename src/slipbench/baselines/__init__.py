"""What the field had before: methods that stand beside the network in every table."""
