"""Which layers of MusicGen's decoder can carry an adapter. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engine.contract.errors import UserError

LINEARS = ("fc1", "fc2", "k_proj", "out_proj", "q_proj", "v_proj")
"""Names of the decoder's linear layers, the same in every size."""


def refuse_strangers(wanted: Sequence[str], known: Iterable[str] = LINEARS) -> None:
    """Raise UserError when ``wanted`` is empty or names a layer that is not ``known``."""
    known = sorted(known)
    strangers = [name for name in wanted if name not in known]
    if strangers or not wanted:
        raise UserError(
            f"lora.target_modules names {', '.join(strangers) or 'nothing'}, which this decoder does not have; "
            f"it has {', '.join(known)}."
        )
