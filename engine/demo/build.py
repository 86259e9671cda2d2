"""Trains the embedded demo model from nothing: `python -m engine.demo.build`.

Four stages, each announced: codec (closed form), codes of all clips, language model (the long one), export. A run
that was interrupted goes on at its last checkpoint in the work folder; `--export-only` exports that checkpoint.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from transformers import EncodecModel

from engine.demo import model_path, synth
from engine.demo.assemble import build_model, build_tokenizer, save_folder
from engine.demo.codec import CODEBOOKS, build_codec
from engine.demo.corpus import codec_clips
from engine.demo.language_model import Corpus, Training, codec_encoder, train


def main() -> None:
    """Parses the command line and runs the stages."""
    parser = argparse.ArgumentParser(prog="python -m engine.demo.build", description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("demo-build"), help="folder for codec, checkpoint and log")
    parser.add_argument("--out", type=Path, default=model_path(), help="folder the finished model is written to")
    parser.add_argument("--steps", type=int, default=Training.steps, help="optimizer steps of the language model")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--export-only", action="store_true", help="only export the last checkpoint")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)

    codec, transform = _codec(arguments.work / "codec")
    tokenizer = build_tokenizer()
    model = build_model(codec)
    print(f"model: {sum(p.numel() for p in model.state_dict().values()) / 1e6:.2f} M values", flush=True)
    if arguments.export_only:
        model.load_state_dict(torch.load(arguments.work / "checkpoint.pt", map_location="cpu")["model"])
    else:
        print("encoding the clips", flush=True)
        # The delay pattern cuts the last frames of the later codebooks: three more frames train them all.
        corpus = Corpus(codec_encoder(codec, transform, synth.CLIP_FRAMES + CODEBOOKS - 1))
        train(model, tokenizer, corpus, arguments.work, Training(steps=arguments.steps), arguments.device)
    save_folder(model.cpu(), tokenizer, arguments.out)
    print(f"written to {arguments.out}")


def _codec(folder: Path) -> tuple[EncodecModel, torch.Tensor]:
    if (folder / "transform.pt").exists():
        codec = EncodecModel.from_pretrained(folder, dtype=torch.float32).eval().requires_grad_(False)
        return codec, torch.load(folder / "transform.pt")
    print("building the codec", flush=True)
    with torch.no_grad():
        codec, transform = build_codec(codec_clips())
    codec.save_pretrained(folder)
    torch.save(transform, folder / "transform.pt")
    return codec, transform


if __name__ == "__main__":
    main()
