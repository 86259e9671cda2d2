"""One run, live or as it was."""
