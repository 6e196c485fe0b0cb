"""A synthetic region in place of an archive."""
