"""Every key of the panel, once: bindings, footer, help, palette and the README's table are made from this table.

One rule to learn: capitals go places, small letters act here, digits score. Space plays, ? helps, / filters,
: or ctrl+p opens the palette, esc goes back, q leaves and the run goes on. No action has only a ctrl combination.
"""

from __future__ import annotations

import ast
import unicodedata
from collections.abc import Callable, Container, Iterable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from textual.binding import Binding


class Action(NamedTuple):
    """One thing a key does in one place."""

    place: str
    """Screen it belongs to, a key of PLACES."""
    keys: str
    """Textual key names, comma separated; the first is the one that is shown."""
    action: str
    """Textual action on that screen (or on the app, for "everywhere")."""
    label: str
    """One or two words for the footer and the palette; empty keeps it out of both."""
    meaning: str
    """The sentence in the help and in the README."""
    hint: int = 0
    """Rank in the footer: 1 stays longest when the terminal is narrow, 0 is not shown there."""

    @property
    def does(self) -> str:
        """The action without its argument."""
        return self.action.partition("(")[0]


PLACES = {
    "everywhere": "Everywhere",
    "runs": "Runs",
    "queue": "Queue",
    "new_run": "New run",
    "data": "Data",
    "monitor": "Monitor",
    "listen": "Listen",
    "samples": "Samples",
    "sound": "Sound",
    "compare": "Compare",
    "next": "Next",
    "try": "Try",
    "export": "Export",
}

DIALOGS = ("export", "sound")
"""Places that lie above another one."""

ACTIONS: list[Action] = [
    Action("everywhere", "R", "go('runs')", "Runs", "Go to Runs, the list of all runs."),
    Action(
        "everywhere",
        "M",
        "go('monitor')",
        "Monitor",
        "Go to Monitor, the curves and the health of one run; once more: of the next that trains.",
    ),
    Action(
        "everywhere",
        "L",
        "go('listen')",
        "Listen",
        "Go to Listen, the blind listening session; from marked runs: one across them.",
        3,
    ),
    Action("everywhere", "C", "go('compare')", "Compare", "Go to Compare, the marked runs side by side."),
    Action("everywhere", "N", "go('next')", "Next", "Go to Next, what to change in the next run and why."),
    Action("everywhere", "T", "go('try')", "Try", "Go to Try: type a prompt and hear it."),
    Action("everywhere", "D", "go('data')", "Data", "Go to Data: the clips that runs learn from, and what is wrong."),
    Action("everywhere", "question_mark", "help", "help", "Show or hide this help.", 1),
    Action("everywhere", "W", "whole", "whole text", "Read in full what this screen has no room for.", 2),
    Action("everywhere", "colon,ctrl+p", "palette", "palette", "Open the palette: every action by name."),
    Action("everywhere", "escape", "back", "", "Go back: close what is on top, then to Runs."),
    Action("everywhere", "q", "leave", "quit", "Leave the panel; a run that trains goes on.", 9),
    # Runs
    Action("runs", "enter", "open", "open", "Open the run in Monitor, or in Listen if it only holds clips.", 2),
    Action("runs", "n", "new", "new from this", "Make a new run that starts from this one's settings.", 3),
    Action("runs", "r", "resume", "resume", "Resume a stopped, failed or lost run from its last checkpoint.", 4),
    Action("runs", "s", "stop", "stop…", "Stop the run: save and stop, stop after validation, or kill.", 4),
    Action("runs", "space", "mark", "mark", "Mark the run for Compare and for Listen, or take the mark off.", 5),
    Action(
        "runs", "slash", "filter", "filter", "Filter by name, comment, state or setting; an empty filter shows all.", 5
    ),
    Action("runs", "o", "sort", "sort", "Sort by the next column.", 7),
    Action("runs", "i", "invert", "", "Turn the order of the sorting round."),
    Action("runs", "e", "export", "export", "Export the run's notes, as markdown or as a page that plays.", 7),
    Action("runs", "m", "rename", "rename", "Give the run another name; what knows it by the old one learns it.", 8),
    Action("runs", "c", "comment", "comment", "Write a line on the run, which the list shows.", 6),
    Action("runs", "d", "remove", "delete…", "Delete: its checkpoints, the run, or all of the archive; it asks.", 8),
    Action("runs", "x", "archive", "archive", "Move the run to the archive folder, or bring it back.", 8),
    Action("runs", "z", "archived", "", "Show the archive instead of the runs, and back."),
    Action("runs", "p", "open_path", "", "Open a folder of clips made by another script, by its path."),
    Action("runs", "Q", "queue", "queue", "Go to the queue: the runs that wait for the GPU.", 8),
    # Queue
    Action("queue", "u", "earlier", "earlier", "Move the run one place forward.", 2),
    Action("queue", "d", "later", "later", "Move the run one place back.", 2),
    Action("queue", "x", "remove", "take out…", "Take the run, or all, out of the queue; the folders stay.", 3),
    Action("queue", "r", "start", "start queue", "Start the queue if it stands still, such as after a reboot.", 3),
    # New run
    Action("new_run", "enter", "edit", "type", "Type a value for the setting; on the row start, start the run.", 2),
    Action("new_run", "left", "step(-1)", "", "Take the next smaller value."),
    Action("new_run", "right", "step(1)", "◂▸ step", "Take the next larger value.", 2),
    Action("new_run", "v", "vary", "several", "Give the setting several values, with commas: a sweep in the queue.", 3),
    Action("new_run", "d", "base_value", "base", "Put the setting back to the value of the base run.", 4),
    Action("new_run", "u", "all_base", "all base", "Put every setting back to the base run.", 7),
    Action("new_run", "slash", "find", "find", "Find a setting by name.", 5),
    Action("new_run", "p", "preset", "preset", "Apply a preset: one-epoch gate, stability, more capacity, longer.", 5),
    Action("new_run", "y", "copy", "copy", "Copy the run as a command line.", 6),
    Action("new_run", "c", "check", "", "Run the checks again."),
    Action("new_run", "ctrl+s", "start", "start", "Start the run now, as enter does on the row start.", 2),
    Action("new_run", "Q", "enqueue", "queue", "Put the run in the queue; it starts when the GPU is free.", 3),
    # Data
    Action("data", "space", "play", "play", "Play the clip, or stop.", 2),
    Action("data", "enter", "open", "open", "Show the clips of the finding or word; edit the caption or prompt.", 2),
    Action("data", "i", "edit", "edit", "Edit the caption of the clip, or the prompt; enter keeps it at once.", 3),
    Action("data", "x", "out", "out / in", "Take the clip out of the data set, or back in; or the prompt out.", 3),
    Action("data", "m", "move", "move track", "Move the clip to the other side of the split, with all its track.", 4),
    Action("data", "u", "undo", "undo", "Take the last edit back.", 4),
    Action("data", "f", "view('findings')", "findings", "Show what the checks found; enter leads to the clips.", 3),
    Action("data", "w", "view('words')", "words", "Show the words of the captions with their counts.", 5),
    Action("data", "p", "view('prompts')", "prompts", "Show the prompts, and which of them repeat a caption.", 5),
    Action("data", "h", "replace", "replace", "Replace a word in all captions; the lines are shown first.", 5),
    Action("data", "a", "add", "add", "Add a prompt.", 3),
    Action("data", "slash", "filter", "filter", "Filter by caption, track, split or finding; words must all fit.", 6),
    Action("data", "o", "sort", "sort", "Sort by the next column.", 7),
    Action("data", "v", "invert", "", "Turn the order of the sorting round."),
    Action("data", "n", "next", "next", "Play the next clip.", 7),
    Action("data", "comma", "seek(-1)", "", "Go one second back."),
    Action("data", "full_stop", "seek(1)", ",. seek", "Go one second on.", 8),
    Action("data", "0", "restart", "", "Play from the beginning."),
    Action("data", "g", "spectrogram", "", "Show the spectrogram of the clip, or its waveform."),
    Action("data", "F", "fix_split", "split by track", "Split anew by track, as `mgl-tui check --fix-split` does.", 8),
    Action("data", "c", "check", "", "Check again."),
    Action("data", "d", "folder", "folder", "Open another data folder; an empty line goes back to the run's.", 7),
    Action("data", "b", "bring", "bring clips", "Make clips and captions of tracks, with `mgl-tui prepare`.", 8),
    Action("data", "t", "train", "train", "Make a new run on these data.", 8),
    Action("data", "r", "sound", "", "Sound: which way it takes, a chirp to prove it, how to get it."),
    # Monitor
    Action("monitor", "s", "stop", "stop…", "Stop the run: save and stop, stop after validation, or kill.", 2),
    Action("monitor", "k", "save_now", "save now", "Write a checkpoint at the end of this step.", 3),
    Action("monitor", "v", "validate_now", "valid now", "Validate at the end of this step.", 3),
    Action("monitor", "r", "resume", "resume", "Resume a stopped, failed or lost run from its last checkpoint.", 3),
    Action("monitor", "e", "evaluate", "", "Make the clips of a run that has none yet."),
    Action("monitor", "m", "samples", "samples", "Hear the samples made while it trains, each prompt by step.", 4),
    Action("monitor", "plus,equals_sign", "smooth(1)", "+− smooth", "Smooth the loss more.", 5),
    Action("monitor", "minus", "smooth(-1)", "", "Smooth the loss less."),
    Action("monitor", "y", "log_y", "log y", "Logarithmic or linear loss axis.", 6),
    Action("monitor", "x", "axis", "x axis", "Step, clips seen or time along the x axis.", 8),
    Action("monitor", "g", "second", "second", "Second chart: learning rate, gradient norm, throughput, memory.", 7),
    Action("monitor", "left", "cursor(-1)", "", "Move the cursor to the left; its values stand in the title."),
    Action("monitor", "right", "cursor(1)", "←→ cursor", "Move the cursor to the right.", 7),
    Action("monitor", "i", "zoom(1)", "", "Zoom in on the cursor, or on the end of the run."),
    Action("monitor", "o", "zoom(-1)", "", "Zoom out."),
    Action("monitor", "a", "zoom(0)", "", "Show the whole run and put the cursor away."),
    Action("monitor", "f", "follow", "follow", "Let the log follow its end, or hold it.", 6),
    Action("monitor", "l", "full_log", "log", "Log over the whole screen, and back.", 6),
    Action("monitor", "w", "wrap", "", "Wrap long lines of the log, or cut them."),
    Action("monitor", "slash", "search", "", "Search the log."),
    Action("monitor", "n", "search_next", "", "Go to the next place found in the log."),
    Action("monitor", "p", "search_previous", "", "Go to the previous place found in the log."),
    Action("monitor", "up", "scroll_log(-1)", "", "Scroll the log back."),
    Action("monitor", "down", "scroll_log(1)", "", "Scroll the log on."),
    # Listen
    Action("listen", "space", "play", "play", "Play or stop.", 2),
    Action("listen", "a", "switch('A')", "", "Switch to clip A at the same position."),
    Action("listen", "b", "switch('B')", "abc switch", "Switch to clip B at the same position.", 3),
    Action("listen", "c", "switch('C')", "", "Switch to clip C at the same position."),
    Action("listen", "d", "switch('D')", "", "Switch to clip D at the same position, where there is one."),
    Action("listen", "left", "clip(-1)", "", "Go to the clip before; what plays goes on at the same position."),
    Action("listen", "right", "clip(1)", "", "Go to the next clip; what plays goes on at the same position."),
    Action("listen", "comma", "seek(-1)", "", "Go one second back."),
    Action("listen", "full_stop", "seek(1)", ",. seek", "Go one second on.", 5),
    Action("listen", "0", "restart", "", "Play from the beginning."),
    Action("listen", "n", "next_unheard", "next", "Play the next clip that was not heard yet.", 6),
    Action("listen", "o", "loop", "loop", "Loop the clip, or play it once.", 7),
    Action("listen", "left_square_bracket", "loop_from", "", "Begin a loop here."),
    Action("listen", "right_square_bracket", "loop_to", "", "End the loop here."),
    Action("listen", "g", "spectrogram", "", "Show the spectrogram of clips that were heard, or the waveform."),
    Action("listen", "1", "score(1)", "", "Score the clip 1: bad."),
    Action("listen", "2", "score(2)", "", "Score the clip 2."),
    Action("listen", "3", "score(3)", "", "Score the clip 3."),
    Action("listen", "4", "score(4)", "", "Score the clip 4."),
    Action("listen", "5", "score(5)", "1-5 score", "Score the clip 5: very good (or its rank, when ranking).", 3),
    Action(
        "listen",
        "enter",
        "go_on",
        "go on",
        "Go on to the next clip that is not judged; after the last, show the names.",
        4,
    ),
    Action("listen", "x", "all_bad", "", "When ranking: all clips of this prompt are bad."),
    Action(
        "listen", "t", "tag", "tag", "Tag the clip: t, then the tag's letter; capitals before it (t B C) name clips.", 4
    ),
    Action("listen", "i", "note", "note", "Write a note on the clip.", 5),
    Action(
        "listen", "h", "heard_elsewhere", "heard elsewhere", "Say that this prompt's clips were heard elsewhere.", 6
    ),
    Action("listen", "u", "undo", "undo", "Undo the last score, tag or note.", 7),
    Action("listen", "up", "prompt(-1)", "", "Go to the previous prompt."),
    Action("listen", "down", "prompt(1)", "↑↓ prompt", "Go to the next prompt.", 4),
    Action("listen", "j", "decide", "decide", "Decide: extend, adjust or stop, with the reason.", 8),
    Action("listen", "V", "reveal", "reveal", "Show the names before all is scored; the notes say so.", 8),
    Action("listen", "e", "export", "export", "Export the notes, as markdown or as a page that plays.", 6),
    Action("listen", "r", "sound", "sound", "Sound: which way it takes, a chirp to prove it, how to get it.", 7),
    Action("listen", "s", "prompt_set", "", "Go to the next prompt set of the run."),
    Action("listen", "w", "listener", "", "Another listener: each has an order and a file of their own."),
    Action("listen", "m", "samples", "samples", "Samples made while training: each prompt by step, not blind.", 6),
    # Samples
    Action("samples", "space", "play", "play", "Play or stop.", 2),
    Action("samples", "left", "step(-1)", "←→ step", "Go to the step before; what plays goes on where it is.", 2),
    Action("samples", "right", "step(1)", "", "Go to the next step; what plays goes on where it is."),
    Action("samples", "x", "swap", "swap", "Back to the step that was chosen before this one; again, and here.", 3),
    Action("samples", "up", "prompt(-1)", "", "Go to the previous prompt."),
    Action("samples", "down", "prompt(1)", "↑↓ prompt", "Go to the next prompt.", 3),
    Action("samples", "comma", "seek(-1)", "", "Go one second back."),
    Action("samples", "full_stop", "seek(1)", ",. seek", "Go one second on.", 6),
    Action("samples", "0", "restart", "", "Play from the beginning."),
    Action("samples", "o", "loop", "loop", "Loop the clip, or play it once.", 7),
    Action("samples", "r", "sound", "sound", "Sound: which way it takes, a chirp to prove it, how to get it.", 7),
    # Sound
    Action("sound", "r", "cycle", "next way", "Try the next way for the sound.", 2),
    Action("sound", "p", "prove", "chirp", "Play a chirp and listen to it coming back where that can be done.", 2),
    Action("sound", "y", "answer(True)", "", "Yes, the chirp was heard."),
    Action("sound", "n", "answer(False)", "", "No, the chirp was not heard."),
    # Compare
    Action("compare", "x", "axis", "axis", "Step, clips seen or time along the x axis.", 2),
    Action("compare", "equals_sign", "all_rows", "all rows", "Show all settings, or only those that differ.", 3),
    Action("compare", "space", "play", "play", "Play or stop the prompt's clip.", 4),
    Action("compare", "a", "switch(-1)", "", "Switch to the previous run's clip."),
    Action("compare", "b", "switch(1)", "ab switch", "Switch to the next run's clip.", 4),
    Action("compare", "up", "prompt(-1)", "", "Go to the previous prompt."),
    Action("compare", "down", "prompt(1)", "↑↓ prompt", "Go to the next prompt.", 5),
    Action("compare", "pagedown", "page(1)", "", "Scroll the settings on."),
    Action("compare", "pageup", "page(-1)", "", "Scroll the settings back."),
    Action("compare", "m", "model", "model", "Compare the best or the final models of the runs.", 5),
    Action("compare", "e", "export", "export", "Export the comparison as markdown.", 6),
    Action("compare", "r", "sound", "", "Sound: which way it takes, a chirp to prove it, how to get it."),
    # Next
    Action("next", "up", "choose(-1)", "", "Go to the advice before."),
    Action("next", "down", "choose(1)", "↑↓ choose", "Go to the next advice.", 2),
    Action("next", "enter", "take", "open as new run", "Open the advice as a new run, ready to be looked over.", 2),
    Action("next", "j", "decide", "decide", "Decide: extend, adjust or stop, with the reason.", 3),
    Action("next", "w", "why", "why", "Show or hide the evidence of every rule.", 3),
    Action("next", "e", "export", "export", "Export the notes, as markdown or as a page that plays.", 5),
    # Try
    Action("try", "enter", "type", "type a prompt", "Type a prompt; enter makes its clips by base and best.", 2),
    Action("try", "c", "caption", "caption", "Begin the prompt with a caption of the training set.", 6),
    Action("try", "f", "four", "four", "Make four variations of this prompt, each with the next seed.", 5),
    Action("try", "space", "play", "play", "Play or stop.", 2),
    Action("try", "a", "other(-1)", "", "Switch to the prompt's clip before, at the same position."),
    Action("try", "b", "other(1)", "ab switch", "Switch to the prompt's next clip, at the same position.", 3),
    Action("try", "left", "strength(-1)", "", "Less of the adapter: at 0 it is the base model."),
    Action("try", "right", "strength(1)", "←→ strength", "More of the adapter, up to 1.5; 1 is as it was trained.", 3),
    Action("try", "n", "new_seed", "new seed", "Another seed for every prompt, or the same one for all.", 6),
    Action("try", "o", "options", "settings", "Type models, seconds, guidance, temperature, top-k or seed.", 4),
    Action("try", "v", "blind", "", "Hide which clip is which and mix them, or show it."),
    Action("try", "k", "keep", "keep", "Keep the clip as WAV or FLAC, with its settings in its tags.", 5),
    Action("try", "p", "take_up", "to prompts", "Put the prompt into the run's prompts file.", 7),
    Action("try", "u", "cpu", "", "Make clips on the CPU, so that a run keeps the GPU, or where there is room."),
    Action("try", "r", "sound", "", "Sound: which way it takes, a chirp to prove it, how to get it."),
    # Export
    Action("export", "enter", "write", "write", "Write the files.", 2),
    Action("export", "h", "tick('html')", "", "Write a page to send as well, one file that plays the clips, or not."),
    Action("export", "c", "tick('csv')", "", "Write the scores as CSV as well, or not."),
    Action("export", "j", "tick('json')", "", "Write everything as JSON as well, or not."),
    Action("export", "y", "copy", "copy path", "Copy the path of the notes.", 3),
]

_SHOWN = {
    "question_mark": "?", "slash": "/", "colon": ":", "plus": "+", "minus": "-", "equals_sign": "=", "comma": ",",
    "full_stop": ".",
    "left_square_bracket": "[", "right_square_bracket": "]",
    "escape": "esc", "left": "←", "right": "→", "up": "↑", "down": "↓",
}  # fmt: skip
_LABEL_HAS_KEYS = ("◂▸ ", "+− ", "←→ ", "↑↓ ", ",. ", "1-5 ", "abc ", "ab ")


def of(place: str) -> list[Action]:
    """The actions of one place, in the order of the help."""
    return [action for action in ACTIONS if action.place == place]


def bindings(place: str) -> list[Binding]:
    """Textual bindings of one place."""
    from textual.binding import Binding

    found = [Binding(a.keys, a.action, a.label or a.meaning, show=False) for a in of(place)]
    if place in DIALOGS:
        # A dialog hears none of the app's keys, so it brings those that it needs.
        taken = {key for a in of(place) for key in a.keys.split(",")}
        closing = [key for key in ("escape", "q") if key not in taken]
        found += [Binding(",".join(closing), "dismiss", show=False), Binding("question_mark", "app.help", show=False)]
    return found


def shown(keys: str) -> str:
    """A key as it is written for a person: "question_mark,f1" -> "? f1"."""
    return " ".join(_SHOWN.get(key, key) for key in keys.split(","))


class Hint(NamedTuple):
    """What the footer says of an action."""

    key: str
    label: str
    action: Action


def hints(place: str, width: int, offers: Callable[[Action], bool] = lambda action: True) -> list[Hint]:
    """Footer of a place in the order of the table, the lowest ranks dropped until they fit in width.

    ``offers`` leaves out what would do nothing now.
    """
    chosen = [a for a in (*of(place), *of("everywhere")) if a.hint and offers(a)]
    # Help stands at the end in every place, where the eye looks for it.
    told = [_hint(a) for a in chosen]
    while told and sum(len(hint.key) + len(hint.label) + 3 for hint in told) > width:
        told.remove(max(told, key=lambda hint: (hint.action.hint, ACTIONS.index(hint.action))))
    return told


def _hint(action: Action) -> Hint:
    for keys in _LABEL_HAS_KEYS:
        if action.label.startswith(keys):
            return Hint(keys.strip(), action.label.removeprefix(keys), action)
    return Hint(shown(action.keys.split(",")[0]), action.label, action)


def markdown(places: Iterable[str] = PLACES) -> str:
    """The table of the README."""
    lines = ["| where | key | does |", "|---|---|---|"]
    for place in places:
        for action in of(place):
            keys = " ".join(f"`{shown(key)}`" for key in action.keys.split(","))
            lines.append(f"| {PLACES[place]} | {keys} | {action.meaning} |")
    return "\n".join(lines)


_IN_A_BROWSER = {
    "space": " ", "enter": "Enter", "left": "ArrowLeft", "right": "ArrowRight", "up": "ArrowUp", "down": "ArrowDown",
    "question_mark": "?", "comma": ",", "full_stop": ".", "left_square_bracket": "[", "right_square_bracket": "]",
}  # fmt: skip


def for_pages(place: str, can: Container[str]) -> list[dict[str, object]]:
    """What a browser's script needs of the keys of a place, for those actions that it ``can``: the key's names there
    and here, the action and its argument, and the sentence of the help.
    """
    found: list[dict[str, object]] = []
    for action in (*of(place), *of("everywhere")):
        if action.does in can:
            argument = action.action[len(action.does) :].strip("()")
            of_page = {"does": action.does, "with": ast.literal_eval(argument) if argument else None}
            found += [
                {"key": _IN_A_BROWSER.get(key, key), "shown": shown(key), **of_page, "meaning": action.meaning}
                for key in action.keys.split(",")
            ]
    return found


def ascii_text(text: str) -> str:
    """Text with its full-width characters as their ASCII twins: for numbers and names."""
    return "".join(map(ascii_twin, text))


def ascii_twin(character: str) -> str:
    """The ASCII twin of a full-width character of an East Asian input method; any other comes back as it is."""
    if character == "。":
        return "."
    twin = unicodedata.normalize("NFKC", character)
    full_width = len(character) == 1 and ("！" <= character <= "～" or character in "　、")
    if character == "、":
        return ","
    return twin if full_width and len(twin) == 1 and twin.isascii() else character
