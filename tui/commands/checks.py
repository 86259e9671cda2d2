"""mgl-tui check: the engine's findings on data, settings and model, and the panel's on sound."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from engine.contract import config
from engine.contract.errors import UserError
from tui.commands import find, say

GLYPHS = {"block": "✘", "warn": "▲", "info": "·", "ok": "✔"}


def check_all(args: argparse.Namespace) -> int:
    """Print all findings; status 1 if any blocks."""
    settings = find.settings(args)
    if args.fix_split:
        return _fix_split(settings)
    from tui.audio.doctor import audio_findings

    checked = engine_check(settings)
    findings = checked["findings"] + audio_findings(settings.audio.browser_port, settings.audio.browser_socket)
    if args.json:
        say.document({"findings": findings, "clips": checked["clips"]})
    else:
        show(findings)
    return 1 if any(finding["severity"] == "block" for finding in findings) else 0


def engine_check(settings: config.Settings) -> dict[str, Any]:
    """The "findings" and "clips" of ``python -m engine check``; its progress goes to our stderr.

    Raises UserError when it cannot run.
    """
    done = _engine_check(settings, "--json")
    try:
        checked = json.loads(done.stdout)
        return {"findings": list(checked["findings"]), "clips": list(checked["clips"])}
    except (ValueError, KeyError):
        raise UserError(_last_line(done.stderr)) from None


def show(findings: list[dict[str, Any]]) -> None:
    """One line a finding, what to do below it, the gravest last, where the eye is."""
    order = list(GLYPHS)[::-1]
    for finding in sorted(findings, key=lambda finding: order.index(finding["severity"])):
        say.line(f"{GLYPHS[finding['severity']]} {finding['id']}: {finding['message']}")
        if finding["severity"] in ("block", "warn"):
            for example in finding.get("examples", [])[:3]:
                say.line(f"    {example}")
            if finding.get("fix"):
                say.line(f"    -> {finding['fix']}")
    counts = {name: sum(finding["severity"] == name for finding in findings) for name in ("block", "warn")}
    say.line(f"{counts['block']} block, {counts['warn']} warn")


def _fix_split(settings: config.Settings) -> int:
    done = _engine_check(settings, "--fix-split")
    if done.returncode:
        raise UserError(_last_line(done.stderr))
    say.line(done.stdout.strip())
    name = Path(done.stdout.strip()).name
    say.aside(f'to train on it: data.metadata = "{name}" in the settings, or --set data.metadata={name}')
    return 0


def _engine_check(settings: config.Settings, flag: str) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.toml"
        file.write_text(config.dumps(settings), encoding="utf-8")
        # On a terminal the engine's progress bar is for the user's eyes; otherwise it is kept for the error.
        screen = None if sys.stderr.isatty() else subprocess.PIPE
        return subprocess.run(
            [sys.executable, "-m", "engine", "check", str(file), flag], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=screen, text=True, check=False,
        )  # fmt: skip


def _last_line(text: str | None) -> str:
    if text is None:
        return "the check failed; what it said stands above"
    lines = text.strip().splitlines()
    return lines[-1] if lines else "the engine's check ended without a word; try `python -m engine check config.toml`"
