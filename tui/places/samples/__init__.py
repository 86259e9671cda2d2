"""Samples made while a run trains, by step."""
