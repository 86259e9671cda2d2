"""Whether a file holds more sound than is read of it, or less than it promises. Looks at bytes, decodes nothing.

libsndfile believes the header of an MP3: one that was written into a pipe has none that tells its length, and of
several files in one only the first is read. A WAV or OGG that was cut off is read as far as it goes, without a word.
"""

from __future__ import annotations

from pathlib import Path

from engine.contract.sound import Header

ENOUGH = 0.98
"""Share of what is there that must be read, and of what was promised that must be there."""
_TAIL = 1 << 16
_OGG_END = 4
_RATES = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""kbit/s by version (1, or 2 for 2 and 2.5) and layer (ISO 11172-3, 13818-3)."""
_HZ = (44100, 48000, 32000)


def shortfall(path: Path, said: Header, seconds: float) -> str:
    """What is missing, in a few words; "" where all is there. ``seconds`` are those that could be read."""
    if seconds < ENOUGH * said.seconds:
        return f"promises {said.seconds:.1f} s and holds {seconds:.1f} s"
    content = path.read_bytes()
    if said.format == "MP3":
        there = _mpeg_seconds(content)
        return f"holds {there:.1f} s, of which {seconds:.1f} s are read" if seconds < ENOUGH * there else ""
    if said.format == "OGG":
        return _ogg(content)
    if content[:4] == b"RIFF":
        return _riff(content)
    return ""


def _riff(content: bytes) -> str:
    at = 12
    while at + 8 <= len(content):
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        if content[at : at + 4] == b"data":
            there = len(content) - at - 8
            # A program that wrote into a pipe did not know the size.
            unknown = size == 0 or size >= 0x7FFFF000
            return "" if unknown or there >= ENOUGH * size else f"was cut off: {there / size:.0%} of it are there"
        at += 8 + size + size % 2
    return ""


def _ogg(content: bytes) -> str:
    last = content.rfind(b"OggS", max(0, len(content) - _TAIL))
    if last < 0 or not content[last + 5 : last + 6] or not content[last + 5] & _OGG_END:
        return "was cut off: its last page is missing"
    if content.rfind(b"OggS\0\2") > _ogg_end(content):
        return "is several files in one, of which the first is read"
    return ""


def _ogg_end(content: bytes) -> int:
    """Where the first page is that ends a stream."""
    at = -1
    while (at := content.find(b"OggS", at + 1)) >= 0:
        if content[at + 5] & _OGG_END:
            return at
    return len(content)


def _mpeg_seconds(content: bytes) -> float:
    """Seconds of the frames of an MPEG audio file, one after another; what is between them is passed over."""
    at, seconds = _after_tag(content), 0.0
    while (at := content.find(b"\xff", at)) >= 0:
        size, lasts = _mpeg_frame(content[at : at + 4])
        if size and (at + size >= len(content) or content[at + size] == 0xFF or content[at + size :][:3] == b"TAG"):
            seconds += lasts
            at += size
        elif content[at:].startswith(b"ID3", 0):
            at = _after_tag(content, at)
        else:
            at += 1
    return seconds


def _after_tag(content: bytes, at: int = 0) -> int:
    if content[at : at + 3] != b"ID3":
        return at
    size = 0
    for byte in content[at + 6 : at + 10]:
        size = size << 7 | byte & 0x7F
    return at + 10 + size


def _mpeg_frame(head: bytes) -> tuple[int, float]:
    """Bytes and seconds of the frame with these four bytes; 0 for what is no frame."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return 0, 0.0
    version, layer, rate, hz = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3), head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer == 4 or rate in (0, 15) or hz == 3:
        return 0, 0.0
    older = version == 3
    hertz = _HZ[hz] // (1 if older else 2 if version == 2 else 4)
    bits = 1000 * _RATES[1 if older else 2, layer][rate - 1]
    padding = head[2] >> 1 & 1
    if layer == 1:
        return 4 * (12 * bits // hertz + padding), 384 / hertz
    samples = 1152 if layer == 2 or older else 576
    return samples // 8 * bits // hertz + padding, samples / hertz
