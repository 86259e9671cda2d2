"""What a check found of each clip, as ``check --json`` prints it under "clips" and the panel reads it."""

from __future__ import annotations

import msgspec


class CheckedClip(msgspec.Struct, kw_only=True):
    """One entry of the metadata, in its order; the numbers are 0 (``lufs`` null) where the file cannot be read."""

    name: str
    """The audio's path as the metadata writes it; findings name their clips by it."""
    split: str
    """"train", "valid", or another folder's name, which training leaves alone."""
    track: str
    """Equal for clips that are pieces of one track, by their names or because they share audio."""
    seconds: float = 0.0
    lufs: float | None = None
    """Integrated loudness (BS.1770); null for silence."""
    sample_rate: int = 0
    """Hz"""
    channels: int = 0
    caption: str = ""
    findings: list[str] = []
    """Ids of the findings with severity block or warn that concern this clip."""
