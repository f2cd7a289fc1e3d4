"""`visaged evaluate`: how often the answers are right, on labelled pictures and clips."""
