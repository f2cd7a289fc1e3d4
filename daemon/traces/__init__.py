"""Traces of frames, records and requests, which are sent to a receiver of OTLP (docs/operations.md)."""
