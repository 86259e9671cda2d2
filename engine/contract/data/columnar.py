"""Data sets of Hugging Face in Parquet or Arrow files, with the sound in them or beside them.

Needs pyarrow, which is asked for only when such a file is there. Sound that a file holds is put into the cache.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from engine.contract import tables
from engine.contract.errors import UserError
from engine.contract.rundir import write_atomically
from engine.contract.tables import Entry

SUFFIXES = (".parquet", ".arrow")
AT_ONCE = 64
"""Rows that are in memory at a time."""


def read(file: Path, cache: Path, audio_keys: Sequence[str]) -> list[Entry]:
    """The rows of a file; ``cache`` is the folder of caches. Raises UserError."""
    try:
        import pyarrow
    except ImportError:
        raise UserError(f"{file} is read with pyarrow, which is not here; install it: pip install pyarrow.") from None
    try:
        status = file.stat()
        stamp = f"{file.resolve()} {status.st_size} {status.st_mtime_ns}"
        folder = cache / "extracted" / hashlib.sha256(stamp.encode(errors="surrogateescape")).hexdigest()[:16]
        rows = enumerate(_rows(file), start=1)
        return [_entry(row, number, folder, audio_keys) for number, row in rows]
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(getattr(error, "strerror", None) or error).splitlines()[0]
        raise UserError(f"{file} cannot be read, or its sound not put into {cache} ({reason}).") from None


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if file.suffix.lower() == ".parquet":
        for batch in pq.ParquetFile(file).iter_batches(batch_size=AT_ONCE):
            yield from batch.to_pylist()
        return
    with pa.memory_map(str(file)) as source:
        for batch in pa.ipc.open_stream(source):
            yield from batch.to_pylist()


def _entry(row: dict[str, Any], number: int, folder: Path, audio_keys: Sequence[str]) -> Entry:
    key = tables.key_of(row, audio_keys)
    value = row[key] if key else None
    if not isinstance(value, dict) or not value.get("bytes"):
        return Entry(f"row {number}", row)
    name = PurePosixPath(str(value.get("path") or f"{number}.wav").replace("\\", "/")).name
    path = folder / f"{number:06d}-{name[-100:]}"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, value["bytes"])
    # The bytes need not be kept in memory for all rows.
    return Entry(f"row {number}", {**row, key: value.get("path") or path.name}, path)
