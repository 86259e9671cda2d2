"""What several test folders share."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from tests.audio.parts import Chromium, Pulse

# The same few cases every time; `--hypothesis-profile long` draws others, and many.
_SLOW = {"deadline": None, "suppress_health_check": list(HealthCheck)}
settings.register_profile("short", max_examples=6, derandomize=True, database=None, **_SLOW)
settings.register_profile("long", max_examples=300, **_SLOW)
settings.load_profile("short")

ROOT = Path(__file__).parent.parent

# Tests run beside one another, a process for each core: none may take all cores for a single product.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def need(condition: object, reason: str) -> None:
    """Skip a test whose system packages are missing; in CI, which installs them, that is a failure."""
    if condition:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must have it: {reason}")
    pytest.skip(reason)


@pytest.fixture(autouse=True)
def _a_cache_of_its_own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or fills the user's caches, and none asks a model hub."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]))


def once(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that is made once, whichever of pytest-xdist's processes comes first."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    made = root / f"{name}.made"
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            make(root / name)
            made.touch()
    return root / name


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a MusicGen of the real classes with random weights. Tests only read it."""
    from tests.models import build_tiny

    return once(tmp_path_factory, "tiny-model", build_tiny)


@pytest.fixture(scope="session")
def listeners_laptop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Pulse, Chromium]]:
    """A browser and the sound server it plays into, for all tests."""
    from tests.audio.parts import Chromium, Pulse, browser_program

    need(shutil.which("pulseaudio") and shutil.which("parec"), "PulseAudio and its tools")
    need(browser_program(), "Chromium")
    with tempfile.TemporaryDirectory(prefix="mgl", dir="/tmp", ignore_cleanup_errors=True) as folder:
        server = Pulse(Path(folder) / "pulse")
        browser = Chromium(tmp_path_factory.mktemp("browser"), pulse=server.address)
        yield server, browser
        browser.close()
        server.close()


@pytest.fixture
def chromium(listeners_laptop: tuple[Pulse, Chromium]) -> Chromium:
    """The browser with a new page."""
    listeners_laptop[1].fresh()
    return listeners_laptop[1]


@pytest.fixture
def speaker(listeners_laptop: tuple[Pulse, Chromium]) -> Pulse:
    """What the browser plays into."""
    return listeners_laptop[0]


@pytest.fixture
def python() -> str:
    return sys.executable


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=2, help="courses of kills through all phases of an engine")
