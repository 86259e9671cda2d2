"""Make each change of MUTATIONS.md in a copy of the project and see its test go red.

python tests/mutations.py [WORD]     # only the rows that hold the word
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
_ROW = re.compile(r"\| (.+?) \| `(.+?)` \| `(.+?)` \| `(.+?)` \| `(.+?)` \|")


class Mutation(NamedTuple):
    what: str
    file: str
    this: str
    becomes: str
    test: str


def listed() -> list[Mutation]:
    return [Mutation(*row) for row in _ROW.findall((ROOT / "tests" / "MUTATIONS.md").read_text(encoding="utf-8"))]


def verdict(mutation: Mutation, copy: Path) -> str:
    """ "red" as it should be, else what is wrong."""
    path = copy / mutation.file
    text = path.read_text(encoding="utf-8")
    if text.count(mutation.this) != 1:
        return f"found {text.count(mutation.this)} times in {mutation.file}: mend the row"
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    path.write_text(text.replace(mutation.this, mutation.becomes), encoding="utf-8")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", mutation.test], cwd=copy,
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
    finally:
        path.write_text(text, encoding="utf-8")
    # 1 is a test that failed; anything else is none that ran.
    words = {0: "stayed green", 1: "red"}
    return words.get(done.returncode, f"the test did not run: {done.stdout.strip().splitlines()[-1:]}")


def main() -> int:
    chosen = [each for each in listed() if all(word in " ".join(each) for word in sys.argv[1:])]
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        copy.mkdir()
        for name in ("engine", "tui", "tests", "pyproject.toml", "README.md"):
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, copy / name)
        for mutation in chosen:
            said = verdict(mutation, copy)
            wrong += said != "red"
            print(f"{said:<14} {mutation.what}", flush=True)
    print(f"{len(chosen) - wrong} of {len(chosen)} noticed")
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
