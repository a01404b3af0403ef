"""Tiny models of the first four families."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from parity.architectures.harness import Case, texts

BERT: dict[str, Any] = {
    "vocab_size": 99,
    "hidden_size": 36,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 37,
    "max_position_embeddings": 40,
    "initializer_range": 0.3,
}
DISTIL = {"vocab_size": 99, "dim": 36, "n_layers": 2, "n_heads": 3, "hidden_dim": 37, "max_position_embeddings": 40}
DISTIL["initializer_range"] = 0.3  # type: ignore[assignment]
GPT2: dict[str, Any] = {
    "vocab_size": 99,
    "n_embd": 36,
    "n_layer": 2,
    "n_head": 3,
    "n_positions": 40,
    "bos_token_id": 98,
    "eos_token_id": 98,
    "pad_token_id": 0,
    "initializer_range": 0.3,
}
LLAMA: dict[str, Any] = {
    "vocab_size": 99,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 37,
    "max_position_embeddings": 16,
    "pad_token_id": 0,
    "initializer_range": 0.3,
}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8,
    "rope_theta": 10000.0,
}

ALL = ("", "right", "left")


def choices(marked: bool = True) -> Callable[[str], dict[str, Any]]:
    """Return inputs of one row of three texts, with words to learn, and the token that speaks for each text."""

    def inputs(padding: str) -> dict[str, Any]:
        import torch

        given = texts("choice")(padding)
        fits = given.pop("labels")
        words = torch.where(given["attention_mask"] == 1, given["input_ids"], -100)
        chosen = {"mc_token_ids": given["attention_mask"].sum(-1) - 1} if marked else {}
        return {**given, **chosen, "labels": words, "mc_labels": fits}

    return inputs


CASES: dict[str, Case] = {
    "bert": Case("BertModel", BERT, texts()),
    "bert-sequence": Case("BertForSequenceClassification", {**BERT, "num_labels": 3}, texts("class")),
    "bert-regression": Case("BertForSequenceClassification", {**BERT, "num_labels": 1}, texts("number")),
    "bert-many": Case("BertForSequenceClassification", {**BERT, "num_labels": 3}, texts("many")),
    "bert-token": Case("BertForTokenClassification", {**BERT, "num_labels": 3}, texts("tokens")),
    "bert-question": Case("BertForQuestionAnswering", BERT, texts("span")),
    "bert-choice": Case("BertForMultipleChoice", BERT, texts("choice")),
    "bert-masked": Case("BertForMaskedLM", BERT, texts("words")),
    "bert-next": Case("BertForNextSentencePrediction", BERT, texts("next")),
    "bert-pretraining": Case("BertForPreTraining", BERT, texts("both")),
    "bert-causal": Case("BertLMHeadModel", {**BERT, "is_decoder": True}, texts("words"), ALL),
    "distilbert": Case("DistilBertModel", DISTIL, texts()),
    "distilbert-sequence": Case("DistilBertForSequenceClassification", {**DISTIL, "num_labels": 3}, texts("class")),
    "distilbert-token": Case("DistilBertForTokenClassification", DISTIL, texts("tokens2")),
    "distilbert-question": Case("DistilBertForQuestionAnswering", DISTIL, texts("span")),
    "distilbert-choice": Case("DistilBertForMultipleChoice", DISTIL, texts("choice")),
    "distilbert-masked": Case("DistilBertForMaskedLM", DISTIL, texts("words")),
    "gpt2": Case("GPT2Model", GPT2, texts(), ALL),
    "gpt2-causal": Case("GPT2LMHeadModel", GPT2, texts("words"), ALL),
    "gpt2-scaled": Case(
        "GPT2LMHeadModel", {**GPT2, "scale_attn_by_inverse_layer_idx": True, "n_inner": 50}, texts("words"), ALL
    ),
    "gpt2-sequence": Case("GPT2ForSequenceClassification", {**GPT2, "num_labels": 3}, texts("class"), ALL),
    "gpt2-double": Case("GPT2DoubleHeadsModel", GPT2, choices()),
    "gpt2-double-unmarked": Case("GPT2DoubleHeadsModel", GPT2, choices(False)),
    # their other summaries take one text for another where there are several a row
    "gpt2-double-last": Case(
        "GPT2DoubleHeadsModel", {**GPT2, "summary_type": "last", "summary_activation": "tanh"}, texts("words")
    ),
    "gpt2-double-mean": Case(
        "GPT2DoubleHeadsModel", {**GPT2, "summary_type": "mean", "summary_use_proj": False}, texts("words")
    ),
    "gpt2-token": Case("GPT2ForTokenClassification", {**GPT2, "num_labels": 3}, texts("tokens"), ALL),
    "gpt2-question": Case("GPT2ForQuestionAnswering", GPT2, texts("span"), ALL),
    "llama": Case("LlamaModel", LLAMA, texts(), ALL),
    "llama-causal": Case("LlamaForCausalLM", LLAMA, texts("words"), ALL),
    "llama-tied": Case(
        "LlamaForCausalLM", {**LLAMA, "tie_word_embeddings": True, "num_key_value_heads": 4}, texts("words"), ALL
    ),
    "llama-one-head": Case(
        "LlamaForCausalLM", {**LLAMA, "num_key_value_heads": 1, "attention_bias": True}, texts("words"), ALL
    ),
    "llama-wide-heads": Case("LlamaForCausalLM", {**LLAMA, "head_dim": 12, "mlp_bias": True}, texts("words"), ALL),
    "llama-linear": Case(
        "LlamaForCausalLM", {**LLAMA, "rope_scaling": {"rope_type": "linear", "factor": 2.0}}, texts("words"), ALL
    ),
    "llama-dynamic": Case(
        "LlamaForCausalLM",
        {**LLAMA, "max_position_embeddings": 6, "rope_scaling": {"rope_type": "dynamic", "factor": 2.0}},
        texts("words"),
        ALL,
    ),
    "llama-llama3": Case("LlamaForCausalLM", {**LLAMA, "rope_parameters": LLAMA3}, texts("words"), ALL),
    "llama-sequence": Case("LlamaForSequenceClassification", {**LLAMA, "num_labels": 3}, texts("class"), ALL),
    "llama-token": Case("LlamaForTokenClassification", {**LLAMA, "num_labels": 3}, texts("tokens"), ALL),
    "llama-question": Case("LlamaForQuestionAnswering", LLAMA, texts("span"), ALL),
}
