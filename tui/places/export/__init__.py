"""The notes of a run, shown and written."""
