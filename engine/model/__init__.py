"""MusicGen: load it, its delay pattern, its loss, its adapters."""
