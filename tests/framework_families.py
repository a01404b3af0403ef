"""Tiny models of many families, and batches for them: rows that every framework's tests go through."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

TINY = {
    "vocab_size": 99,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
}
IMAGES = {**{name: value for name, value in TINY.items() if name != "vocab_size"}, "image_size": 16, "patch_size": 8}
WRITING = {
    "vocab_size": 99,
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24,
    "max_position_embeddings": 40,
}
T5 = {"vocab_size": 99, "d_model": 16, "d_ff": 24, "num_layers": 1, "num_heads": 2, "d_kv": 8}
GPT2 = {"vocab_size": 99, "n_embd": 16, "n_layer": 1, "n_head": 2}
WHISPER = {
    **{name: value for name, value in WRITING.items() if name != "max_position_embeddings"},
    "num_mel_bins": 8,
    "max_source_positions": 20,
    "max_target_positions": 20,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
}
SOUND = {
    **TINY,
    "conv_dim": [8, 8],
    "conv_kernel": [4, 4],
    "conv_stride": [2, 2],
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
}
TOWERS = {"text_config": {**TINY, "max_position_embeddings": 20}, "vision_config": IMAGES}
DEBERTA = {**TINY, "relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_buckets": 4}


class Family(NamedTuple):
    """A class, its numbers, and what it reads: words, pairs (a text and another), images, sound, features or towers."""

    prefix: str
    head: str
    numbers: dict[str, Any]
    reads: str = "words"

    @property
    def name(self) -> str:
        return self.prefix + self.head


EVERYDAY = [
    Family("Bert", "ForSequenceClassification", TINY),
    Family("GPT2", "LMHeadModel", GPT2),
    Family("Llama", "ForCausalLM", {**TINY, "num_key_value_heads": 1}),
    Family("T5", "ForConditionalGeneration", T5, "pairs"),
    Family("Bart", "ForConditionalGeneration", WRITING, "pairs"),
    Family("ViT", "ForImageClassification", IMAGES, "images"),
]
OTHERS = [
    Family("Roberta", "ForMaskedLM", TINY),
    Family("DistilBert", "ForQuestionAnswering", {"vocab_size": 99, "dim": 16, "n_layers": 1, "n_heads": 2}),
    Family("Whisper", "ForConditionalGeneration", WHISPER, "features"),
    Family("CLIP", "Model", TOWERS, "towers"),
    Family("Bert", "ForTokenClassification", TINY),
    Family("Bert", "ForMaskedLM", TINY),
    Family("Bert", "ForPreTraining", TINY),
    Family("Electra", "ForPreTraining", {**TINY, "embedding_size": 16}),
    Family("Albert", "ForSequenceClassification", {**TINY, "embedding_size": 8}),
    Family("DebertaV2", "ForTokenClassification", DEBERTA),
    Family("MPNet", "Model", TINY),
    Family("ModernBert", "ForMaskedLM", {**TINY, "pad_token_id": 0}),
    Family("Falcon", "ForCausalLM", {**{n: v for n, v in TINY.items() if n != "intermediate_size"}, "alibi": True}),
    Family("Mistral", "ForCausalLM", {**TINY, "num_key_value_heads": 1, "sliding_window": 3}),
    Family("Mixtral", "ForCausalLM", {**TINY, "num_key_value_heads": 1, "num_local_experts": 2}),
    Family("Gemma2", "ForCausalLM", {**TINY, "num_key_value_heads": 1, "head_dim": 8, "sliding_window": 3}),
    Family("Qwen3", "ForSequenceClassification", {**TINY, "num_key_value_heads": 1, "head_dim": 8, "pad_token_id": 0}),
    Family("Phi3", "ForCausalLM", {**TINY, "num_key_value_heads": 1, "pad_token_id": 0}),
    Family("Marian", "MTModel", {**WRITING, "pad_token_id": 0, "decoder_start_token_id": 0}, "pairs"),
    Family("Bart", "Model", WRITING, "pairs"),
    Family("DeiT", "ForImageClassification", IMAGES, "images"),
    Family("Dinov2", "Model", {**IMAGES, "mlp_ratio": 2}, "images"),
    Family(
        "ResNet",
        "ForImageClassification",
        {"embedding_size": 8, "hidden_sizes": [8, 8], "depths": [1, 1], "layer_type": "basic"},
        "images",
    ),
    Family("Siglip", "Model", TOWERS, "towers"),
    Family("Wav2Vec2", "ForCTC", SOUND, "sound"),
    Family("Hubert", "ForSequenceClassification", SOUND, "sound"),
]


def build(family: Family) -> Any:
    """Return the torch model, in evaluation, with weights that are far enough from zero to tell mistakes."""
    import torch

    import enfold.transformers as transformers

    torch.manual_seed(0)
    model = getattr(transformers, family.name)(getattr(transformers, f"{family.prefix}Config")(**family.numbers))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.02)
    return model.eval()


def batch(family: Family, rows: int, length: int) -> dict[str, np.ndarray]:
    """Return inputs with padding at the last row's end."""
    chance = np.random.default_rng(rows * 100 + length)

    def words(count: int) -> np.ndarray:
        return chance.integers(3, 90, (rows, count))

    def mask(count: int) -> np.ndarray:
        shown = np.ones((rows, count), np.int64)
        shown[-1, -2:] = 0
        return shown

    images = chance.standard_normal((rows, 3, 16, 16)).astype(np.float32)
    texts = {"input_ids": words(length), "attention_mask": mask(length)}
    if family.reads == "words":
        return texts
    if family.reads == "pairs":
        return {**texts, "decoder_input_ids": words(length + 1)}
    if family.reads == "images":
        return {"pixel_values": images}
    if family.reads == "towers":
        return {**texts, "pixel_values": images}
    if family.reads == "features":
        features = chance.standard_normal((rows, 8, 40)).astype(np.float32)
        return {"input_features": features, "decoder_input_ids": words(length)}
    samples = 60 + 13 * length
    return {
        "input_values": chance.standard_normal((rows, samples)).astype(np.float32),
        "attention_mask": mask(samples),
    }
