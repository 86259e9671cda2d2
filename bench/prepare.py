"""How long raw tracks take to become a data set: `mgl-tui prepare` on tracks of three minutes.

    python bench/prepare.py [--tracks 200] [--folder DIR]

The tracks are the demo's music in stereo at 44.1 kHz, a third each as WAV, FLAC and MP3, each of six
pieces. Measured are the whole command on all cores, the same on one core, and a second call that
finds nothing new; how long it takes to find which of 2112 clips share audio; and how often tempo and key are told, and
told rightly, of music whose tempo and key are known. Writes bench/results/prepare.json.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from engine.data.audio import Sound, resample  # noqa: E402
from engine.data.fingerprint import fingerprint, shared_audio  # noqa: E402
from engine.data.prepare import music  # noqa: E402
from engine.demo import synth  # noqa: E402
from engine.demo.styles import KEYS, STYLE_WORDS, TEMPI, Clip, variants  # noqa: E402

SECONDS = 180
RATE = 44100
ENDINGS = ("wav", "flac", "mp3")


def make(folder: Path, number: int) -> None:
    rng = np.random.default_rng(number)
    styles = list(STYLE_WORDS)
    parts = []
    for _ in range(6):
        clip = Clip(
            styles[rng.integers(len(styles))], TEMPI[number % 4], KEYS[number % 3], int(rng.integers(2)),
            int(rng.integers(8)),
        )  # fmt: skip
        parts.append(synth.render(clip, frames=SECONDS // 6 * 25))
    mono = resample(np.concatenate(parts)[None], synth.SAMPLE_RATE, RATE)[0]
    wave = np.stack([mono, np.roll(mono, 400)], axis=1) + rng.normal(0, 1e-4, (len(mono), 2))
    soundfile.write(folder / f"track {number:03d}.{ENDINGS[number % 3]}", wave.astype(np.float32), RATE)


def measured(folder: Path, out: str, *, one_core: bool = False) -> dict[str, float]:
    command = [sys.executable, "-m", "tui.cli", "prepare", str(folder / "raw"), "--out", str(folder / out), "--json"]
    command = (["taskset", "-c", str(min(os.sched_getaffinity(0)))] if one_core else []) + command
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": f"{folder}/cache"}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "seconds": round(time.monotonic() - began, 1),
        "cpu_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "clips": json.loads(done.stdout)["new_clips"],
        "peak_mib_of_a_process": after.ru_maxrss // 1024,
    }


def sharing() -> dict[str, float]:
    """Seconds to find which of all of the demo's clips share audio: repetitive music, so that many nearly do."""
    prints = [
        fingerprint(Sound(synth.render(clip)[None], synth.SAMPLE_RATE))
        for style in STYLE_WORDS
        for clip in variants(style)
    ]
    began = time.process_time()
    shared_audio(prints)
    return {"clips": len(prints), "cpu_seconds": round(time.process_time() - began, 2)}


def sure() -> dict[str, int]:
    """Of a minute of each style, tempo and key: how many tempi and keys are told, and how many of those are right."""
    counts = {"pieces": 0, "tempi_told": 0, "tempi_right": 0, "keys_told": 0, "keys_right": 0}
    for style in STYLE_WORDS:
        for beat in TEMPI:
            for scale in KEYS:
                wave = synth.render(Clip(style, beat, scale, 1, 4), frames=1500)
                heard = resample(wave[None], synth.SAMPLE_RATE, music.RATE)[0]
                tempo, key = music.tempo(heard), music.key(heard)
                counts["pieces"] += 1
                counts["tempi_told"] += tempo is not None
                counts["tempi_right"] += tempo == beat.bpm
                counts["keys_told"] += key is not None
                counts["keys_right"] += (key or "").lower() == scale.name
    return counts


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tracks", type=int, default=200)
    parser.add_argument("--folder", type=Path, help="where to make the tracks; 60 MB a track are wanted")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        (folder / "raw").mkdir()
        with ProcessPoolExecutor() as pool:
            list(pool.map(make, [folder / "raw"] * args.tracks, range(args.tracks)))
        result = {"tracks": args.tracks, "cores": len(os.sched_getaffinity(0)), "load": os.getloadavg()[0]}
        result["all_cores"] = measured(folder, "out")
        result["second_call"] = measured(folder, "out")
        shutil.rmtree(folder / "out")
        result["one_core"] = measured(folder, "out", one_core=True)
    result |= {"sharing": sharing(), "sure": sure()}
    (ROOT / "bench" / "results" / "prepare.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
