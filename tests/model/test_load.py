"""Where the base model is found, and what is said when it is not."""

from __future__ import annotations

import hashlib
import http.server
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.contract.errors import UserError
from engine.data.resources import model_finding
from engine.model import load, locate

COMMIT = "c0ffee" * 6 + "c0ff"


@pytest.fixture
def hub(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[http.server.HTTPServer]:
    """A model hub on this machine that serves the tiny model as someone/tiny."""
    from huggingface_hub import constants

    served = {path.name: path.read_bytes() for path in tiny_model.iterdir()}

    class Hub(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def answer(self, *, with_body: bool) -> None:
            server.asked.append(self.path)  # type: ignore[attr-defined]
            name = self.path.split("?")[0].rsplit("/", 1)[-1]
            if self.path.startswith("/api/models/someone/tiny"):
                siblings = [{"rfilename": name, "size": len(content)} for name, content in served.items()]
                body = json.dumps({"id": "someone/tiny", "sha": COMMIT, "siblings": siblings}).encode()
            elif self.path.startswith("/someone/tiny/resolve/") and name in served:
                body = served[name]
            else:
                self.send_response(404)
                self.send_header("X-Error-Code", "RepoNotFound")
                self.end_headers()
                return
            digest = hashlib.sha256(body).hexdigest()
            start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
            if start:
                server.ranges.append((name, start))  # type: ignore[attr-defined]
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
                body = body[start:]
            else:
                self.send_response(200)
            self.send_header("ETag", f'"{digest}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.asked, server.ranges, server.served = [], [], served  # type: ignore[attr-defined]
    address = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    # huggingface_hub reads the environment once, at import.
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 10_000)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


def test_a_folder_is_taken_as_it_is(tiny_model: Path) -> None:
    assert load.resolve_base(str(tiny_model)) == tiny_model


def test_demo_is_the_embedded_model() -> None:
    from engine.demo import model_path

    assert load.resolve_base("demo") == model_path()


@pytest.mark.parametrize("base", ["/no/such/folder", "./missing", "one/two/three", "loneword"])
def test_what_is_neither_folder_nor_hub_name_is_refused_at_once(base: str) -> None:
    began = time.monotonic()
    with pytest.raises(UserError, match=r"model\.base = .* is no folder and no hub name"):
        load.resolve_base(base)
    assert time.monotonic() - began < 5


def test_a_folder_without_a_model_is_named_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is no model folder: its config\.json cannot be read"):
        load.resolve_base(str(tmp_path))


def test_a_folder_with_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "t5"}')
    with pytest.raises(UserError, match="holds a t5 model, not MusicGen"):
        load.resolve_base(str(tmp_path))


def test_a_folder_without_weights_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_model / "config.json", tmp_path)
    with pytest.raises(UserError, match="holds no weights"):
        load.resolve_base(str(tmp_path))


def test_damaged_weights_are_one_sentence(tiny_model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_model, tmp_path / "damaged")
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(UserError, match="cannot be loaded"):
        load.load_base(folder, device="cpu", dtype=torch.float32)


def test_offline_the_command_that_fetches_is_named() -> None:
    with pytest.raises(UserError, match=r"HF_HUB_OFFLINE is set.*hf download someone/absent"):
        load.resolve_base("someone/absent")


def test_a_hub_model_is_fetched_with_progress_and_then_found_without_asking(hub: http.server.HTTPServer) -> None:
    told: list[tuple[int, int]] = []
    folder = load.resolve_base("someone/tiny", lambda done, total: told.append((done, total)))
    assert load.load_base(folder, device="cpu", dtype=torch.float32)
    assert told[-1][0] == told[-1][1] > 0
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    asked = len(hub.asked)  # type: ignore[attr-defined]
    assert load.resolve_base("someone/tiny") == folder
    assert len(hub.asked) == asked  # type: ignore[attr-defined]


def interrupt_a_download() -> None:
    """Leave "someone/tiny" in the cache by half."""

    class Interrupted(Exception):
        pass

    def stop_at_the_weights(done: int, total: int) -> None:
        if done > total / 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        load.resolve_base("someone/tiny", stop_at_the_weights)


def test_an_interrupted_download_goes_on_where_it_was(hub: http.server.HTTPServer, tmp_path: Path) -> None:
    interrupt_a_download()
    assert locate.cached("someone/tiny") is None
    assert load.load_base(load.resolve_base("someone/tiny"), device="cpu", dtype=torch.float32)
    ((name, start),) = hub.ranges  # type: ignore[attr-defined]
    assert name == "model.safetensors"
    assert start >= 10_000
    assert not list(tmp_path.rglob("*.incomplete"))


def test_a_partial_download_that_is_damaged_is_thrown_away(hub: http.server.HTTPServer, tmp_path: Path) -> None:
    interrupt_a_download()
    (part,) = tmp_path.rglob("*.incomplete")
    part.write_bytes(b"\0" * part.stat().st_size)
    with pytest.raises(UserError, match="what came is not what the hub has"):
        load.resolve_base("someone/tiny")
    assert load.load_base(load.resolve_base("someone/tiny"), device="cpu", dtype=torch.float32)


def test_a_name_that_the_hub_does_not_know_is_told_so(hub: http.server.HTTPServer) -> None:
    with pytest.raises(UserError, match=r"someone/else could not be fetched: there is no such model"):
        load.resolve_base("someone/else")


def test_a_hub_out_of_reach_is_told_so(hub: http.server.HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"the hub cannot be reached.*HF_ENDPOINT.*hf download someone/tiny"):
        load.resolve_base("someone/tiny")


def test_parts_are_those_of_the_whole(tiny_model: Path) -> None:
    whole = load.load_base(tiny_model, device="cpu", dtype=torch.float32)
    decoder, projection = load.load_decoder(tiny_model, device="cpu", dtype=torch.float32)
    parts = {
        "decoder": decoder,
        "enc_to_dec_proj": projection,
        "text_encoder": load.load_text_encoder(tiny_model, device="cpu"),
        "audio_encoder": load.load_audio_encoder(tiny_model, device="cpu"),
    }
    for name, part in parts.items():
        expected = getattr(whole, name).state_dict()
        assert part.state_dict().keys() == expected.keys()
        assert all(torch.equal(tensor, expected[key]) for key, tensor in part.state_dict().items())
        assert not part.training


def test_a_pickled_model_loads_too(tiny_model: Path, tmp_path: Path) -> None:
    whole = load.load_base(tiny_model, device="cpu", dtype=torch.float32)
    folder = shutil.copytree(tiny_model, tmp_path / "pickled")
    (folder / "model.safetensors").unlink()
    torch.save(whole.state_dict(), folder / "pytorch_model.bin")
    decoder, projection = load.load_decoder(load.resolve_base(str(folder)), device="cpu", dtype=torch.float32)
    assert torch.equal(projection.weight, whole.enc_to_dec_proj.weight)
    assert all(torch.equal(a, b) for a, b in zip(decoder.parameters(), whole.decoder.parameters(), strict=True))


def test_half_precision_is_the_decoders_alone(tiny_model: Path) -> None:
    model = load.load_base(tiny_model, device="cpu", dtype=torch.float16)
    kinds = {name: {p.dtype for p in part.parameters()} for name, part in model.named_children()}
    assert kinds["decoder"] == {torch.float16}
    assert kinds["text_encoder"] == kinds["audio_encoder"] == {torch.float32}


def test_a_config_without_start_token_is_completed(tiny_model: Path) -> None:
    model = load.load_base(tiny_model, device="cpu", dtype=torch.float32)
    assert model.config.decoder.decoder_start_token_id == model.config.decoder.vocab_size
    labels = torch.zeros(1, 5, 4, dtype=torch.long)
    assert torch.isfinite(model(input_ids=torch.ones(1, 3, dtype=torch.long), labels=labels, use_cache=False).loss)


def test_text_is_encoded_in_fp32_with_a_mask_of_its_tokens(tiny_model: Path) -> None:
    model = load.load_base(tiny_model, device="cpu", dtype=torch.float32)
    states, mask = load.encode_text(model, load.load_tokenizer(tiny_model), ["drums", "a bass"], "cpu")
    assert states.shape == (2, 6, 16)
    assert states.dtype == torch.float32
    assert mask.tolist() == [[1, 1, 1, 1, 1, 0], [1] * 6]


def rewritten(model: Path, folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> Path:
    """A copy of ``model`` in ``folder`` whose weights went through ``change``."""
    shutil.copytree(model, folder)
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


def load_parts(folder: Path) -> None:
    load.load_decoder(folder, device="cpu", dtype=torch.float32)
    load.load_text_encoder(folder, device="cpu")
    load.load_audio_encoder(folder, device="cpu")


@pytest.mark.parametrize(
    ("part", "named"),
    [
        ("decoder.model.decoder.layers.1.", "decoder.model.decoder.layers.1.encoder_attn.k_proj.weight"),
        ("decoder.lm_heads.3.", "lacks 1 of its weights: decoder.lm_heads.3.weight"),
        ("text_encoder.encoder.block.0.layer.1.", "text_encoder.encoder.block.0.layer.1.DenseReluDense.wi.weight"),
        ("text_encoder.shared.", "text_encoder.encoder.embed_tokens.weight, text_encoder.shared.weight"),
        ("audio_encoder.quantizer.", "and 13 more"),
        ("enc_to_dec_proj.weight", "lacks 1 of its weights: enc_to_dec_proj.weight"),
        ("enc_to_dec_proj.", "lacks 2 of its weights: enc_to_dec_proj.bias, enc_to_dec_proj.weight"),
    ],
)
def test_weights_that_the_file_lacks_are_named_and_never_random(
    tiny_model: Path, tmp_path: Path, part: str, named: str
) -> None:
    def without(tensors: dict[str, torch.Tensor]) -> None:
        for name in [name for name in tensors if name.startswith(part)]:
            del tensors[name]

    folder = rewritten(tiny_model, tmp_path / "partial", without)
    for loading in (lambda: load.load_base(folder, device="cpu", dtype=torch.float32), lambda: load_parts(folder)):
        with pytest.raises(UserError) as caught:
            loading()
        assert named in str(caught.value)
        assert str(folder) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "named"),
    [
        (
            "decoder.model.decoder.layers.0.fc1.weight",
            "decoder.model.decoder.layers.0.fc1.weight 64x8 instead of 64x32",
        ),
        ("text_encoder.encoder.block.0.layer.0.SelfAttention.q.weight", "SelfAttention.q.weight 16x8 instead of 16x16"),
        ("enc_to_dec_proj.weight", "enc_to_dec_proj.weight 32x8 instead of 32x16"),
    ],
)
def test_weights_of_another_shape_than_the_config_says_are_named(
    tiny_model: Path, tmp_path: Path, name: str, named: str
) -> None:
    def narrower(tensors: dict[str, torch.Tensor]) -> None:
        tensors[name] = tensors[name][:, :8].clone()

    folder = rewritten(tiny_model, tmp_path / "narrow", narrower)
    for loading in (lambda: load.load_base(folder, device="cpu", dtype=torch.float32), lambda: load_parts(folder)):
        with pytest.raises(UserError) as caught:
            loading()
        assert named in str(caught.value)


def serve(hub: http.server.HTTPServer, **files: object) -> None:
    """Have the hub's someone/tiny hold other contents in some files; None takes one away."""
    for name, content in files.items():
        name = name.replace("_json", ".json").replace("_safetensors", ".safetensors")
        hub.served.pop(name, None)  # type: ignore[attr-defined]
        if content is not None:
            hub.served[name] = json.dumps(content).encode()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"model_type": "musicgen_melody"}, "someone/tiny holds a musicgen_melody model, not MusicGen"),
        ([], "holds a foreign model"),
        (None, "holds no config.json, so it is no MusicGen"),
        ({"model_type": "musicgen", "text_encoder": {"model_type": "umt5"}}, "with umt5 text encoder, and only t5"),
    ],
)
def test_a_model_of_another_kind_is_refused_before_its_weights_come(
    hub: http.server.HTTPServer, config: object, sentence: str
) -> None:
    serve(hub, config_json=config)
    for attempt in (lambda: load.resolve_base("someone/tiny"), lambda: model_finding("someone/tiny")):
        try:
            told = attempt().message  # type: ignore[union-attr]
        except UserError as error:
            told = str(error)
        assert sentence in told
        assert "hf download" not in told
    assert not [path for path in hub.asked if "safetensors" in path]  # type: ignore[attr-defined]


def test_a_repository_without_weights_is_refused(hub: http.server.HTTPServer) -> None:
    serve(hub, model_safetensors=None)
    with pytest.raises(UserError, match="holds no weights that transformers loads"):
        load.resolve_base("someone/tiny")


def test_the_check_tells_the_size_that_the_hub_tells_and_refuses_what_it_does_not_know(
    hub: http.server.HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(hub, filler_json="x" * 10**8, model_safetensors="w" * 10**8)
    found = model_finding("someone/tiny")
    assert (found.severity, "will fetch it first (0.1 GB)" in found.message) == ("warn", True)
    assert model_finding("someone/else").severity == "block"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    found = model_finding("someone/tiny")
    assert (found.severity, "GB" in found.message) == ("warn", False)
