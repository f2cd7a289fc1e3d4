"""The configuration: its model, where it comes from, and how its mistakes are told."""
