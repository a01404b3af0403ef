"""Tiny models that write down what they hear."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from parity.architectures.harness import Case, texts

WHISPER: dict[str, Any] = {
    "vocab_size": 99,
    "num_mel_bins": 7,
    "d_model": 36,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_ffn_dim": 37,
    "decoder_ffn_dim": 41,
    "encoder_attention_heads": 3,
    "decoder_attention_heads": 4,
    "max_source_positions": 11,
    "max_target_positions": 24,
    "pad_token_id": 0,
    "bos_token_id": 94,
    "eos_token_id": 95,
    "decoder_start_token_id": 96,
    "begin_suppress_tokens": None,
}


def recordings(kind: str = "words", *, written: bool = True) -> Callable[[str], dict[str, Any]]:
    """Return a function from where padding is to three spectrograms with what is written about them.

    Args:
        kind: ``words`` to write, ``class`` of each recording, or ``""`` for no labels.
        written: give the decoder's inputs; else the model makes them of the labels.
    """

    def inputs(padding: str) -> dict[str, Any]:
        import torch

        draw = torch.Generator().manual_seed(13)
        given: dict[str, Any] = {"input_features": torch.randn(3, 7, 22, generator=draw)}
        if kind == "class":
            return {**given, "labels": torch.tensor([2, 0, 1])}
        target = torch.randint(1, 90, (3, 7), generator=draw)
        mask = torch.ones_like(target)
        if padding == "right":
            mask[0, 5:] = mask[2, 4:] = 0
        elif padding == "left":
            mask[0, :2] = mask[2, :3] = 0
        target = target * mask
        if kind == "words":
            given["labels"] = target.masked_fill(mask == 0, -100).flip(0)
        if written:
            given["decoder_input_ids"] = target
            if padding:
                given["decoder_attention_mask"] = mask
        return given

    return inputs


CASES: dict[str, Case] = {
    "whisper": Case("WhisperModel", WHISPER, recordings(""), ("", "right", "left")),
    "whisper-writes": Case("WhisperForConditionalGeneration", WHISPER, recordings(), ("", "right", "left")),
    "whisper-shifts": Case(
        "WhisperForConditionalGeneration", {**WHISPER, "activation_function": "relu"}, recordings(written=False)
    ),
    "whisper-class": Case(
        "WhisperForAudioClassification",
        {**WHISPER, "num_labels": 3, "classifier_proj_size": 20},
        recordings("class"),
        ("",),
    ),
    "whisper-weighted": Case(
        "WhisperForAudioClassification",
        {**WHISPER, "num_labels": 3, "use_weighted_layer_sum": True},
        recordings("class"),
        ("",),
    ),
    "whisper-causal": Case("WhisperForCausalLM", WHISPER, texts("words"), ("", "right", "left")),
}
