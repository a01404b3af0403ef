"""Tiny models that turn sound into codes, codes into sound, and texts into either: EnCodec."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from parity.architectures.harness import Case

ENCODEC: dict[str, Any] = {
    "sampling_rate": 2400,
    "hidden_size": 16,
    "num_filters": 4,
    "upsampling_ratios": [4, 3],
    "codebook_size": 16,
    "target_bandwidths": [0.8, 2.4, 4.0],
    "num_lstm_layers": 1,
}
CHUNKS = {**ENCODEC, "audio_channels": 2, "normalize": True, "chunk_length_s": 0.1, "overlap": 0.1}
CHUNKS |= {"norm_type": "time_group_norm", "use_causal_conv": False}


def recordings(channels: int = 1, samples: int = 601, **extra: Any) -> Callable[[str], dict[str, Any]]:
    """Return a function from where padding is to two recordings."""

    def inputs(padding: str) -> dict[str, Any]:
        import torch

        sound = torch.randn(2, channels, samples, generator=torch.Generator().manual_seed(7))
        given: dict[str, Any] = {"input_values": sound}
        if padding == "right":
            mask = torch.ones(2, samples, dtype=torch.long)
            mask[1, 400:] = 0
            given["padding_mask"] = mask
        return given | extra

    return inputs


CASES: dict[str, Case] = {
    "encodec": Case("EncodecModel", ENCODEC, recordings(), explicit=False),
    "encodec-wide": Case("EncodecModel", ENCODEC, recordings(bandwidth=2.4), explicit=False),
    "encodec-constant": Case(
        "EncodecModel",
        {
            **ENCODEC,
            "pad_mode": "constant",
            "use_conv_shortcut": False,
            "num_residual_layers": 2,
            "trim_right_ratio": 0.5,
        },
        recordings(samples=5),
        ("",),
        explicit=False,
    ),
    "encodec-chunks": Case("EncodecModel", CHUNKS, recordings(2), explicit=False),
}
