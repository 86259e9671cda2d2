"""What a demo clip sounds like, in numbers: features, onset rate, flux, and a classifier of style and tempo.

The classifier learns from clips after a round trip through the codec, so that it hears the codec's sound everywhere,
some of them with a few wrong frames, and reports its own accuracy on clips it did not learn from.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

RATE = 16_000
HOP = 160
BANDS = 40
LAGS = 200  # of the onset envelope's autocorrelation: 2 s


def log_mel(samples: np.ndarray) -> np.ndarray:
    """Log mel energies of 16 kHz samples: (bands, times), 100 times a second; what is 30 dB below the loudest is equal.

    Without that floor, the codec's quantisation noise between notes would count as onsets.
    """
    window = torch.hann_window(512)
    spectrum = torch.stft(torch.from_numpy(samples), 512, HOP, window=window, return_complex=True).abs().numpy() ** 2
    energy = _filters() @ spectrum
    return np.log(energy + 1e-3 * energy.max() + 1e-6)


def _filters() -> np.ndarray:
    mel = np.linspace(0, 2595 * np.log10(1 + RATE / 2 / 700), BANDS + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    bins = np.arange(257) * RATE / 512
    rise = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(0, np.minimum(rise, fall))


def onset_envelope(samples: np.ndarray) -> np.ndarray:
    """Rise of log mel energy at each time, summed over bands."""
    return np.maximum(0, np.diff(log_mel(samples), axis=1)).sum(0)


def flux(samples: np.ndarray) -> float:
    """Mean spectral flux: how much changes from one hundredth of a second to the next."""
    return float(onset_envelope(samples).mean())


def onset_rate(samples: np.ndarray) -> float:
    """Onsets a second: peaks of the envelope over 50 ms that reach a quarter of the strong ones."""
    envelope = np.convolve(onset_envelope(samples), np.ones(5), "same")
    padded = np.pad(envelope, 5)
    highest = np.lib.stride_tricks.sliding_window_view(padded, 11).max(1)
    peaks = (envelope == highest) & (envelope > 0.25 * np.quantile(envelope, 0.98))
    return float(peaks.sum() / (len(samples) / RATE))


def features(samples: np.ndarray) -> np.ndarray:
    """Mean, spread and flux by band, and the autocorrelation of the onset envelope."""
    mel = log_mel(samples)
    rise = np.maximum(0, np.diff(mel, axis=1))
    envelope = np.convolve(rise.sum(0), np.ones(5) / 5, "same")
    envelope = envelope - envelope.mean()
    spectrum = np.abs(np.fft.rfft(envelope, 2 * len(envelope))) ** 2
    correlation = np.fft.irfft(spectrum)[: LAGS + 1]
    return np.concatenate([mel.mean(1), mel.std(1), rise.mean(1), correlation[1:] / (correlation[0] + 1e-9)])


class Judge:
    """Says which of `labels` a clip's features are: a small network, trained in seconds."""

    def __init__(self, inputs: np.ndarray, labels: Sequence[str], seed: int = 0) -> None:
        self.names = sorted(set(labels))
        self.mean, self.spread = inputs.mean(0), inputs.std(0) + 1e-3
        targets = torch.tensor([self.names.index(label) for label in labels])
        torch.manual_seed(seed)
        self.network = nn.Sequential(
            nn.Dropout(0.2), nn.Linear(inputs.shape[1], 96), nn.ReLU(), nn.Dropout(0.2), nn.Linear(96, len(self.names))
        )
        optimizer = torch.optim.AdamW(self.network.parameters(), lr=3e-3, weight_decay=0.05)
        scaled = self._scaled(inputs)
        for _ in range(300):
            optimizer.zero_grad()
            nn.functional.cross_entropy(self.network(scaled), targets).backward()
            optimizer.step()
        self.network.eval()

    def _scaled(self, inputs: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.clip((inputs - self.mean) / self.spread, -3, 3).astype(np.float32))

    @torch.no_grad()
    def __call__(self, inputs: np.ndarray) -> list[str]:
        """Labels of features (clips, n)."""
        return [self.names[index] for index in self.network(self._scaled(inputs)).argmax(1)]

    def accuracy(self, inputs: np.ndarray, labels: Sequence[str]) -> float:
        return float(np.mean([said == label for said, label in zip(self(inputs), labels, strict=True)]))
