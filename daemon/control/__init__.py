"""What is wanted and what runs: the one reconciler makes them equal."""
