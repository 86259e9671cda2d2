"""What Data looks like: a list above, what is current in it below; three steps where there are no data yet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content
from textual.timer import Timer

from engine.contract.text import plain
from tui import keys
from tui.dataset import words
from tui.places.background import Background
from tui.places.data import rows
from tui.places.data.clip_card import ClipCard, Picture
from tui.places.data.deck import Deck
from tui.places.data.room import SORTS, Key, Known, Look, Room
from tui.places.place import Place
from tui.text import cut
from tui.widgets.field import Field
from tui.widgets.lines import Lines, frame
from tui.widgets.table import Row, Table

DRAW_AFTER = 0.12
"""Seconds that the cursor rests on a clip before its file is read."""
TITLES = {"clips": "Clips", "findings": "Findings", "words": "Words", "prompts": "Prompts"}
_NEEDS_CLIP = ("play", "out", "move", "edit", "next", "seek(-1)", "seek(1)")


class DataPage(Place, Background):
    """The widgets of Data. The screen that it becomes says what stands in them."""

    place = "data"
    CSS_PATH = "data.tcss"

    def __init__(self) -> None:
        super().__init__()
        self.room: Room | None = None
        self.look = Look()
        self.deck = Deck(lambda: self.panel.player)
        self.checking = False
        self.stale = False
        """Something was edited since the checks looked."""
        self.preparing = ""
        """How far the making of clips has come; empty while none are made."""
        self.said = ""
        """What the last edit did."""
        self._listed: list[Known] = []
        self._left_at: Any = None
        self._rows: dict[Key, tuple[Known, int, Row]] = {}
        self._draw_soon: Timer | None = None

    def body(self) -> ComposeResult:
        with Container(id="data-card", classes="card"):
            yield Table(rows.clip_columns(120), id="data")
        with Container(id="data-below"):
            yield ClipCard()
            yield Lines([], id="detail", classes="card")
        with Container(id="first", classes="-hidden"):
            yield Lines([], id="first-steps", classes="card")
        yield Field("caption", id="typed")
        yield Field("words of caption, track, split or finding", id="filter")

    @property
    def clip_card(self) -> ClipCard:
        return self.query_one(ClipCard)

    @property
    def key(self) -> Any:
        """What the current row stands for: a clip's key, a finding's or prompt's number, a word."""
        return self.query_one("#data", Table).key

    def current(self) -> Known | None:
        """The clip under the cursor; None in the other lists."""
        if self.room is None or self.look.view != "clips" or self.key is None:
            return None
        return self.room.known.get(self.key)

    def have_room(self, room: Room) -> None:
        """Show this from now on."""
        self.room = room
        self.write_page()

    def show_look(self, look: Look) -> None:
        """Show another list, or other clips; the cursor goes to the top, and back to where it was among the clips."""
        before, self.look = self.look, look
        if before.view == "clips":
            self._left_at = self.key
        self._arrange()
        if self.room is not None:
            self._write_list(self.room)
        if (before.view, before.only) != (look.view, look.only):
            table = self.query_one("#data", Table)
            table.action_end(-1)
            if look.view == "clips":
                table.go_to(self._left_at)
        self.write_below()

    def offers(self, action: keys.Action) -> bool:
        if action.place != "data":
            return super().offers(action)
        room, name = self.room, action.action
        if room is None or room.problem:
            in_prompts = self.look.view == "prompts" and name in ("edit", "add", "out", "undo")
            return in_prompts or name in ("bring", "folder", "view('prompts')")
        if name == "add":
            return self.look.view == "prompts"
        if name in _NEEDS_CLIP:
            clips = self.current() is not None
            return clips or (name in ("edit", "out") and self.look.view == "prompts" and bool(room.prompts))
        if name == "open":
            return self.look.view in ("findings", "words") and self.key is not None
        if name == "filter":
            return self.look.view in ("clips", "words")
        return name not in ("sort", "fix_split") or self.look.view == "clips"

    # -- writing

    def write_page(self) -> None:
        """Write everything; only what changed is sent to the terminal."""
        if not self.is_mounted:
            return
        self._arrange()
        if self.room is not None:
            self._write_list(self.room)
        self.write_below()

    def _arrange(self) -> None:
        """Show the widgets that the list needs. Not by a class of the screen, which would style all of it anew."""
        room, clips = self.room, self.look.view == "clips"
        first = room is not None and bool(room.problem) and clips
        shown = {
            "#data-card": not first, "#data-below": not first, "#first": first,
            "#clip-card": clips, "#detail": not clips or self.size.width >= 100,
        }  # fmt: skip
        changed = [name for name, show in shown.items() if self.query_one(name).has_class("-hidden") == show]
        for name in changed:
            self.query_one(name).toggle_class("-hidden")
        if changed:
            self.call_after_refresh(self.write_below)  # what wraps has another width now
        if self.focused is None and not first:
            self.call_after_refresh(self.query_one("#data", Table).focus)  # what was hidden has lost it
        if first and room is not None:
            self._write_first(room)

    def _write_list(self, room: Room) -> None:
        table, width = self.query_one("#data", Table), self.size.width
        view = self.look.view
        if view == "clips":
            self._listed = room.listed(self.look)
            shown = self._clip_rows(width)
            table.show(
                shown or [Row(None, [("No clip fits; esc shows all again.", "$quiet")])], rows.clip_columns(width)
            )
        else:
            listed = {
                "findings": lambda: rows.finding_rows(room),
                "words": lambda: rows.word_rows(room.words_like(self.look.filter), room.meant),
                "prompts": lambda: rows.prompt_rows(room),
            }[view]()
            table.show(listed or [Row(None, [(self._nothing(room), "$quiet")])], rows.COLUMNS[view])
        frame(self.query_one("#data-card"), self._title(room), self._subtitle(room))

    def _clip_rows(self, width: int) -> list[Row]:
        # A key that sorts or filters ten thousand clips finds their rows as they were.
        shown, held = [], self._rows
        for known in self._listed:
            kept = held.get(known.key)
            if kept is None or kept[0] is not known or kept[1] != width:
                kept = held[known.key] = known, width, rows.clip_row(known, width)
            shown.append(kept[2])
        return shown

    def _title(self, room: Room) -> str:
        parts = [TITLES[self.look.view]]
        if self.look.view == "clips":
            shown, total = len(self._listed), len(room.clips)
            parts = [f"Clips {total}" if shown == total else f"Clips {shown} of {total}", room.sides]
            parts += [self.look.only.what] if self.look.only is not None else []
        parts += [f"filter: {self.look.filter}"] if self.look.filter else []
        parts.append(
            _home(room.settings.data.dir) if self.look.view != "prompts" else _home(room.settings.evaluate.prompts_file)
        )
        return cut(" · ".join(parts), max(20, self.size.width - 6))

    def _subtitle(self, room: Room) -> str:
        if self.look.view != "clips":
            way = f"{self.look.view[0]} goes back to the clips"
            return f"{cut(self.said, max(20, self.size.width - 40))} · {way}" if self.said else way
        parts = [cut(self.said, max(20, self.size.width - 40))] if self.said else []
        parts += [f"making clips: {self.preparing}"] if self.preparing else []
        if self.checking:
            parts.append("listening to the clips …")
        elif self.stale:
            parts.append("c checks again")
        elif room.checked is not None:
            grave = [sum(f.severity == name for f, _ in room.findings) for name in ("block", "warn")]
            parts.append(f"✘ {grave[0]}  ▲ {grave[1]} · f findings")
        parts.append(f"{SORTS[self.look.sort]} {'↑' if self.look.inverted else '↓'}")
        return " · ".join(parts)

    def _nothing(self, room: Room) -> str:
        if self.look.view == "findings":
            return (
                "The checks are listening; what they find comes here."
                if self.checking
                else "Nothing was checked yet: c."
            )
        if self.look.view == "words":
            return "No caption has a word yet."
        return room.prompts_problem or "No prompt yet: a adds one."

    # -- below

    @on(Table.Moved, "#data")
    def write_below(self) -> None:
        """Write what is current in the list."""
        self.write_clip()
        self._write_detail()
        self.write_keys()

    def write_clip(self) -> None:
        """Draw the clip; its picture comes once the cursor rests on it."""
        known = self.current()
        self.clip_card.write(known, self.deck)
        if self._draw_soon is not None:
            self._draw_soon.stop()
        if known is not None and self.clip_card.wanted(known) is not None:
            self._draw_soon = self.set_timer(DRAW_AFTER, self._draw)

    def _draw(self) -> None:
        known = self.current()
        wanted = self.clip_card.wanted(known) if known is not None else None
        if wanted is not None:
            self.look_up(wanted, self._drawn, group="picture")

    def _drawn(self, picture: Picture) -> None:
        self.clip_card.have(picture)
        self.write_playhead()

    def write_playhead(self) -> None:
        known = self.current()
        if known is not None and self.clip_card.is_mounted:
            self.clip_card.write_playhead(known, self.deck)

    def _write_detail(self) -> None:
        detail = self.query_one("#detail", Lines)
        title, lines = self._detail()
        width = max(20, detail.size.width)
        detail.title(title)
        detail.show([part for line in lines for part in (line.wrap(width) if line.plain else [line])])

    def _detail(self) -> tuple[str, list[Content]]:
        room, key, view = self.room, self.key, self.look.view
        if room is None or key is None:
            return "", []
        if view == "clips":
            known = self.current()
            return ("Faults", _faults(known)) if known is not None else ("", [])
        if view == "findings" and isinstance(key, int) and key < len(room.findings):
            finding, only = room.findings[key]
            count = len(only.keys)
            clips = "the clip" if count == 1 else f"the {count} clips"
            ways = [way for way in (f"enter shows {clips}" if count else "", rows.BY_KEY.get(finding.id, "")) if way]
            lead = [Content.styled(" · ".join(ways), "$accent")] if ways else []
            examples = [Content.styled(plain(example), "$quiet") for example in finding.examples]
            return finding.id, [Content(plain(finding.message)), *lead, Content(plain(finding.fix)), *examples]
        if view == "words":
            return str(key), [Content("enter shows the clips whose captions have it · h replaces it in all of them")]
        if view == "prompts" and isinstance(key, int) and key < len(room.prompts):
            return f"Prompt {key + 1}", [Content(plain(room.prompts[key])), *_repeats(room, key)]
        return "", []

    # -- nothing yet

    def _write_first(self, room: Room) -> None:
        lines = self.query_one("#first-steps", Lines)
        width = max(20, lines.size.width or 70)
        lines.title("No data yet" if not Path(room.settings.data.dir).is_dir() else "No data set here")
        steps = [
            Content.styled(plain(room.problem), "$warning"),
            Content(""),
            Content.assemble(
                ("1  Bring clips   ", "bold"), ("b", "$accent bold"), " cuts your tracks into clips with captions,"
            ),
            Content.assemble(
                "                 ", ("d", "$accent bold"), " opens a folder that holds clips and captions"
            ),
            Content.assemble(("2  Check         ", "bold"), "it happens by itself; every fault leads to its clips,"),
            Content("                 which can be heard, mended and taken out here"),
            Content.assemble(
                ("3  Start         ", "bold"),
                ("t", "$accent bold"),
                " makes a run on them; L listens to what it learned",
            ),
        ]
        if self.preparing:
            steps += [
                Content(""),
                Content.assemble(("making clips: ", "$accent"), self.preparing, ("  esc stops it", "$quiet")),
            ]
        lines.show([part for line in steps for part in (line.wrap(width) if line.plain else [line])])


def _faults(known: Known) -> list[Content]:
    if known.clip.is_out:
        return [Content.styled("taken out: neither trained on nor checked; x brings it back", "$quiet")]
    lines = []
    for finding in known.findings:
        glyph, colour = rows.GLYPHS[finding.severity]
        lines += [
            Content.assemble((f"{glyph} ", colour), plain(finding.message)),
            Content.styled(plain(finding.fix), "$quiet"),
        ]
    return lines or [Content.styled("none found", "$quiet")]


def _about(example: str, known: Known) -> bool:
    """Whether an example of a finding tells of this clip: by its name, or by a word of its caption in quotes."""
    quoted = example.split('"')[1] if example.count('"') > 1 else ""
    return known.clip.name in example or bool(quoted and words.has_word(known.clip.text, quoted))


def _repeats(room: Room, number: int) -> list[Content]:
    if number not in room.repeats:
        return [Content.styled("repeats no caption that is trained on", "$quiet")]
    same, caption = room.repeats[number]
    how = "repeats a training caption word for word: it tests memory" if same else "nearly repeats a training caption"
    return [Content.styled(how, "$error" if same else "$warning"), Content.styled(plain(caption), "$quiet")]


def _home(path: str) -> str:
    home = str(Path.home())
    return f"~{path[len(home) :]}" if path.startswith(home + "/") else path
