"""An archive on 127.0.0.1 for tests and demonstrations: the same true scene in the layout of every real archive."""
