"""Tiny models of the families of text encoders."""

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
}
ROBERTA: dict[str, Any] = {**BERT, "pad_token_id": 1, "type_vocab_size": 1}
ELECTRA: dict[str, Any] = {**BERT, "embedding_size": 20}
ALBERT: dict[str, Any] = {**BERT, "embedding_size": 20, "num_hidden_layers": 5, "num_hidden_groups": 2}
MPNET: dict[str, Any] = {key: value for key, value in BERT.items() if key != "type_vocab_size"}
DECODER: dict[str, Any] = {"is_decoder": True, "add_cross_attention": True}
ALL = ("", "right", "left")

# arguments of ``texts`` by the ending of the class that they fit, with what the configuration needs
HEADS: dict[str, tuple[str, dict[str, Any]]] = {
    "Model": ("", {}),
    "ForMaskedLM": ("words", {}),
    "ForSequenceClassification": ("class", {"num_labels": 3}),
    "ForTokenClassification": ("tokens", {"num_labels": 3}),
    "ForQuestionAnswering": ("span", {}),
    "ForMultipleChoice": ("choice", {}),
}


def heads(prefix: str, config: dict[str, Any], pad: int = 0) -> dict[str, Case]:
    """Return a case for each of a family's usual classes."""
    return {
        f"{prefix.lower()}-{ending.removeprefix('For').lower()}": Case(
            f"{prefix}{ending}", {**config, **more}, texts(kind, pad=pad)
        )
        for ending, (kind, more) in HEADS.items()
    }


def crossed(pad: int = 0) -> Callable[[str], dict[str, Any]]:
    """Return inputs with an encoder's states, one row of which is padded."""

    def inputs(padding: str) -> dict[str, Any]:
        import torch

        states = torch.randn(3, 5, 36, generator=torch.Generator().manual_seed(3))
        mask = torch.ones(3, 5, dtype=torch.long)
        mask[1, 2:] = 0
        given = texts("words", pad=pad)(padding)
        return {**given, "encoder_hidden_states": states, "encoder_attention_mask": mask}

    return inputs


def replaced(padding: str) -> dict[str, Any]:
    """Return inputs with labels that say which words were replaced."""
    given = texts()(padding)
    return {**given, "labels": given["input_ids"] % 2}


def ordered(padding: str) -> dict[str, Any]:
    """Return inputs with ALBERT's two kinds of labels."""
    given = texts("both")(padding)
    given["sentence_order_label"] = given.pop("next_sentence_label")
    return given


def segments(padding: str) -> dict[str, Any]:
    """Return inputs of two segments."""
    given = texts()(padding)
    return {**given, "token_type_ids": (given["input_ids"] > 45).long()}


CASES: dict[str, Case] = {
    "bert-crossed": Case("BertLMHeadModel", {**BERT, **DECODER}, crossed(), ALL),
    "bert-segments": Case("BertModel", BERT, segments),
    **heads("Roberta", ROBERTA, pad=1),
    "roberta-many": Case("RobertaForSequenceClassification", {**ROBERTA, "num_labels": 3}, texts("many", pad=1)),
    "roberta-left": Case("RobertaModel", ROBERTA, texts(pad=1), ALL),
    "roberta-causal": Case("RobertaForCausalLM", {**ROBERTA, "is_decoder": True}, texts("words", pad=1), ALL),
    "roberta-crossed": Case("RobertaForCausalLM", {**ROBERTA, **DECODER}, crossed(1), ALL),
    "roberta-untied": Case("RobertaForMaskedLM", {**ROBERTA, "tie_word_embeddings": False}, texts("words", pad=1)),
    **heads("XLMRoberta", ROBERTA, pad=1),
    "xlmroberta-causal": Case("XLMRobertaForCausalLM", {**ROBERTA, "is_decoder": True}, texts("words", pad=1), ALL),
    **heads("Electra", ELECTRA),
    "electra-wide": Case("ElectraModel", {**ELECTRA, "embedding_size": 36}, segments, ALL),
    "electra-pretraining": Case("ElectraForPreTraining", ELECTRA, replaced),
    "electra-causal": Case("ElectraForCausalLM", {**ELECTRA, "is_decoder": True}, texts("words"), ALL),
    "electra-crossed": Case("ElectraForCausalLM", {**ELECTRA, **DECODER}, crossed(), ALL),
    **{
        f"electra-{kind}": Case(
            "ElectraForMultipleChoice",
            {**ELECTRA, "summary_type": kind, "summary_use_proj": kind != "last", "summary_activation": "tanh"},
            texts("choice"),
        )
        for kind in ("last", "mean", "cls_index")
    },
    **heads("Albert", ALBERT),
    "albert-pretraining": Case("AlbertForPreTraining", ALBERT, ordered),
    "albert-inner": Case("AlbertModel", {**ALBERT, "inner_group_num": 2, "num_hidden_layers": 4}, segments, ALL),
    **heads("MPNet", {**MPNET, "pad_token_id": 1}, pad=1),
    "mpnet-left": Case("MPNetModel", {**MPNET, "pad_token_id": 1}, texts(pad=1), ALL),
}
