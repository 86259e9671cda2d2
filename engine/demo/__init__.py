"""The embedded demo model: a small MusicGen trained from nothing on music that this package synthesises."""

from pathlib import Path


def model_path() -> Path:
    """Folder of the embedded model, for `from_pretrained` (16 kHz mono, 25 frames/s, 4 codebooks of 512)."""
    return Path(__file__).parent / "weights"
