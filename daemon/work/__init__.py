"""What is done with frames: chains, tracks, and the documents and events that come of them."""
