"""Zones and lines of a stream's picture: who is where, how long, and which way they go."""
