"""Draws the pictures of the README: ``python docs/pictures.py`` (a few minutes; needs PulseAudio).

What they show is real: a round of the demo is trained, its clips are made, and they sound through a null sink that
proves it. Colours are those of the default theme, whatever terminal this runs in. ``tour.svg`` shows the pictures one
after another.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

os.environ.update(COLORTERM="truecolor", TERM="xterm-256color", TEXTUAL_ANIMATIONS="none")
os.environ.pop("NO_COLOR", None)

from engine.contract import config, liveness  # noqa: E402
from engine.contract.rundir import RunDir  # noqa: E402
from tests.audio.parts import Pulse  # noqa: E402
from tui.app import PanelApp  # noqa: E402

HERE = Path(__file__).resolve().parent
SIZE = (120, 35)
SECONDS = 3.0
"""How long a picture of the tour is shown."""
WORK, SHOWN = Path("/tmp/music"), "/srv/music"
"""Where the round is made, and what is shown of it: as long, so that no frame moves."""


def mgl_tui(*words: str) -> None:
    subprocess.run([Path(sys.executable).with_name("mgl-tui"), *words], cwd=WORK, check=True)


def make_round() -> Path:
    """The demo's run, one made from it, and the first once more as it was in the middle of its training."""
    mgl_tui("demo", "--headless")
    runs = WORK / "runs"
    settings = str(runs / "demo" / "config.toml")
    mgl_tui(
        "train", "--config", settings, "--runs", str(runs), "--name", "rank-24", "--set", "lora.rank=24",
        "--set", "lora.alpha=48", "--set", "train.epochs=5", "--set", "run.parent=demo",
        "--set", "run.why=generic on 3 of 8 clips",
    )  # fmt: skip
    shutil.copytree(runs / "demo", runs / "rank-16")
    for file, mark in (("events.jsonl", '"step": 70,'), ("engine.log", "step 70 ")):
        lines = (runs / "rank-16" / file).read_text().splitlines(keepends=True)
        until = next(place for place, line in enumerate(lines) if mark in line)
        (runs / "rank-16" / file).write_text("".join(lines[:until]))
    return runs


async def picture(
    runs: Path, keys: Sequence[str | Callable[[PanelApp], object]], *, pause: float = 0.5, **options: object
) -> str:
    """The screen after these keys, as SVG; a function among them is waited for until it is true."""
    settings = config.override(config.Settings(), ["audio.output=pulse", "review.training_item=false"])
    app = PanelApp(runs, settings=settings, listener="anna", **options)  # type: ignore[arg-type]
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause(1.5)
        for key in keys:
            if callable(key):
                while not key(app):
                    await pilot.pause(0.1)
            else:
                await pilot.press(key)
                await pilot.pause(pause)
        await pilot.pause(0.5)
        svg = app.export_screenshot(title="mgl-tui")
    for what, instead in ((str(WORK), SHOWN), (f"@{socket.gethostname()}:", "@server:"), (str(Path.home()), "~")):
        svg = svg.replace(what, instead)
    return svg


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


async def draw(runs: Path) -> dict[str, str]:
    live = runs / "rank-16"

    def proven(app: PanelApp) -> bool:
        return app.player.status.proven

    with liveness.hold(RunDir(live)):
        drawn = {
            "runs": await picture(runs, []),
            "monitor": await picture(runs, [], open_run=live, mode="monitor"),
        }
    shutil.rmtree(live)
    heard = [proven, "4", "b", "2", "a"]
    # A clip counts as heard after a second.
    where = {"open_run": runs / "demo", "mode": "listen", "pause": 1.3}
    drawn["listen"] = await picture(runs, ["space", *heard], **where)
    drawn["listen-spectrogram"] = await picture(runs, ["space", *heard, "g"], **where)
    drawn["new-run"] = await picture(runs, ["n", "right", "down"], open_run=runs / "demo", pause=1.3)
    drawn["data"] = await picture(runs, ["space"], open_run=runs / "demo", mode="data", pause=4)
    return drawn


def main() -> None:
    if WORK.exists():
        raise SystemExit(f"{WORK} exists; the pictures are made there: move it away first.")
    WORK.mkdir()
    os.environ["XDG_CACHE_HOME"] = str(WORK / "cache")
    try:
        runs = make_round()
        with tempfile.TemporaryDirectory() as folder:
            speaker = Pulse(Path(folder) / "pulse")
            os.environ["PULSE_SERVER"] = speaker.address
            try:
                drawn = asyncio.run(draw(runs))
            finally:
                speaker.close()
    finally:
        shutil.rmtree(WORK)
    for name, svg in drawn.items():
        (HERE / f"{name}.svg").write_text(svg, encoding="utf-8")
    (HERE / "tour.svg").write_text(tour(list(drawn.values())), encoding="utf-8")


if __name__ == "__main__":
    main()
