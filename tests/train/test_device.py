"""The choice of the device: the GPU where there is one, the CPU where none is or it is asked for, never by mistake."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine import __main__ as engine
from engine import device
from engine.contract import config, events
from engine.contract.cards import Card, Facts
from engine.contract.errors import UserError
from engine.data.resources import gpu_finding
from tests import nvidia
from tests.train.conftest import MakeRun

OLD_DRIVER = Facts(listed=("card 0",), driver="535.183.01", driver_cuda=12020, torch="2.14.1", built_for="13.0")
CARD = Facts(listed=("card 0", "card 1"), torch="2.14.1", built_for="13.0", cards=(nvidia.card(1), nvidia.card(0)))
NO_CARD = Facts(torch="2.14.1+cpu")


def on(wanted: str) -> config.Settings:
    return config.override(config.Settings(), [f"train.device={wanted}"])


@pytest.mark.parametrize(
    ("facts", "wanted", "cpu"),
    [(CARD, "auto", False), (CARD, "cuda", False), (CARD, "cpu", True), (NO_CARD, "auto", True),
     (NO_CARD, "cpu", True), (OLD_DRIVER, "cpu", True)],
)  # fmt: skip
def test_the_device_is_the_one_that_is_there_or_asked_for(
    monkeypatch: pytest.MonkeyPatch, facts: Facts, wanted: str, cpu: bool
) -> None:
    monkeypatch.setattr(device, "facts", lambda: facts)
    assert device.on_cpu(wanted) is cpu
    assert gpu_finding(on(wanted), lambda: facts).severity in ("ok", "info")


@pytest.mark.parametrize(
    ("facts", "wanted", "words"),
    [(OLD_DRIVER, "auto", "too old"), (OLD_DRIVER, "cuda", "too old"), (NO_CARD, "cuda", "no GPU|no NVIDIA GPU")],
)
def test_a_gpu_that_cannot_be_used_is_refused_and_blocks_the_check(
    monkeypatch: pytest.MonkeyPatch, facts: Facts, wanted: str, words: str
) -> None:
    monkeypatch.setattr(device, "facts", lambda: facts)
    with pytest.raises(UserError, match=words) as caught:
        device.on_cpu(wanted)
    found = gpu_finding(on(wanted), lambda: facts)
    assert found.severity == "block"
    for said in (str(caught.value), found.fix):
        assert 'train.device = "cpu"' in said or '"cpu" trains' in said


def test_the_check_measures_the_card_that_torch_computes_on() -> None:
    small, large = nvidia.card(0, memory=10**9), nvidia.card(1)
    fits = gpu_finding(config.Settings(), lambda: Facts(cards=(large, small)))
    assert (fits.severity, large.name in fits.message) == ("ok", True)
    assert gpu_finding(config.Settings(), lambda: Facts(cards=(small, large))).severity == "warn"


def test_a_card_that_the_driver_knows_and_torch_does_not_blocks_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    if device.facts().cards:
        pytest.skip("torch sees a GPU here")
    nvidia.install(monkeypatch, nvidia.Driver(cuda=11040))
    found = gpu_finding(config.Settings())
    assert (found.id, found.severity) == ("gpu-unseen", "block")
    assert "driver 535.183.01" in found.message


def test_training_and_evaluation_end_with_the_sentence_and_say_it_in_the_log(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run()
    monkeypatch.setattr(device, "facts", lambda: OLD_DRIVER)
    for call in (engine.train, engine.evaluate):
        arguments = SimpleNamespace(
            run=run.path, resume=False, evaluate=False, models=None, prompts=None, set_name=None, repeats=None
        )
        with pytest.raises(UserError, match="too old"):
            call(arguments)
        last = [event for event in events.read(run.events) if event["event"] == "state"][-1]
        assert (last["state"], "too old" in last["error"]) == ("failed", True)


def test_the_facts_are_printed_for_who_must_not_import_torch() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "engine.device"], capture_output=True, text=True, check=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    told = json.loads(done.stdout)
    assert told["torch"]
    assert all(Card(**card) for card in told["cards"])
