"""Bounds by which the engine's verdicts and the panel's advice both judge, so that they never disagree."""

MEMORISED = 0.25
"""A train loss that lies this share of the valid loss below it: the clips are learned by heart, not their style."""
