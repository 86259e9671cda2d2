"""How long the demo takes, by phase, as a user runs it: `mgl-tui demo --headless` with empty caches.

    python bench/demo.py

Phases are the times between the engine's own state events; what is left over is starting Python, rendering the clips
and importing torch. Writes bench/results/demo.json.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from engine.contract import events  # noqa: E402


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": f"{folder}/cache"}
        began = time.time()
        subprocess.run(
            [sys.executable, "-m", "tui.cli", "--runs", f"{folder}/runs", "demo", "--headless"],
            cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        whole = time.time() - began
        log = events.read(Path(folder) / "runs" / "demo" / "events.jsonl")
    states = [event for event in log if event["event"] == "state"]
    phases: dict[str, float] = defaultdict(float)
    for state, following in pairwise(states):
        phases[state["state"]] += following["t"] - state["t"]
    trains = [event for event in log if event["event"] == "train"]
    valid = {event["step"]: event["loss"] for event in log if event["event"] == "valid"}
    result = {
        "load": os.getloadavg()[0],
        "whole_seconds": round(whole, 1),
        "phases_seconds": {name: round(seconds, 1) for name, seconds in phases.items() if seconds >= 0.05},
        "left_over_seconds": round(whole - sum(phases.values()), 1),
        "training_clips_per_second": round(sorted(e["clips_per_second"] for e in trains)[len(trains) // 2], 2),
        "base_valid": valid[0],
        "best_valid": min(valid.values()),
        "final_valid": valid[max(valid)],
    }
    (ROOT / "bench" / "results" / "demo.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
