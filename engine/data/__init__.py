"""From metadata to clips, checked audio and cached codes."""
