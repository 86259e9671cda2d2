"""The clips a run learns from: heard, mended, moved; what the checks say of them; words; prompts."""
