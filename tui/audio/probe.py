"""Looks for sound in a process of its own: ``python -m tui.audio.probe`` prints one JSON object.

PortAudio can abort its process while it looks for devices; whoever asks must not be that process.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from typing import Any

from tui.audio import pulse
from tui.audio.laptop import over_ssh


def local_devices() -> dict[str, Any]:
    """Names of PortAudio's output devices, or why there are none."""
    try:
        import sounddevice as sd
    except OSError:
        return {"devices": [], "problem": "PortAudio is missing (sudo apt install libportaudio2)"}
    names = [device["name"] for device in sd.query_devices() if device["max_output_channels"] > 0]
    return {"devices": names, "problem": "" if names else "this machine has no sound device"}


def main() -> None:
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # ALSA speaks on either descriptor
    found = {
        "ssh": over_ssh(),
        "local": local_devices(),
        "own": asdict(pulse.probe("")),
        "servers": [asdict(server) for server in pulse.probe_all(os.environ)],
    }
    json.dump(found, answer)
    answer.flush()
    sys.stderr.flush()
    os._exit(0)  # PortAudio may hang at exit


if __name__ == "__main__":
    main()
