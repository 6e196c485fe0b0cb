"""The displacement field without its atmosphere, with sigma."""
