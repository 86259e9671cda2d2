"""mgl-tui doctor: what on this machine would get in the way, with the command that mends it."""

from __future__ import annotations

import argparse
import json
import locale
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from engine.contract.cards import ON_CPU, Facts, Nvml, read, trouble
from tui.commands import find, say
from tui.commands.checks import show

IMPORTS = """
import json, sys
found = {}
try:
    import torch
    found.update(torch=torch.__version__, built_for=torch.version.cuda)
    from dataclasses import asdict
    from engine import device
    found["facts"] = json.dumps(asdict(device.facts()))
except Exception as error:
    found["torch_error"] = str(error)
try:
    import torchaudio
    found["torchaudio"] = torchaudio.__version__
except Exception as error:
    found["torchaudio_error"] = str(error)
print(json.dumps(found))
"""


def doctor(args: argparse.Namespace) -> int:
    if args.gpu:
        from tui.commands.card import prove

        return prove(args)
    if args.audio:
        from tui.audio.doctor import run_doctor

        settings = find.settings(args).audio
        return 0 if run_doctor(settings.output, settings.browser_port, settings.browser_socket) else 1
    from tui.audio.doctor import audio_findings

    sound = find.settings(args).audio
    findings = [*torch_findings(), *driver_findings(), *terminal_findings(), *logout_findings()]
    findings += audio_findings(sound.browser_port, sound.browser_socket)
    if args.json:
        say.document({"findings": findings})
    else:
        show(findings)
    return 1 if any(finding["severity"] == "block" for finding in findings) else 0


def finding(name: str, severity: str, message: str, fix: str = "") -> dict[str, Any]:
    return {"id": name, "severity": severity, "count": int(severity in ("block", "warn")), "examples": [],
            "message": message, "fix": fix}  # fmt: skip


def torch_findings() -> list[dict[str, Any]]:
    """Whether torch and torchaudio import together, asked of a process of their own."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        cwd=Path(__file__).resolve().parents[2],
    )  # fmt: skip
    try:
        found = json.loads(done.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        return [finding("torch", "block", f"importing torch ended the process ({done.returncode})",
                        "reinstall: pip install --force-reinstall 'torch<2.15' torchaudio")]  # fmt: skip
    if "torch_error" in found:
        return [finding("torch", "block", f"torch does not import: {found['torch_error']}",
                        "pip install 'torch>=2.6,<2.15' torchaudio")]  # fmt: skip
    findings = [finding("torch", "ok", f"torch {found['torch']}, built for CUDA {found['built_for'] or 'none (CPU)'}")]
    if "torchaudio_error" in found:
        findings.append(torchaudio_mismatch(found))
    else:
        findings.append(finding("torchaudio-mismatch", "ok", f"torchaudio {found['torchaudio']} matches"))
    return [*findings, gpu_seen(read(found["facts"]))]


def gpu_seen(facts: Facts) -> dict[str, Any]:
    """Whether torch computes on the GPU of this machine, and if not, what keeps it from it."""
    kept = trouble(facts)
    if kept:
        return finding("cuda", "block", kept.message, f"{kept.fix}; {ON_CPU}")
    if facts.cards:
        return finding("cuda", "ok", f"torch sees the GPU: {facts.cards[0].name}")
    why = "CUDA_VISIBLE_DEVICES hides every GPU" if facts.hidden else "torch sees no GPU"
    return finding("cuda", "warn", f"{why}: training runs on the CPU, in fp32, many times slower",
                   "run nvidia-smi; without a driver only the embedded model is worth training")  # fmt: skip


def torchaudio_mismatch(found: dict[str, Any]) -> dict[str, Any]:
    """torchaudio is built for one CUDA version; beside another, or a CPU torch, it fails, and transformers with it."""
    error = found["torchaudio_error"].splitlines()[0]
    if found["built_for"] is None or "libc10_cuda" in error or "libtorch_cuda" in error:
        why, fix = "torch is a CPU build", "pip uninstall -y torch torchaudio && pip install 'torch<2.15' torchaudio"
    else:
        why = f"torch is built for CUDA {found['built_for']} and torchaudio for another"
        fix = "pip install --upgrade 'torch<2.15' torchaudio"
    return finding("torchaudio-mismatch", "block", f"torchaudio does not import beside torch {found['torch']}: {why} "
                   f"({error})", fix)  # fmt: skip


def driver_findings() -> list[dict[str, Any]]:
    nvml = Nvml()
    driver = nvml.driver()
    if driver is None:
        why = f" ({nvml.error})" if nvml.error else ""
        return [finding("driver", "warn", f"no NVIDIA driver answers{why}",
                        "on a GPU server: install or restart the driver, then run nvidia-smi")]  # fmt: skip
    return [finding("driver", "ok", f"NVIDIA driver {driver}, {len(nvml.handles())} GPU(s)")]


def terminal_findings() -> list[dict[str, Any]]:
    findings = []
    columns, rows = shutil.get_terminal_size()
    if columns < 80 or rows < 24:
        findings.append(finding("terminal-size", "warn", f"this terminal is {columns}x{rows}; the panel needs 80x24",
                                "make the window larger or the font smaller"))  # fmt: skip
    if os.environ.get("TERM", "dumb") == "dumb":
        findings.append(finding("terminal", "warn", "TERM is not set: the panel cannot draw",
                                "use ssh -t, or a terminal"))  # fmt: skip
    elif os.environ.get("NO_COLOR"):
        findings.append(finding("colours", "info", "NO_COLOR is set: states show as glyphs and words"))
    elif os.environ.get("COLORTERM") in ("truecolor", "24bit"):
        findings.append(finding("colours", "ok", "16 million colours"))
    else:
        findings.append(finding("colours", "info", "COLORTERM is not set (ssh drops it): 256 colours",
                                "export COLORTERM=truecolor if your terminal has them"))  # fmt: skip
    if "utf" not in (locale.getpreferredencoding(False) or "").lower():
        findings.append(finding("encoding", "warn", "the locale is not UTF-8: lines and blocks will look broken",
                                "export LANG=C.UTF-8"))  # fmt: skip
    return findings


def logout_findings() -> list[dict[str, Any]]:
    """systemd-logind can be told to kill what a user leaves running; an engine would die with the ssh session."""
    kills = False
    for file in [Path("/etc/systemd/logind.conf"), *sorted(Path("/etc/systemd/logind.conf.d").glob("*.conf"))]:
        try:
            lines = [line.strip().lower() for line in file.read_text(errors="replace").splitlines()]
        except OSError:
            continue
        for line in lines:
            if line.startswith("killuserprocesses="):
                kills = line.partition("=")[2] in ("yes", "true", "1", "on")
    if kills and not Path(f"/var/lib/systemd/linger/{os.environ.get('USER', 'root')}").exists():
        return [finding("logout-kills", "warn", "this machine kills a user's processes at logout: training would end",
                        "loginctl enable-linger")]  # fmt: skip
    return [finding("logout-kills", "ok", "training goes on after logout")]
