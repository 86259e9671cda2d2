"""Export: what goes into the notes and where they are written."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.content import Content

from engine.contract.errors import UserError
from engine.contract.rundir import RunDir
from tui import keys
from tui.places.background import Background
from tui.places.dialogs import Dialog
from tui.review import notes
from tui.review.results import load_results
from tui.widgets.lines import Lines, frame


class ExportScreen(Dialog[None], Background):
    """Writes the notes of a run, or of a folder of clips."""

    place = "export"
    CSS_PATH = "export.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("export"), ("escape,q", "dismiss")]

    def __init__(self, path: Path, set_name: str | None = None) -> None:
        super().__init__()
        self._run, self._set = notes.home(RunDir(path), set_name)
        self._notes = notes.notes_path(self._run, self._set)
        self._blind = _open_session(path, self._set)
        self._formats = {"md": True, "html": False, "csv": False, "json": False}

    def compose(self) -> ComposeResult:
        with Container(id="export", classes="card") as card:
            title = f"Export · {self._run.name}" + (f" · {self._set}" if self._set else "")
            frame(card, title, "enter writes · y copies the path · esc")
            yield Lines(self._lines())

    def _lines(self) -> list[Content]:
        def line(ticked: bool, key: str, name: str, meaning: str) -> Content:
            box = ("[x] ", "$success") if ticked else ("[ ] ", "$quiet")
            return Content.assemble(box, (f"{key:<2}", "$accent bold"), f"{name:<{width}}", (meaning, "$quiet"))

        path = self._notes
        width = len(path.name) + 4
        names = "names are still hidden in an open session; the notes show them" if self._blind else ""
        there = "exists: what you wrote in it stays" if path.exists() else "a new file"
        lines = [
            line(True, "", path.name, "results, scores, tags, notes, curve, settings"),
            line(self._formats["html"], "h", path.with_suffix(".html").name, "a page to send: plays the clips"),
            line(self._formats["csv"], "c", path.with_suffix(".csv").name, "one line a judged clip"),
            line(self._formats["json"], "j", path.with_suffix(".json").name, "all of it, for a script"),
            Content(""),
            Content.assemble(("to  ", "$quiet"), str(path)),
            Content.styled(f"    {there}", "$quiet"),
            *([Content.styled(names, "$warning")] if names else []),
        ]
        return lines

    def _write_lines(self) -> None:
        self.query_one(Lines).show(self._lines())

    def action_tick(self, name: str) -> None:
        self._formats[name] = not self._formats[name]
        self._write_lines()

    def action_write(self) -> None:
        chosen = [name for name, wanted in self._formats.items() if wanted]
        self.look_up(lambda: self._export(chosen), self._done, group="export")

    def _export(self, formats: list[str]) -> list[Path] | UserError:
        try:
            return notes.export(self._run, formats=formats, set_name=self._set)
        except UserError as error:
            return error

    def _done(self, found: list[Path] | UserError) -> None:
        if isinstance(found, UserError):
            self.notify(str(found), severity="error")
            return
        self.app.notify("Written: " + ", ".join(str(path) for path in found))
        self.dismiss()

    def action_copy(self) -> None:
        self.app.copy_to_clipboard(str(self._notes))
        self.notify(f"Copied: {self._notes}")


def _open_session(path: Path, set_name: str | None) -> bool:
    """Somebody listens blind at the moment: not all is judged and the names were not shown."""
    try:
        results = load_results(path, set_name)
    except UserError:
        return False
    return len(results.finished().sessions) < len(results.sessions)
