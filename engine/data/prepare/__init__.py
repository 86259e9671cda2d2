"""From raw tracks to a data set: clips, captions and metadata.json, split by track. Imports no torch.

``course.py`` is the whole way from top to bottom.
"""
