"""The phases of a run and how far the one that runs has come, by the engine's own times."""

from __future__ import annotations

import time

from textual.content import Content

from tui.runs.follow import Source
from tui.text import STATES, clock, duration, loss
from tui.widgets.lines import Lines, gauge


class ProgressCard(Lines):
    """One line: phase, done of total, bar, share, time left and time of day when it is through."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, classes="card")

    def write(self, source: Source) -> None:
        history, state = source.history, source.state
        width = self.size.width
        look = STATES[state.state]
        if state.state == "waiting":
            self.title("Waiting")
            self.show([Content.styled("no engine has started on this run yet", "$quiet")])
            return
        if state.state != "running":
            self.title(look.word, f"took {duration(history.elapsed)}")
            self.show([self._ended(source)])
            return
        phase = history.phase or "starting"
        done, total = history.phase_progress()
        epoch = f"epoch {history.epoch:.2f}" if phase == "training" and history.epoch == history.epoch else ""
        self.title(phase.capitalize(), epoch if total else f"for {duration(source.now() - history.phase_since)}")
        if not total:
            self.show([Content.styled(f"{phase} …", "$foreground")])
            return
        counted = history.counted
        what = f"{counted.phase}: " if counted and counted.phase not in ("", phase) else ""
        left = f"{what}{done:.0f} of {total:.0f} {(counted and counted.unit) or 'steps'} "
        eta = history.eta()
        right = f" {100 * done / total:3.0f}%"
        if eta == eta:
            right += f"  ETA {duration(eta)}  {clock(time.time() + eta, seconds=eta < 3600)}"
        room = max(4, width - len(left) - len(right))
        self.show([Content.assemble(left, gauge(done / total, room), (right, "$foreground bold"))])

    def _ended(self, source: Source) -> Content:
        history, state = source.history, source.state
        look = STATES[state.state]
        at = f"step {history.step} of {history.total_steps}" if history.total_steps else ""
        parts: list[tuple[str, str] | str] = [(f"{look.glyph} {look.word} ", f"${look.color} bold"), f"{at}"]
        if state.state in ("stopped", "lost", "failed"):
            steps = [step for step, _ in history.checkpoints]
            where = f" · r resumes from step {steps[-1]}" if steps else " · r starts it again"
            parts.append((where, "$accent"))
        if state.state in ("failed", "lost") and state.error:
            parts.append((f" · {state.error}", "$error"))
        if state.state == "done":
            heard = "L listens, N says what next" if history.clips else "e makes its clips"
            parts.append((f" · {heard}", "$accent"))
        if history.best:
            gain = history.best_valid - history.base_valid
            below = f", {abs(gain):.3f} {'below' if gain < 0 else 'above'} the base model" if gain == gain else ""
            parts.append((f" · ★ best {loss(history.best[1])} @{history.best[0]}{below}", "$mark"))
        return Content.assemble(*parts)
