"""Decode MusicGen's codes from text: the whole course of one batch, from encoder states to audio.

The step is written out over the weights of ``MusicgenForCausalLM`` instead of calling its forward: a step then is
about ten tensor operations a layer, keys and values stay where they are, and all of it, sampling included, can be
captured as a CUDA graph. What differs from ``MusicgenForConditionalGeneration.generate`` is only where time goes:

* keys and values of the text are computed once per prompt, those of the music are written into a static cache;
* guidance runs as one doubled batch. The null condition is an all-zero encoder output, whose keys and values are
  zero because the projections have no bias, so cross-attention adds exactly nothing there and is left out;
* a step neither waits for the device nor tells the host anything. The delay pattern, the choice of the next codes
  and the position live on the device.

Greedy decoding in fp32 gives the codes of ``generate``; sampling gives codes of the same distribution, from noise
that depends on nothing but the row's key (see ``noise.py``).
"""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.generate import noise
from engine.memory import empty_cache, ran_out
from engine.model.attention import choose_kernels
from engine.model.delay import delays
from engine.prove import abilities

log = logging.getLogger(__name__)

CACHE_BLOCK = 128
"""On a GPU a graph attends to a multiple of this many positions: one graph a block, 6 of them for 15 s."""

DRAWN_STEPS = 16
"""Steps whose noise is drawn at once on a GPU."""

PROGRESS_STEPS = 25
"""On a GPU steps are queued far ahead; every so many the host waits, so that progress is what has happened."""


@dataclass(frozen=True)
class Sampling:
    """How the next code is chosen. The defaults are those of audiocraft."""

    guidance_scale: float = 3.0
    """Weight of the text against the null condition; 1 or less decodes without guidance, at half the work."""
    temperature: float = 1.0
    """0 is greedy decoding."""
    top_k: int = 250
    """Candidates kept; 0 keeps all."""
    top_p: float = 0.0
    """Smallest set of candidates whose probabilities reach this sum; 0 (or 1) keeps all."""


class Stopped(Exception):
    """Decoding was told to stop between two steps."""


class NotFinite(ArithmeticError):
    """The model's logits are not all numbers: its weights are broken, or the precision does not hold its values."""


@dataclass
class Layer:
    """The weights of one decoder layer, each (out, in)."""

    self_norm: nn.LayerNorm
    self_qkv: Tensor
    self_out: Tensor
    cross_norm: nn.LayerNorm
    cross_q: Tensor
    cross_kv: Tensor
    cross_out: Tensor
    final_norm: nn.LayerNorm
    fc1: Tensor
    fc2: Tensor


class Decoder:
    """A MusicgenForCausalLM with its adapters merged, ready to decode batches.

    Adapters that are active on it (a PeftModel) are merged in fp32 and then cast to ``dtype``, by default that of the
    weights; the model itself is not touched, and must not be changed while the decoder is in use. ``projection`` maps
    text states (..., d_text) to (..., d_decoder). Weights go to ``device``, by default the one they are on, matrix by
    matrix and in ``dtype`` already. Without ``graphs`` a GPU runs the same steps one by one; by default what is known
    of the card decides.
    """

    capture_failed: ClassVar[bool] = False
    """Whether a CUDA graph could not be captured in this process; it is not tried again."""

    def __init__(
        self,
        model: Any,
        projection: nn.Module | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | None = None,
        *,
        graphs: bool | None = None,
    ):
        causal = model.get_base_model() if hasattr(model, "get_base_model") else model
        decoder = causal.model.decoder
        config = causal.config
        first = decoder.layers[0].fc1
        self.device = device or first.weight.device
        self.dtype = dtype or first.weight.dtype
        self.graphs = abilities.of(self.device).can("graphs") if graphs is None else graphs
        choose_kernels()
        self.codebooks = config.num_codebooks
        self.vocabulary = config.vocab_size
        self.heads = config.num_attention_heads
        self.hidden = config.hidden_size
        self.channels = config.audio_channels
        self.delays = delays(config.num_codebooks, config.audio_channels)
        self.pad = config.pad_token_id if config.pad_token_id is not None else config.vocab_size
        self.activation = decoder.layers[0].activation_fn
        self.embedding = (
            torch.cat([table.weight for table in decoder.embed_tokens]).detach().to(self.device, self.dtype)
        )
        rows = decoder.embed_tokens[0].weight.shape[0]
        self.offsets = torch.arange(self.codebooks, device=self.device) * rows
        self.positions = decoder.embed_positions
        self.projection = (projection or nn.Identity()).to(self.device)
        self.layers = [self._layer(layer) for layer in decoder.layers]
        self.final_norm = self._norm(decoder.layer_norm)
        self.output = self._weight(*causal.lm_heads)
        self._state: _State | None = None

    def _weight(self, *modules: nn.Module) -> Tensor:
        """Effective weights, adapters included, stacked along the outputs: (sum of outputs, inputs)."""
        weights = [effective_weight(module).to(self.device, self.dtype) for module in modules]
        return weights[0] if len(weights) == 1 else torch.cat(weights)

    def _norm(self, module: nn.LayerNorm) -> nn.LayerNorm:
        if (module.weight.dtype, module.weight.device) == (self.dtype, self.device):
            return module
        return copy.deepcopy(module).to(self.device, self.dtype).requires_grad_(False)

    def _layer(self, layer: Any) -> Layer:
        own, cross = layer.self_attn, layer.encoder_attn
        return Layer(
            self_norm=self._norm(layer.self_attn_layer_norm),
            self_qkv=self._weight(own.q_proj, own.k_proj, own.v_proj),
            self_out=self._weight(own.out_proj),
            cross_norm=self._norm(layer.encoder_attn_layer_norm),
            cross_q=self._weight(cross.q_proj),
            cross_kv=self._weight(cross.k_proj, cross.v_proj),
            cross_out=self._weight(cross.out_proj),
            final_norm=self._norm(layer.final_layer_norm),
            fc1=self._weight(layer.fc1),
            fc2=self._weight(layer.fc2),
        )

    @torch.no_grad()
    def decode(
        self,
        states: Tensor,
        mask: Tensor,
        frames: int,
        sampling: Sampling,
        keys: list[int],
        *,
        on_step: Callable[[int, int], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Tensor:
        """Codes (B, K, frames) for a batch of texts.

        states: T5's output (B, L, d_text); mask: (B, L), 1 at tokens; keys: one noise key a row (``noise.key``).
        ``on_step(done, total)`` is called as steps finish; ``should_stop()`` is asked before each one and ends the
        call with ``Stopped``. Raises NotFinite where the codes would mean nothing.
        """
        steps = frames + self.delays[-1]
        state = self._prepare(states, mask, steps, sampling)
        state.begin(noise.bits(keys, steps, self.codebooks), self._pads(frames))
        for step in range(steps):
            if should_stop is not None and should_stop():
                raise Stopped(f"decoding stopped after {step} of {steps} steps")
            state.advance(step)
            if on_step is not None and self._report_now(step, steps):
                on_step(step + 1, steps)
        if not math.isfinite(state.total.item()):
            raise NotFinite(f"decoding in {str(self.dtype).removeprefix('torch.')} gave logits that are not finite")
        return self._revert(state.sequence, frames)

    @property
    def captured(self) -> bool:
        """Whether the last batch was decoded by CUDA graphs."""
        return self._state is not None and self._state.graphs is not None

    def release(self) -> None:
        """Give back caches and graphs of the last batch."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)  # a stop leaves steps queued that use them
        self._state = None
        empty_cache()

    def _report_now(self, step: int, steps: int) -> bool:
        if self.device.type != "cuda":
            return True
        if (step + 1) % PROGRESS_STEPS and step + 1 != steps:
            return False
        torch.cuda.synchronize(self.device)
        return True

    def _pads(self, frames: int) -> Tensor:
        """(K, steps + 1), true where a column holds the pad of a codebook and no code."""
        delay = torch.tensor(self.delays, device=self.device)[:, None]
        column = torch.arange(frames + self.delays[-1] + 1, device=self.device)[None]
        return (column <= delay) | (column > delay + frames)

    def _revert(self, sequence: Tensor, frames: int) -> Tensor:
        rows = [sequence[:, k, 1 + delay : 1 + delay + frames] for k, delay in enumerate(self.delays)]
        return torch.stack(rows, dim=1)

    def _prepare(self, states: Tensor, mask: Tensor, steps: int, sampling: Sampling) -> _State:
        """The static tensors (and graphs) for this shape, kept from the last call when it was the same."""
        shape = (states.shape[0], states.shape[1], steps, sampling)
        if self._state is None or self._state.shape != shape:
            self.release()  # the old caches go before the new ones come
            self._state = _State(self, shape)
        self._read_text(self._state, states, mask)
        self._state.capture()
        return self._state

    def _read_text(self, state: _State, states: Tensor, mask: Tensor) -> None:
        """Write the keys and values of the text, (B, heads, L, D) a layer, and which of them count."""
        batch, length = mask.shape
        mask = mask.to(self.device)
        text = self.projection(states.to(self.device)).to(self.dtype) * mask[..., None].to(self.dtype)
        present = mask.bool()
        # A row without a token would make softmax divide by zero; its keys and values are zero, so all may count.
        state.text_mask.copy_(_additive((present | ~present.any(1, keepdim=True))[:, None, None], self.dtype))
        for index, layer in enumerate(self.layers):
            kv = F.linear(text, layer.cross_kv).view(batch, length, 2, self.heads, -1)
            state.text_cache[index].copy_(kv.permute(2, 0, 3, 1, 4))

    def logits(self, state: _State, tokens: Tensor, length: int, masked: bool) -> Tensor:
        """Logits (rows, K, V) in fp32 for tokens (B, K) at the state's position.

        The position's keys and values are written into the cache, and attention sees its first ``length`` positions;
        ``masked`` says that some of these are not filled yet. rows is 2 B with guidance (text first), else B.
        """
        batch, rows = tokens.shape[0], state.rows
        x = F.embedding(tokens + self.offsets, self.embedding).sum(1) + state.position_table[state.position]
        if rows > batch:
            x = torch.cat([x, x])
        filled = None
        if masked:
            state.filled.index_fill_(0, state.position, 0.0)
            filled = state.filled[None, None, None, :length]
        for index, layer in enumerate(self.layers):
            qkv = F.linear(layer.self_norm(x), layer.self_qkv).view(rows, 3, self.heads, 1, -1)
            cache = state.cache[index]
            cache.index_copy_(3, state.position, qkv[:, 1:].transpose(0, 1))
            seen = F.scaled_dot_product_attention(
                qkv[:, 0], cache[0, :, :, :length], cache[1, :, :, :length], attn_mask=filled
            )
            x.addmm_(seen.reshape(rows, self.hidden), layer.self_out.t())

            query = F.linear(layer.cross_norm(x[:batch]), layer.cross_q).view(batch, self.heads, 1, -1)
            keys, values = state.text_cache[index]
            read = F.scaled_dot_product_attention(query, keys, values, attn_mask=state.text_mask)
            x[:batch].addmm_(read.reshape(batch, self.hidden), layer.cross_out.t())

            x.addmm_(self.activation(F.linear(layer.final_norm(x), layer.fc1)), layer.fc2.t())
        logits = F.linear(self.final_norm(x), self.output)
        return logits.float().view(rows, self.codebooks, self.vocabulary)


class _State:
    """Everything a step reads and writes, at fixed addresses, for one shape of batch."""

    def __init__(self, decoder: Decoder, shape: tuple[int, int, int, Sampling]):
        batch, length, steps, sampling = shape
        self.decoder, self.shape, self.sampling, self.steps = decoder, shape, sampling, steps
        self.batch = batch
        self.rows = 2 * batch if sampling.guidance_scale > 1 else batch
        on_gpu = decoder.device.type == "cuda"
        self.positions = math.ceil(steps / CACHE_BLOCK) * CACHE_BLOCK if on_gpu else steps
        head = decoder.hidden // decoder.heads
        device, dtype, layers = decoder.device, decoder.dtype, len(decoder.layers)
        self.cache = torch.zeros(layers, 2, self.rows, decoder.heads, self.positions, head, device=device, dtype=dtype)
        self.text_cache = torch.zeros(layers, 2, batch, decoder.heads, length, head, device=device, dtype=dtype)
        # Additive masks: attention would turn a boolean one into an additive one in every layer and step. The kernel
        # wants rows of whole eights, and would copy a mask whose rows are not.
        padded = math.ceil(length / 8) * 8
        self.text_mask = torch.zeros(batch, 1, 1, padded, device=device, dtype=dtype)[..., :length]
        self.filled = torch.full((self.positions,), -math.inf, device=device, dtype=dtype)
        """0 at the positions that the cache holds already."""
        table = decoder.positions.get_embedding(steps, decoder.hidden)
        self.position_table = table.to(device=device, dtype=dtype)
        self.position = torch.zeros(1, device=device, dtype=torch.long)
        self.sequence = torch.zeros(batch, decoder.codebooks, steps + 1, device=device, dtype=torch.long)
        self.pads = torch.zeros(decoder.codebooks, steps + 1, device=device, dtype=torch.bool)
        self.bits = torch.zeros(steps, batch, decoder.codebooks, 2, device=device, dtype=torch.long)
        block = (CACHE_BLOCK, batch, decoder.codebooks, decoder.vocabulary)
        self.noise = torch.zeros(block, device=device) if on_gpu and sampling.temperature else None
        """On a GPU the noise of all codes for a block of steps: the hash is thirty kernels, which are made once for
        all of them. A CPU hashes the candidates alone, which are few."""
        self.total = torch.zeros((), device=device)
        """Sum of all logits so far: finite when and only when each of them was."""
        self.graphs: list[torch.cuda.CUDAGraph] | None = None
        self.eager = not on_gpu

    def begin(self, bits: Tensor, pads: Tensor) -> None:
        """Back to the first position. bits: (B, steps, K, 2) from ``noise.bits``; pads: (K, steps + 1)."""
        self.position.zero_()
        self.total.zero_()
        self.filled.fill_(-math.inf)
        self.sequence.fill_(self.decoder.pad)
        self.bits.copy_(bits.transpose(0, 1))
        self.pads.copy_(pads)

    def advance(self, step: int) -> None:
        """Decode one position: a graph where there is one, else the operations themselves."""
        if self.noise is not None and step % CACHE_BLOCK == 0:
            self._draw(self.noise, step)
        if self.graphs is not None:
            self.graphs[step // CACHE_BLOCK].replay()
        elif self.eager:
            self.step(step + 1, masked=False)
        else:
            # As a graph would: the codes are then the same with graphs and without.
            self.step((step // CACHE_BLOCK + 1) * CACHE_BLOCK, masked=True)

    def step(self, length: int, masked: bool) -> None:
        """One step on the device alone: codes of this position in, codes of the next one out."""
        tokens = self.sequence.index_select(2, self.position)[:, :, 0]
        logits = self.decoder.logits(self, tokens, length, masked)
        if self.rows > self.batch:
            text, null = logits.split(self.batch)
            logits = torch.lerp(null, text, self.sampling.guidance_scale)
        self.total += logits.sum()
        chosen = choose(logits, self.sampling, self._gumbel)
        self.position += 1
        chosen = chosen.masked_fill(self.pads.index_select(1, self.position)[:, 0], self.decoder.pad)
        self.sequence.index_copy_(2, self.position, chosen[..., None])

    def _draw(self, drawn: Tensor, first: int) -> None:
        """The noise of the block of steps that begins with ``first``, a few steps at a time to save memory."""
        codes = torch.arange(self.decoder.vocabulary, device=drawn.device)
        for at in range(0, min(CACHE_BLOCK, self.steps - first), DRAWN_STEPS):
            words = self.bits[first + at : first + min(at + DRAWN_STEPS, CACHE_BLOCK)]
            drawn[at : at + len(words)] = noise.gumbel(words, codes)

    def _gumbel(self, codes: Tensor) -> Tensor:
        """Noise of the candidates ``codes`` (B, K, C) at this position."""
        if self.noise is None:
            return noise.gumbel(self.bits.index_select(0, self.position)[0], codes)
        return self.noise.index_select(0, self.position % CACHE_BLOCK)[0].gather(-1, codes)

    def capture(self) -> None:
        """Record one CUDA graph for each block of positions; without graphs decoding goes on step by step."""
        if self.eager or not self.decoder.graphs or self.graphs is not None or Decoder.capture_failed:
            return
        try:
            # A capture that fails does not lead back to the stream that was current before it.
            with torch.cuda.stream(torch.cuda.current_stream(self.decoder.device)):
                self.graphs = self._record()
        except RuntimeError as error:
            if ran_out(error):
                raise
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            log.warning("CUDA graph capture failed, decoding without it: %s", reason)
            Decoder.capture_failed = True

    def _record(self) -> list[torch.cuda.CUDAGraph]:
        lengths = range(CACHE_BLOCK, self.positions + 1, CACHE_BLOCK)
        current, side = torch.cuda.current_stream(self.decoder.device), _capture_stream(self.decoder.device)
        # Libraries choose kernels and allocate workspaces on first use, which must not happen while recording.
        side.wait_stream(current)
        with torch.cuda.stream(side):
            for length in lengths:
                self.position.zero_()
                self.step(length, masked=True)
        current.wait_stream(side)
        graphs: list[torch.cuda.CUDAGraph] = []
        pool = torch.cuda.graph_pool_handle()
        for length in lengths:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=pool, stream=side):
                self.step(length, masked=True)
            graphs.append(graph)
        return graphs


def _additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """What attention adds to its scores: 0 where ``mask`` is true, minus infinity elsewhere."""
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(~mask, -math.inf)


@cache
def _capture_stream(device: torch.device) -> torch.cuda.Stream:
    # One for all captures: cuBLAS keeps a workspace for every stream it was ever called on.
    return torch.cuda.Stream(device)


def choose(logits: Tensor, sampling: Sampling, gumbel: Callable[[Tensor], Tensor]) -> Tensor:
    """Next codes (B, K) from logits (B, K, V) and this step's Gumbel noise of codes (B, K, C).

    The Gumbel-max form of sampling: the best candidate of log probability plus noise. Two models whose probabilities
    are close then mostly choose the same code from the same noise, which an inverse distribution function would not.
    """
    if sampling.temperature == 0:
        return logits.argmax(-1)
    scores = logits if sampling.temperature == 1 else logits / sampling.temperature
    kept = min(sampling.top_k, scores.shape[-1]) if sampling.top_k else scores.shape[-1]
    scores, codes = scores.topk(kept, dim=-1)
    if 0 < sampling.top_p < 1:
        probabilities = scores.softmax(-1)
        before = probabilities.cumsum(-1) - probabilities
        scores = scores.masked_fill(before >= sampling.top_p, -math.inf)
    best = (scores + gumbel(codes)).argmax(-1, keepdim=True)
    return codes.gather(-1, best)[..., 0]


def effective_weight(module: Any) -> Tensor:
    """Weight (out, in) of a linear module with its active LoRA adapters added in fp32; the module stays as it is."""
    if not hasattr(module, "lora_A"):
        return module.weight.detach()
    weight = module.get_base_layer().weight.detach()
    if module.disable_adapters or module.merged:
        return weight
    merged = weight.float()
    for name in module.active_adapters:
        if name in module.lora_A:
            down, up = module.lora_A[name].weight.detach().float(), module.lora_B[name].weight.detach().float()
            merged = merged + module.scaling[name] * (up @ down)
    return merged
