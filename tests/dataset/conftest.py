"""Data folders in every format that people keep."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.contract import config
from tui.dataset.dataset import Dataset

ROWS = [
    ("train/a1_01.wav", "Boomap drums, soft bass"),
    ("train/a1_02.wav", "boomap, vinyl noise"),
    ("valid/b1_01.wav", "soft piano"),
]
FORMATS = ("json", "jsonl", "csv", "txt", "sidecar json", "csv per split")


def write(folder: Path, format: str) -> Path:
    """A data folder in one of FORMATS, with three clips of which two are of one track."""
    for name, _ in ROWS:
        put(folder / name)
    if format == "json":
        rows = [{"audio": name, "text": text, "bpm": 90.50} for name, text in ROWS]
        put(folder / "metadata.json", json.dumps(rows, indent=3) + "\n\n")
    elif format == "jsonl":
        lines = [f'{{ "file_name":"{name}","text" : "{text}", "tags": [1.0,  2]}}' for name, text in ROWS]
        put(folder / "metadata.jsonl", "\n\n".join(lines))
    elif format == "csv":
        put(folder / "metadata.csv", "file_name,text,n\r\n" + "".join(f'{a},"{t}",1\r\n' for a, t in ROWS))
    elif format == "csv per split":
        for split in ("train", "valid"):
            rows = [f'{name.split("/")[1]},"{text}"\n' for name, text in ROWS if name.startswith(split)]
            put(folder / split / "metadata.csv", "file_name,text\n" + "".join(rows))
    else:
        for name, text in ROWS:
            path = folder / name
            if format == "txt":
                put(path.with_suffix(".txt"), f"{text}\n")
            else:
                put(path.with_suffix(".json"), json.dumps({"description": text, "key": "Am", "bpm": 90}))
    return folder


def put(path: Path, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())


def opened(folder: Path, name: str = "metadata.json") -> Dataset:
    return Dataset(config.Data(dir=str(folder), metadata=name))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(params=FORMATS)
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    return write(tmp_path / "data", request.param)
