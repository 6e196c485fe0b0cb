"""The skill of a catalogue against a known truth."""
