"""Tiny models of DeBERTa-v2 and ModernBERT."""

from __future__ import annotations

from typing import Any

from parity.architectures.encoders import ALL, heads, segments
from parity.architectures.harness import Case, texts

DEBERTA: dict[str, Any] = {
    "vocab_size": 99,
    "hidden_size": 36,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 37,
    "max_position_embeddings": 40,
    "relative_attention": True,
    "position_buckets": 6,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": "p2c|c2p",
    "position_biased_input": False,
}
MODERN: dict[str, Any] = {
    "vocab_size": 99,
    "hidden_size": 36,
    "num_hidden_layers": 4,
    "num_attention_heads": 3,
    "intermediate_size": 37,
    "max_position_embeddings": 40,
    "local_attention": 4,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "cls_token_id": 1,
    "sep_token_id": 2,
}
BIASED: dict[str, Any] = {"attention_bias": True, "mlp_bias": True, "norm_bias": True, "classifier_bias": True}


def answering(cases: dict[str, Case]) -> dict[str, Case]:
    """Return cases without the gradients of question answering."""
    return {name: case._replace(gradients="questionanswering" not in name) for name, case in cases.items()}


CASES: dict[str, Case] = {
    # Padding that sees nothing takes part in the loss of answers, and each side sends back another gradient from it.
    "debertav2-answer": Case("DebertaV2ForQuestionAnswering", DEBERTA, texts("span"), ("",)),
    "modernbert-answer": Case("ModernBertForQuestionAnswering", MODERN, texts("span"), ("",)),
    **answering(heads("DebertaV2", DEBERTA)),
    "debertav2-left": Case("DebertaV2Model", DEBERTA, texts(), ALL),
    "debertav2-own-keys": Case("DebertaV2Model", {**DEBERTA, "share_att_key": False}, texts(), ALL),
    "debertav2-content": Case("DebertaV2Model", {**DEBERTA, "pos_att_type": ["c2p"], "norm_rel_ebd": "none"}, texts()),
    "debertav2-distance": Case("DebertaV2Model", {**DEBERTA, "pos_att_type": "p2c", "position_buckets": -1}, texts()),
    "debertav2-near": Case("DebertaV2Model", {**DEBERTA, "max_relative_positions": 3, "position_buckets": -1}, texts()),
    "debertav2-plain": Case(
        "DebertaV2Model",
        {**DEBERTA, "relative_attention": False, "position_biased_input": True, "type_vocab_size": 2},
        segments,
        ALL,
    ),
    "debertav2-convolved": Case(
        "DebertaV2Model", {**DEBERTA, "conv_kernel_size": 3, "conv_act": "gelu", "conv_groups": 2}, texts(), ALL
    ),
    "debertav2-narrow": Case("DebertaV2ForMaskedLM", {**DEBERTA, "embedding_size": 20}, texts("words")),
    "debertav2-trained-head": Case("DebertaV2ForMaskedLM", {**DEBERTA, "legacy": False}, texts("words")),
    "debertav2-many": Case("DebertaV2ForSequenceClassification", {**DEBERTA, "num_labels": 3}, texts("many")),
    "debertav2-number": Case(
        "DebertaV2ForSequenceClassification",
        {**DEBERTA, "num_labels": 1, "problem_type": "regression"},
        texts("number"),
    ),
    **answering(heads("ModernBert", MODERN)),
    "modernbert-left": Case("ModernBertModel", {**MODERN, **BIASED}, texts(), ALL),
    "modernbert-mean": Case(
        "ModernBertForSequenceClassification",
        {**MODERN, **BIASED, "num_labels": 3, "classifier_pooling": "mean"},
        texts("class"),
        ALL,
    ),
    "modernbert-mean-choice": Case(
        "ModernBertForMultipleChoice", {**MODERN, "classifier_pooling": "mean"}, texts("choice"), ALL
    ),
    "modernbert-left-choice": Case("ModernBertForMultipleChoice", MODERN, texts("choice"), ALL),
    "modernbert-sparse": Case("ModernBertForMaskedLM", {**MODERN, "sparse_prediction": True}, texts("words")),
    "modernbert-untied": Case(
        "ModernBertForMaskedLM",
        {**MODERN, "tie_word_embeddings": False, "decoder_bias": False, "global_attn_every_n_layers": 2},
        texts("words"),
    ),
}
