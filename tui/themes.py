"""Colour themes. A state always has a glyph and a word as well; see NO_COLOR."""

from __future__ import annotations

from textual.theme import Theme

DARK = Theme(
    name="mgl",
    primary="#7aa2c8",
    secondary="#8b94a3",
    accent="#e3b341",
    success="#7ec699",
    warning="#e3a15a",
    error="#ef7b76",
    foreground="#d6dae0",
    background="#15171b",
    surface="#1b1e23",
    panel="#262a31",
    dark=True,
    variables={"line": "#3c424c", "quiet": "#7d8694", "loss": "#6fc3df", "loss-raw": "#3f5f70", "mark": "#e3b341"},
)
LIGHT = Theme(
    name="mgl-light",
    primary="#1f5f99",
    secondary="#5a6472",
    accent="#8a5a00",
    success="#1d7a3d",
    warning="#9a5b00",
    error="#b3261e",
    foreground="#1c2026",
    background="#fbfbf9",
    surface="#f3f3ef",
    panel="#e6e6e0",
    dark=False,
    variables={"line": "#b9bcc0", "quiet": "#69717c", "loss": "#0b6b8f", "loss-raw": "#9cc3d2", "mark": "#8a5a00"},
)
CONTRAST = Theme(
    name="mgl-contrast",
    primary="#00ffff",
    secondary="#ffffff",
    accent="#ffff00",
    success="#00ff00",
    warning="#ffff00",
    error="#ff6060",
    foreground="#ffffff",
    background="#000000",
    surface="#000000",
    panel="#303030",
    dark=True,
    text_alpha=1.0,
    variables={"line": "#ffffff", "quiet": "#d0d0d0", "loss": "#00ffff", "loss-raw": "#909090", "mark": "#ffff00"},
)
THEMES = (DARK, LIGHT, CONTRAST)
