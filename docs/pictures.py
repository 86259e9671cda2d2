"""Draws the pictures of the README from recorded runs: ``python docs/pictures.py``.

The monitor replays the run that ships with the tests; the clips are tones. ``tour.svg`` shows the pictures one after
another.
"""

from __future__ import annotations

import asyncio
import re
import socket
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from engine.contract import config, liveness  # noqa: E402
from engine.contract.rundir import RunDir  # noqa: E402
from tests.panel import recording  # noqa: E402
from tests.review.clips import make_run  # noqa: E402
from tui.app import PanelApp  # noqa: E402

HERE = Path(__file__).resolve().parent
SIZE = (120, 35)
SECONDS = 3.0
"""How long a picture of the tour is shown."""


def write_runs(folder: Path) -> None:
    """A few days of somebody's work."""
    day = 86400
    recording.recorded(folder / "output_full")
    fix = recording.Recorder(folder / "output_fix", t=recording.START + day, changes=["train.learning_rate=3e-4"])
    fix.begin()
    fix.baseline()
    fix.train(1, 99, nan=97)
    fix.state("failed", error="the loss was no number for 20 steps; lower train.learning_rate")
    changes = ["lora.rank=16", "lora.alpha=32"]
    live = recording.Recorder(folder / "output_epoch1", t=recording.START + 2 * day, changes=changes)
    live.begin()
    live.encode()
    live.baseline()
    live.train(1, 162)
    live.good_health()
    make_run(folder, "clips")


async def picture(runs: Path, keys: Sequence[str], *, wait: float = 1.5, **options: object) -> str:
    """The screen after these keys, as SVG."""
    settings = config.override(config.Settings(), ["audio.output=none", "review.training_item=false"])
    app = PanelApp(runs, settings=settings, listener="anna", **options)  # type: ignore[arg-type]
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause(1.0)
        for key in keys:
            await pilot.press(key)
            await pilot.pause(0.4)
        await pilot.pause(wait)
        return app.export_screenshot(title="mgl-tui")


def tour(pictures: Sequence[str]) -> str:
    """One SVG that shows the pictures in turn, without any script."""
    width, height = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', pictures[0]).groups()  # type: ignore[union-attr]
    share = 100 / len(pictures)
    frames = "".join(
        f'<g class="frame" style="animation-delay:{place * SECONDS:g}s">{one}</g>' for place, one in enumerate(pictures)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"><style>'
        f".frame{{opacity:0;animation:turn {len(pictures) * SECONDS:g}s step-end infinite}}"
        f"@keyframes turn{{0%{{opacity:1}}{share:.3f}%{{opacity:0}}}}</style>{frames}</svg>"
    )


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder) / "runs"
        write_runs(runs)
        live = runs / "output_epoch1"
        with liveness.hold(RunDir(live)):
            drawn = {
                "runs": await picture(runs, []),
                "new-run": await picture(runs, ["n", "right", "down", "right"], wait=5),
                "monitor": await picture(runs, [], open_run=live, mode="monitor"),
                "listen": await picture(runs, ["space", "h", "4", "2"], open_run=runs / "clips", mode="listen", wait=3),
            }
        drawn["monitor-full"] = await picture(runs, ["left"], open_run=runs / "output_full", mode="monitor")
        for name, svg in drawn.items():
            drawn[name] = svg = svg.replace(f"@{socket.gethostname()}:", "@server:")
            (HERE / f"{name}.svg").write_text(svg, encoding="utf-8")
        (HERE / "tour.svg").write_text(tour(list(drawn.values())), encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main())
