"""What was measured of a clip is shown in Listen after the reveal, and not before."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.panel.listening import listening, panel, screen_of, text, until
from tests.review.clips import judge, make_run
from tui.review.evaluation import open_evaluation


@pytest.mark.parametrize("size", [(120, 35), (80, 24)])
async def test_measures_of_the_clip_are_shown_once_names_are(tmp_path: Path, size: tuple[int, int]) -> None:
    runs = tmp_path / "runs"
    run = make_run(runs)
    session = judge(open_evaluation(run.path), "anna", [{"base": 2, "best": 4, "final": 3}])
    app = panel(runs)
    async with listening(app, size) as pilot:
        assert "LUFS ·" not in text(app)
        session = screen_of(app).session
        await pilot.press("V", "V")
        await until(pilot, lambda: session.names_visible)
        for letter in "abc":
            await pilot.press(letter)
            loudness = {"base": -30.0, "best": -27.0, "final": -24.0}[session.trial.model(letter.upper())]
            await until(pilot, lambda said=f"loudness {loudness} LUFS · true peak -6.0 dBTP": said in text(app))
