"""The streams over HTTP: what is wanted."""
