"""What made a transient."""
