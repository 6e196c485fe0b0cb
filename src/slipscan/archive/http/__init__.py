"""Files over HTTP: pages, credentials, transfers that resume, and locks."""
