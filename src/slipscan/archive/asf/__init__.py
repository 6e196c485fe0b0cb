"""The search client for ASF's catalogue."""
