"""The services of the contract: which there are, and what answers their requests."""
