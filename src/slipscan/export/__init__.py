"""A stack in the formats of other tools."""
