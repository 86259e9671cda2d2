"""Next: what to change in the next run, with what speaks for it and against it."""

from __future__ import annotations

import textwrap
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, VerticalScroll
from textual.content import Content

from engine.contract.config import Settings, values
from engine.contract.errors import UserError
from engine.contract.rundir import RunDir
from tui import keys
from tui.places.background import Background
from tui.places.deciding import decide
from tui.places.place import Place, RunChanged, RunsChanged
from tui.review import pooled
from tui.review.advice import advise
from tui.review.results import Results, load_results
from tui.runs.draft import Draft, estimate
from tui.runs.follow import Followed
from tui.runs.history import History
from tui.text import duration, gib, short
from tui.widgets.lines import Lines, frame

EVALUATION_ONLY = "evaluate."
LISTEN_FIRST = "listen-first"


class Advised(NamedTuple):
    """What was read of a run."""

    path: Path
    advice: list[dict[str, Any]]
    settings: Settings | None
    history: History
    results: Results | None
    problem: str
    together: tuple[str, ...] = ()
    """What several listeners say together."""


def read(path: Path, known: History | None = None) -> Advised:
    """Advice on the run in a folder, or why there is none; ``known`` is its history when somebody has read the log."""
    run, results, history = RunDir(path), None, known or History()
    together: tuple[str, ...] = ()
    try:
        results = load_results(path)
        together = tuple(pooled.sentences(results))
    except UserError:
        pass  # A run without clips has advice from its curves.
    try:
        if not run.config.is_file():
            raise UserError(f"{path.name} is a folder of clips without settings: advice needs a run.")
        history = known or History.of(run.events)
        return Advised(path, advise(run.settings(), history, results), run.settings(), history, results, "", together)
    except UserError as error:
        return Advised(path, [], None, history, results, str(error), together)


class NextScreen(Place, Background):
    """Advice on one run."""

    place = "next"
    AUTO_FOCUS = ""
    CSS_PATH = "next.tcss"
    BINDINGS: ClassVar[list[BindingType]] = list(keys.bindings("next"))

    def __init__(self) -> None:
        super().__init__()
        self._path: Path | None = None
        self._advice: list[dict[str, Any]] = []
        self._settings: dict[str, Any] = {}
        """Of the run, by dotted name."""
        self._found: Advised | None = None
        self._results: Results | None = None
        self._problem = ""
        self._chosen = 0
        self._why = False

    def offers(self, action: keys.Action) -> bool:
        if action.action == "choose(1)":
            return len(self._listed()) > 1
        if action.action == "take":
            return self._chosen < len(self._listed()) and bool(self._listed()[self._chosen]["changes"])
        if action.action == "why":
            return bool(self._advice)
        if action.action in ("decide", "export"):
            return self._path is not None
        return super().offers(action)

    def _there(self) -> Path | None:
        """The run that is advised on; says why there is no advice."""
        if self._path is None or self._problem:
            self.notify(self._problem or "The advice is still being looked for.")
        return self._path

    def body(self) -> ComposeResult:
        with VerticalScroll(id="advice-card", classes="card"):
            yield Lines(id="advice")
        with Container(id="taken-card", classes="card"):
            yield Lines(id="taken")

    def on_mount(self) -> None:
        self.query_one("#advice-card", VerticalScroll).can_focus = False

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        self._path = None
        self._read()

    def on_resize(self, event: events.Resize) -> None:
        self._write()

    @on(RunChanged)
    @on(RunsChanged)
    def _read(self) -> None:
        shown = self.panel.shown_path
        path = shown or next((s.path for s in self.panel.summaries if not s.live and not s.foreign), None)
        if path is None:
            self._problem = "No run yet. Train one first: R, then n; or type `mgl-tui demo`."
            self._write()
        elif path != self._path:
            followed = self.panel.shown if isinstance(self.panel.shown, Followed) else None
            if followed and not followed.loaded:
                return  # RunChanged comes when its log is read, which need not be done twice.
            self._path = path
            self.look_up(partial(read, path, followed.history if followed else None), self._have, group="advice")

    def _have(self, found: Advised) -> None:
        if found.path == self._path:
            self._found, self._advice, self._results, self._problem = found, found.advice, found.results, found.problem
            self._settings = values(found.settings) if found.settings else {}
            self._chosen = min(self._chosen, max(0, len(self._listed()) - 1))
            self._write()

    # -- drawing

    def _write(self) -> None:
        if not self.is_mounted:
            return
        self.write_keys()
        card, lines = self.query_one("#advice-card"), self.query_one("#advice", Lines)
        if self._problem or self._path is None:
            frame(card, "Next run")
            lines.show([Content.styled(self._problem, "$quiet")])
            self.query_one("#taken", Lines).show([])
            return
        frame(card, f"Next run · from {self._path.name} ({self._heard()})")
        shown: list[Content] = []
        starts: list[int] = []
        for at, advice in enumerate(self._listed()):
            starts.append(len(shown))
            shown += self._lines_of(at, advice)
        for said in self._found.together if self._found else ():
            shown += [*Content(said).wrap(max(20, self.size.width - 6)), Content("")]
        lines.show([*shown, *self._folded_rules()])
        self.call_after_refresh(self._keep_in_sight, starts)
        self._write_taken()

    def _keep_in_sight(self, starts: list[int]) -> None:
        card = self.query_one("#advice-card", VerticalScroll)
        if not starts:
            return
        top = starts[self._chosen]
        end = starts[self._chosen + 1] if self._chosen + 1 < len(starts) else top + 3
        if top < card.scroll_y:
            card.scroll_to(y=top, animate=False)
        elif end > card.scroll_y + card.size.height:
            card.scroll_to(y=end - card.size.height, animate=False)

    def _heard(self) -> str:
        results = self._results
        if results is None or not results.sessions:
            return "not listened to yet"
        judged = sum(j.value is not None for j in results.judgements)
        early = any(s.revealed and s.revealed.early for s in results.sessions)
        blind = not early and all(j.blind for j in results.judgements)
        return f"{judged} of {len(results.judgements)} judged, {'blind' if blind else 'not blind'}"

    def _listed(self) -> list[dict[str, Any]]:
        """The advice that fires; with the evidence of every rule, all of it."""
        return self._advice if self._why else [advice for advice in self._advice if advice["fires"]]

    def _folded_rules(self) -> list[Content]:
        silent = [advice["rule"] for advice in self._advice if not advice["fires"]]
        if self._why or not silent:
            return []
        count = f"{len(silent)} rules are silent" if len(silent) > 1 else "One rule is silent"
        said = f"{count}: {', '.join(silent)}. w shows what each would need."
        nothing = [] if len(silent) < len(self._advice) else [Content("Nothing speaks for a change of settings.")]
        return [
            *nothing,
            *(Content.styled(line, "$quiet") for line in textwrap.wrap(said, max(20, self.size.width - 8))),
        ]

    def _lines_of(self, at: int, advice: dict[str, Any]) -> list[Content]:
        width = self.size.width - 6
        chosen, fires = at == self._chosen, advice["fires"]
        number = str(at + 1) if fires else "–"
        title = self._changes_words(advice) if advice["changes"] else advice["rule"]
        said = f"rule: {advice['rule']}" if fires else f"{advice['rule']} did not fire"
        style = "$accent bold" if chosen else "bold" if fires else "$quiet"
        gap = " " * max(1, width - 5 - len(title) - len(said))
        lines = [
            Content.assemble(
                ("▸ " if chosen else "  ", "$accent bold"), (f"{number:<3}{title}", style), gap, (said, "$quiet")
            )
        ]
        nothing = ["nothing"] if fires else []
        lines += _folded("for", advice["for"] or nothing, width, "$success")
        lines += _folded("against", advice["against"] or nothing, width, "$warning")
        lines += _folded("needs", [] if fires else [advice["needs"]], width, "$quiet")
        return [*lines, Content("")]

    def _changes_words(self, advice: dict[str, Any]) -> str:
        return ", ".join(
            f"{name.split('.')[-1].replace('_', ' ')} {_value(self._settings.get(name))} → {_value(new)}"
            for name, new in advice["changes"].items()
        )

    def _write_taken(self) -> None:
        card, lines = self.query_one("#taken-card"), self.query_one("#taken", Lines)
        if self._chosen >= len(self._listed()):
            frame(card, "")
            lines.show([])
            return
        advice = self._listed()[self._chosen]
        frame(
            card,
            f"If you take {self._chosen + 1}" if advice["fires"] else f"If you take it all the same: {advice['rule']}",
        )
        changes = advice["changes"]
        if not changes:
            on = "L listens to its clips; then come back." if advice["rule"] == LISTEN_FIRST else ""
            lines.show([Content(f"No setting is the remedy here. {on}")])
            return
        parts: list[tuple[str, str] | str] = []
        for name, new in changes.items():
            old = _value(self._settings.get(name))
            parts += [(f"{name} ", "$quiet"), f"{old} → ", (_value(new), "$accent bold"), "   "]
        shown = [Content.assemble(*parts)]
        if all(name.startswith(EVALUATION_ONLY) for name in changes):
            shown.append(Content("This is about the clips only: no training is needed, the clips are made again."))
            shown.append(Content.styled(_evaluate_line(self._path, changes), "$quiet"))
        else:
            others = sum(a["fires"] for a in self._advice) - advice["fires"]
            rest = f"; {others} other{'s' if others != 1 else ''} stay for the run after" if others else ""
            shown.append(Content(self._takes(changes)))
            shown.append(Content(f"One idea at a time{rest}."))
        shown.append(
            Content.styled("Nothing starts by itself: enter opens the form; ctrl+s there starts it.", "$quiet")
        )
        lines.show(shown)

    def _takes(self, changes: dict[str, Any]) -> str:
        """Time and memory of the run with these changes, from what this machine measured."""
        found = self._found
        if found is None or found.settings is None:
            return ""
        draft = Draft(found.settings, found.path.name, found.path.name)
        try:
            draft.put(changes)
            course = draft.course(found.history.start.train_clips)
        except UserError as error:
            return str(error)
        took = estimate(draft, course, self.panel.summary(found.path), found.history)
        parts = [f"{course.total_steps} steps"]
        if took.train_seconds == took.train_seconds:
            parts.append(f"~{duration(took.train_seconds)} training")
        if took.clip_seconds == took.clip_seconds:
            parts.append(f"~{duration(took.clip_seconds)} making clips")
        if took.memory == took.memory:
            parts.append(f"~{gib(took.memory)} GiB")
        if took.source:
            parts.append(f"({'scaled from' if took.guess else 'as'} {took.source})")
        return "   ".join(parts)

    # -- actions

    def action_choose(self, direction: int) -> None:
        listed = self._listed()
        if self._there() is not None and listed:
            self._chosen = max(0, min(len(listed) - 1, self._chosen + direction))
            self._write()

    def action_why(self) -> None:
        if self._there() is None:
            return
        self._why = not self._why
        self._chosen = max(0, min(self._chosen, len(self._listed()) - 1))
        self._write()

    def action_take(self) -> None:
        path = self._there()
        if path is None or self._chosen >= len(self._listed()):
            return
        advice = self._listed()[self._chosen]
        if advice["changes"]:
            self.panel.open_new_run(path, advice["changes"], f"{advice['rule']}: {_first(advice)}")
        else:
            self.notify(_first(advice))

    def action_decide(self) -> None:
        if self._path is None:
            self._there()
        else:
            decide(self.panel, self.look_up, self._path)

    def action_export(self) -> None:
        from tui.places.export.screen import ExportScreen

        if self._path is None:
            self._there()
        else:
            self.app.push_screen(ExportScreen(self._path))


def _first(advice: dict[str, Any]) -> str:
    return str((advice["for"] or [advice["needs"]])[0])


def _folded(label: str, reasons: list[str], width: int, style: str) -> list[Content]:
    lines = []
    for at, reason in enumerate(reasons):
        folded = Content(reason).wrap(max(20, width - 15))
        for row, part in enumerate(folded):
            lines.append(Content.assemble("     ", (f"{label if not at + row else '':<9}", style), part))
    return lines


def _evaluate_line(path: Path | None, changes: dict[str, Any]) -> str:
    name = path.name if path else "RUN"
    if set(changes) == {"evaluate.repeats"}:
        return f"mgl-tui evaluate {name} --repeats {changes['evaluate.repeats']} --set-name more"
    return "enter opens it as a new run with these settings"


def _value(value: Any) -> str:
    return short(value) if isinstance(value, float) else "–" if value is None else str(value)
