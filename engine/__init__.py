"""Trains LoRA adapters for MusicGen and makes clips with them. Knows no screen; speaks through the run folder."""
