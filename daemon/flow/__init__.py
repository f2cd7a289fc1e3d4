"""What carries any frame from its source to the sinks: workers and lanes, pipelines, queues, receipts, deliveries."""
