"""Slip along mapped faults, looked for by the pattern that it makes in the line of sight."""
