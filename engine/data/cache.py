"""Arrays on disk under a digest of what they were made from; shared by all runs and safe to fill from two processes."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from pathlib import Path

import numpy as np

from engine.contract.errors import UserError
from engine.contract.rundir import write_atomically


class Store:
    """One folder of arrays of one kind ("codes" or "text"), made by one model with one set of settings (``maker``)."""

    def __init__(self, root: Path, kind: str, maker: str) -> None:
        self.folder = root / kind / maker[:24]

    def path(self, digest: str) -> Path:
        return self.folder / digest[:2] / f"{digest}.npz"

    def load(self, digest: str) -> np.ndarray | None:
        """The array, or None when there is none or its file is damaged (its checksum does not fit)."""
        try:
            with np.load(self.path(digest), allow_pickle=False) as file:
                return file["array"]
        except (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error):
            # RuntimeError: flipped bits can claim a compression or an encryption that zipfile does not know.
            return None

    def save(self, digest: str, array: np.ndarray) -> None:
        """Write the array whole or not at all. Raises UserError when the disk is full or the folder not writable."""
        path = self.path(digest)
        buffer = io.BytesIO()
        np.savez(buffer, array=array)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, buffer.getvalue())
        except OSError as error:
            raise UserError(
                f"The cache folder {self.folder} cannot be written ({(error.strerror or str(error)).lower()}); "
                "free space there, or set data.cache_dir to another folder."
            ) from None


class Digests:
    """SHA-256 of files, remembered by path, size and time of change, so that a second start reads nothing twice."""

    def __init__(self, root: Path) -> None:
        self._file = root / "digests.json"
        self._known: dict[str, list] = {}
        self._new = False
        try:
            known = json.loads(self._file.read_text())
            self._known = {
                path: stamp for path, stamp in known.items() if len(stamp) == 3 and isinstance(stamp[2], str)
            }
        except (OSError, ValueError, AttributeError, TypeError):
            # None yet, or a damaged one: all files are read again.
            pass

    def of_file(self, path: Path) -> str:
        """Digest of a file's content. Raises OSError when it cannot be read."""
        return self._remembered(str(path), path, lambda: file_digest(path))

    def of_tensors(self, path: Path, prefix: str) -> str:
        """Digest of the tensors of a .safetensors file whose names begin with ``prefix``."""
        return self._remembered(f"{path}#{prefix}", path, lambda: _tensors_digest(path, prefix))

    def save(self) -> None:
        """Keep what was learned. Losing it costs time only, so a full disk is no error here."""
        if self._new:
            try:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(self._file, json.dumps(self._known))
            except OSError:
                pass

    def _remembered(self, key, path, make):  # type: ignore[no-untyped-def]
        status = path.stat()
        stamp = [status.st_size, status.st_mtime_ns]
        known = self._known.get(key)
        if known is None or known[:2] != stamp:
            self._known[key] = known = [*stamp, make()]
            self._new = True
        return known[2]


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, in hex."""
    with open(path, "rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _tensors_digest(path: Path, prefix: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        for name, entry in sorted(header.items()):
            if not name.startswith(prefix):
                continue
            begin, end = entry["data_offsets"]
            digest.update(f"{name} {entry['dtype']} {entry['shape']}".encode())
            file.seek(8 + size + begin)
            digest.update(file.read(end - begin))
    return digest.hexdigest()
