"""Proves the card that a run computes on: what works there, what is switched off for it, how fast it is."""
