"""The folder of the base model: embedded, given, cached, or fetched. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from engine.contract.errors import UserError
from engine.model.fetch import fetch
from engine.model.locate import Progress, cached, checked_folder, is_hub_name


def resolve_base(base: str, progress: Progress | None = None) -> Path:
    """Folder of the base model: ``base`` is "demo", a folder, or a hub name, which is fetched when it is not cached.

    Honours HF_ENDPOINT, HF_HOME and HF_HUB_OFFLINE. Raises UserError with the reason and the command that helps.
    """
    if base == "demo":
        from engine.demo import model_path

        return checked_folder(model_path())
    if Path(base).is_dir():
        return checked_folder(Path(base))
    if not is_hub_name(base):
        raise UserError(
            f"model.base = {base!r} is no folder and no hub name; give a folder that holds config.json and the weights,"
            ' a name such as facebook/musicgen-small, or "demo".'
        )
    folder = cached(base)
    if folder is None:
        folder = fetch(base, progress)
    return checked_folder(folder)
