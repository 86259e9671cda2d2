"""What several test folders share."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The same few cases every time; `--hypothesis-profile long` draws others, and many.
_SLOW = {"deadline": None, "suppress_health_check": list(HealthCheck)}
settings.register_profile("short", max_examples=6, derandomize=True, database=None, **_SLOW)
settings.register_profile("long", max_examples=300, **_SLOW)
settings.load_profile("short")

ROOT = Path(__file__).parent.parent


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


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a MusicGen of the real classes with random weights."""
    from tests.models import build_tiny

    return build_tiny(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def python() -> str:
    return sys.executable
