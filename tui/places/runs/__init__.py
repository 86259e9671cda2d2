"""The list of runs, and the queue."""
