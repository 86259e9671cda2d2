"""The README says what the program does."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.conftest import ROOT
from tui import cli, keys

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_table_of_keys_is_the_table_that_the_panel_uses() -> None:
    between = README.partition("<!-- keys -->\n")[2].partition("<!-- /keys -->")[0]
    assert between.strip() == keys.markdown().strip()


def test_every_command_is_named() -> None:
    (commands,) = cli.parser()._subparsers._group_actions  # type: ignore[union-attr]
    for name in commands.choices:  # type: ignore[union-attr]
        assert re.search(rf"`(mgl-tui )?{name}\b", README) or f"mgl-tui {name}" in README, name


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    table = README.partition("## What it is built on")[2]
    for requirement in project["dependencies"]:
        name = re.match(r"[\w-]+", requirement).group()  # type: ignore[union-attr]
        assert re.search(rf"\b{name}\b", table), name


def test_every_file_it_links_to_is_there() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (Path(ROOT) / target).is_file(), target
