"""The prototype of 2021, written from its description."""
