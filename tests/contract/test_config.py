from pathlib import Path

import pytest

from engine.contract import config
from engine.contract.config import Settings, SettingsError


def test_settings_come_back_from_their_own_toml() -> None:
    settings = config.override(Settings(), ["lora.rank=16", "train.warmup_steps=7", 'model.base="demo"'])
    assert config.loads(config.dumps(settings)) == settings


def test_the_defaults_are_those_of_the_plan() -> None:
    settings = Settings()
    assert settings.model.base == "facebook/musicgen-small"
    assert (settings.lora.rank, settings.lora.alpha, settings.lora.dropout) == (12, 24, 0.05)
    assert (settings.train.learning_rate, settings.train.batch_size) == (1e-4, 2)
    assert (settings.train.gradient_accumulation_steps, settings.train.epochs) == (4, 1)
    assert (settings.evaluate.top_k, settings.evaluate.guidance_scale) == (250, 3.0)


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("[lora]\nrank = 0", ["lora.rank = 0", ">= 1"]),
        ('[lora]\nrank = "x"', ['lora.rank = "x"', "a whole number"]),
        ("[lora]\nrnk = 3", ['"lora.rnk"', "did you mean lora.rank"]),
        ("[lra]\nrank = 3", ['"lra"']),
        ('[train]\nprecision = "fp8"', ["train.precision", "fp16, bf16, fp32"]),
        ("[train]\nlearning_rate = inf", ["train.learning_rate"]),
        ("[train]\nwarmup_steps = -1", ["train.warmup_steps = -1", '"auto"']),
        ("[train]\nmicro_batch = 3", ["train.micro_batch = 3", "1, 2, 4, 8"]),
        ("lora = 3", ["lora"]),
        ("[lora", ["no valid TOML"]),
    ],
)
def test_a_wrong_setting_is_answered_with_its_name_and_what_is_allowed(toml: str, words: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        config.loads(toml, "config.toml")
    assert "config.toml" in str(caught.value)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_relative_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "my-model").mkdir()
    file = tmp_path / "config.toml"
    file.write_text('[model]\nbase = "my-model"\n[data]\ndir = "clips"\n[evaluate]\nprompts_file = "/p.json"\n')
    settings = config.load(file)
    assert settings.data.dir == str(tmp_path / "clips")
    assert settings.model.base == str(tmp_path / "my-model")
    assert settings.evaluate.prompts_file == "/p.json"


def test_a_hub_name_and_the_embedded_model_stay_as_they_are(tmp_path: Path) -> None:
    for base in ("demo", "facebook/musicgen-small"):
        settings = config.resolved(config.override(Settings(), [f"model.base={base}"]), tmp_path)
        assert settings.model.base == base


def test_the_difference_names_only_what_differs() -> None:
    changed = config.override(Settings(), ["lora.rank=16", "train.epochs=3"])
    assert config.difference(Settings(), changed) == [("lora.rank", 12, 16), ("train.epochs", 1, 3)]


def test_an_override_without_a_value_or_with_an_unknown_name_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"lora\.rank=16"):
        config.override(Settings(), ["lora.rank"])
    with pytest.raises(SettingsError, match=r"did you mean train\.epochs"):
        config.override(Settings(), ["train.epoch=3"])


def test_a_missing_settings_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.toml cannot be read"):
        config.load(tmp_path / "none.toml")


def test_the_shipped_config_holds_every_setting_at_its_default() -> None:
    shipped = Path(__file__).parents[2] / "config.toml"
    assert config.loads(shipped.read_text()) == Settings()
    assert shipped.read_text() == config.dumps(Settings())


def test_texts_that_no_file_can_hold_are_refused_and_all_others_come_back(tmp_path: Path) -> None:
    table = config.Settings().model_dump()
    table["run"]["why"] = "a\x7fb\u2028\x1b[2J\n鋼\u202e"
    assert config.loads(config.dumps(config.parse(table))).run.why == table["run"]["why"]
    for wrong, sentence in (
        ("a\0b", r"data\.dir .* holds a NUL"),
        ("caf\udce9", r"data\.dir .* no UTF-8.* rename"),
    ):
        table["data"]["dir"] = wrong
        with pytest.raises(config.SettingsError, match=sentence):
            config.parse(table)
    unknown = config.resolved(config.override(config.Settings(), ["data.dir=~nobody-of-that-name/x"]), tmp_path)
    assert unknown.data.dir == str(tmp_path / "~nobody-of-that-name/x")


def test_a_parent_whose_name_is_no_utf_8_does_not_keep_settings_from_being_written() -> None:
    settings = config.Settings()
    run = settings.run.model_copy(update={"parent": "caf\udce9"})
    assert config.loads(config.dumps(settings.model_copy(update={"run": run}))).run.parent == "caf?"
