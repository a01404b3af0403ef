"""Encoders and decoders of different families, put together."""

from __future__ import annotations

from typing import Any

from parity.architectures.harness import Case
from parity.architectures.seq2seq import pairs

BERT: dict[str, Any] = {
    "model_type": "bert",
    "vocab_size": 99,
    "hidden_size": 36,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 37,
    "max_position_embeddings": 24,
}
WRITES = {"is_decoder": True, "add_cross_attention": True}
GPT2: dict[str, Any] = {
    "model_type": "gpt2",
    "vocab_size": 99,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 24,
    "bos_token_id": 98,
    "eos_token_id": 98,
    **WRITES,
}
VIT: dict[str, Any] = {
    "model_type": "vit",
    "hidden_size": 36,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 37,
    "image_size": 12,
    "patch_size": 4,
}
TOKENS = {"pad_token_id": 0, "decoder_start_token_id": 96}


def pictures(padding: str) -> dict[str, Any]:
    """Return pictures with what is written about them."""
    import torch

    given = pairs()(padding)
    draw = torch.Generator().manual_seed(5)
    names = ("decoder_input_ids", "decoder_attention_mask", "labels")
    return {"pixel_values": torch.randn(3, 3, 12, 12, generator=draw)} | {n: given[n] for n in names if n in given}


def of(name: str, encoder: dict[str, Any], decoder: dict[str, Any]) -> Any:
    """Return a function from a library to the configuration of two parts."""
    return lambda library: getattr(library, name)(encoder=encoder, decoder=decoder, **TOKENS)


CASES: dict[str, Case] = {
    "bert-bert": Case("EncoderDecoderModel", of("EncoderDecoderConfig", BERT, {**BERT, **WRITES}), pairs()),
    "bert-gpt2": Case("EncoderDecoderModel", of("EncoderDecoderConfig", BERT, GPT2), pairs()),
    "bert-bert-shifts": Case(
        "EncoderDecoderModel", of("EncoderDecoderConfig", BERT, {**BERT, **WRITES}), pairs(written=False)
    ),
    "vit-gpt2": Case("VisionEncoderDecoderModel", of("VisionEncoderDecoderConfig", VIT, GPT2), pictures),
    "vit-bert": Case("VisionEncoderDecoderModel", of("VisionEncoderDecoderConfig", VIT, {**BERT, **WRITES}), pictures),
}
