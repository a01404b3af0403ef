"""Tiny models of many families, and batches for them."""

from __future__ import annotations

from typing import Any

import torch

TEXT: dict[str, Any] = {
    "vocab_size": 20,
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 34,
}
DECODER = {**TEXT, "num_key_value_heads": 1, "pad_token_id": 0}
PAIR: dict[str, Any] = {
    "vocab_size": 20,
    "d_model": 8,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 16,
    "decoder_ffn_dim": 16,
    "max_position_embeddings": 32,
    "pad_token_id": 1,
}
GPT2 = {"vocab_size": 20, "n_embd": 8, "n_layer": 1, "n_head": 2, "n_positions": 32, "pad_token_id": 0}
T5 = {"vocab_size": 20, "d_model": 8, "num_layers": 1, "num_heads": 2, "d_ff": 16, "d_kv": 4}
DISTIL = {"vocab_size": 20, "dim": 8, "n_layers": 1, "n_heads": 2, "hidden_dim": 16, "max_position_embeddings": 32}
IMAGE = {
    "image_size": 8,
    "patch_size": 4,
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}
RESNET: dict[str, Any] = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]}

# class, configuration, kind of batch
EVERYDAY: list[tuple[str, dict[str, Any], str]] = [
    ("BertForSequenceClassification", TEXT, "class"),
    ("GPT2LMHeadModel", GPT2, "words"),
    ("ViTForImageClassification", IMAGE, "picture"),
]
SLOW: list[tuple[str, dict[str, Any], str]] = [
    ("BertModel", TEXT, "plain"),
    ("BertForMaskedLM", TEXT, "words"),
    ("BertForTokenClassification", TEXT, "tags"),
    ("BertForQuestionAnswering", TEXT, "answer"),
    ("BertForMultipleChoice", TEXT, "choice"),
    ("DistilBertForSequenceClassification", DISTIL, "class"),
    ("RobertaForSequenceClassification", TEXT, "class"),
    ("AlbertForMaskedLM", {**TEXT, "embedding_size": 8}, "words"),
    ("ElectraForTokenClassification", {**TEXT, "embedding_size": 8}, "tags"),
    ("DebertaV2ForSequenceClassification", {**TEXT, "relative_attention": True, "pos_att_type": ["p2c"]}, "class"),
    ("MPNetForMaskedLM", TEXT, "words"),
    ("ModernBertForMaskedLM", {**TEXT, "pad_token_id": 0, "local_attention": 4}, "words"),
    ("GPT2ForSequenceClassification", GPT2, "class"),
    ("LlamaForCausalLM", DECODER, "words"),
    ("MistralForCausalLM", {**DECODER, "sliding_window": 3}, "words"),
    ("FalconForCausalLM", TEXT, "words"),
    ("Gemma2ForCausalLM", {**DECODER, "head_dim": 4, "sliding_window": 3}, "words"),
    ("T5ForConditionalGeneration", T5, "pairs"),
    ("BartForConditionalGeneration", PAIR, "pairs"),
    ("MarianMTModel", {**PAIR, "decoder_start_token_id": 1}, "pairs"),
    ("ResNetForImageClassification", RESNET, "large"),
]


def batch(kind: str, rows: int, length: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """Inputs and labels; the last row ends with two gaps."""
    draw = torch.Generator().manual_seed(seed)

    def whole(high: int, *sizes: int, low: int = 0) -> torch.Tensor:
        return torch.randint(low, high, sizes, generator=draw)

    def real(*sizes: int) -> torch.Tensor:
        return torch.randn(sizes, generator=draw)

    words = {"input_ids": whole(18, rows, length, low=3), "attention_mask": torch.ones(rows, length, dtype=torch.long)}
    words["attention_mask"][-1, -2:] = 0
    made: dict[str, dict[str, torch.Tensor]] = {
        "plain": words,
        "class": {**words, "labels": whole(2, rows)},
        "words": {**words, "labels": words["input_ids"].masked_fill(words["attention_mask"] == 0, -100)},
        "tags": {**words, "labels": whole(2, rows, length)},
        "answer": {**words, "start_positions": whole(3, rows), "end_positions": whole(3, rows)},
        "choice": {name: torch.stack([one, one.flip(1)], 1) for name, one in words.items()}
        | {"labels": whole(2, rows)},
        "pairs": {**words, "decoder_input_ids": whole(18, rows, 4, low=3), "labels": whole(18, rows, 4)},
        "picture": {"pixel_values": real(rows, 3, 8, 8), "labels": whole(2, rows)},
        "large": {"pixel_values": real(rows, 3, 32, 32), "labels": whole(2, rows)},
    }
    return made[kind]
