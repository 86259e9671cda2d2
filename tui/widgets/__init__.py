"""Widgets that more than one place is made of."""
