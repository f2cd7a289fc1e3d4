"""Frames that come from Kafka: a consumer's partitions, their sessions, and what makes a record count as done."""
