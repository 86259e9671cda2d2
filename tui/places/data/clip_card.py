"""The clip under the cursor: its caption in full, its envelope or spectrogram with the playhead."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content

from engine.contract.errors import UserError
from engine.contract.text import plain
from tui.places.data.deck import Deck
from tui.places.data.room import Known
from tui.review import envelope
from tui.text import NONE
from tui.widgets.clips import ClipLook, Clips
from tui.widgets.lines import Lines, frame

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CAPTION_LINES = 2


class Picture(NamedTuple):
    """What a file looks like at a width; ``problem`` says why it cannot be drawn."""

    path: Path
    peaks: tuple[float, ...] | None = None
    mel: NDArray[np.float32] | None = None
    problem: str = ""


class ClipCard(Vertical):
    """Draws; the screen looks pictures up in a thread and hands them in."""

    def __init__(self) -> None:
        super().__init__(id="clip-card", classes="card")
        self.spectrogram = False
        self._picture: Picture | None = None

    def compose(self) -> ComposeResult:
        yield Lines([], id="caption")
        yield Clips(id="wave")

    @property
    def wave(self) -> Clips:
        return self.query_one(Clips)

    def wanted(self, known: Known) -> partial[Picture] | None:
        """What has to be looked up to draw this clip; None when it is there."""
        columns, rows = self.wave.wave_columns, self.wave.rows
        held = self._picture
        if held is not None and held.path == known.clip.audio and not held.problem:
            fits = held.peaks is not None and len(held.peaks) == 2 * columns
            if fits and (held.mel is not None or not self.spectrogram):
                return None
        return partial(_picture, known.clip.audio, columns, rows if self.spectrogram else 0)

    def have(self, picture: Picture) -> None:
        self._picture = picture

    def write(self, known: Known | None, deck: Deck) -> None:
        """Draw the clip; only what changed is sent to the terminal."""
        caption = self.query_one("#caption", Lines)
        if known is None:
            frame(self, "", "")
            caption.show([])
            self.wave.show([])
            return
        frame(self, known.clip.name, "g spectrogram · ,. seek · n next")
        words = (
            Content(plain(known.clip.text))
            if known.clip.text
            else Content.styled("no caption: i writes one", "$warning")
        )
        lines = words.wrap(max(20, caption.size.width))
        caption.show(lines[:CAPTION_LINES], whole=lines if len(lines) > CAPTION_LINES else [])
        self.write_playhead(known, deck)

    def write_playhead(self, known: Known, deck: Deck) -> None:
        position, duration = deck.position(known.clip)
        picture = self._picture if self._picture is not None and self._picture.path == known.clip.audio else None
        length = duration or known.seconds or 0.0
        look = ClipLook(
            letter="♪", heard=True, current=True, value="",
            missing=picture.problem if picture is not None else "",
            playing=deck.playing and position > 0, position=position, duration=length, length=length,
            said=f"{length:.1f} s" if length else NONE,
            peaks=picture.peaks if picture is not None else None,
            mel=picture.mel if picture is not None and self.spectrogram else None,
        )  # fmt: skip
        self.wave.show([look])


def _picture(path: Path, columns: int, rows: int) -> Picture:
    """Envelope, and with ``rows`` the spectrogram, of a file; scaled to its own loudest part."""
    if not path.is_file():
        return Picture(path, problem="the file is missing; x takes the clip out")
    try:
        peaks = envelope.peaks(path, 2 * columns)
        mel = envelope.mel(path, columns, 2 * rows) if rows else None
    except (UserError, OSError):
        return Picture(path, problem="the file cannot be read as audio; x takes the clip out")
    top = max(peaks, default=0.0) or 1.0
    return Picture(path, tuple(peak / top for peak in peaks), mel)
