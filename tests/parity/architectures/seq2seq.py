"""Tiny models that turn a text into another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from parity.architectures.harness import Case, texts

T5: dict[str, Any] = {
    "vocab_size": 99,
    "d_model": 36,
    "d_kv": 10,
    "d_ff": 37,
    "num_layers": 2,
    "num_decoder_layers": 3,
    "num_heads": 3,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 7,
    "decoder_start_token_id": 0,
    "eos_token_id": 95,
}
GATED = {**T5, "feed_forward_proj": "gated-gelu", "num_decoder_layers": None}
BART: dict[str, Any] = {
    "vocab_size": 99,
    "d_model": 36,
    "encoder_layers": 3,
    "decoder_layers": 2,
    "encoder_ffn_dim": 37,
    "decoder_ffn_dim": 41,
    "encoder_attention_heads": 3,
    "decoder_attention_heads": 4,
    "max_position_embeddings": 24,
    "pad_token_id": 0,
    "bos_token_id": 94,
    "eos_token_id": 95,
    "decoder_start_token_id": 96,
}
SCALED = {**BART, "scale_embedding": True, "activation_function": "relu"}
MARIAN = {**BART, "decoder_vocab_size": 99, "activation_function": "swish", "scale_embedding": True}
APART = {**MARIAN, "decoder_vocab_size": 93, "share_encoder_decoder_embeddings": False}

ALL = ("", "right", "left")


def pairs(kind: str = "words", *, written: bool = True, vocabulary: int = 90) -> Callable[[str], dict[str, Any]]:
    """Return a function from where padding is to three texts with what is written for them.

    Args:
        kind: ``words`` to write, ``class`` of each text, ``span`` in it, or ``""`` for no labels.
        written: give the decoder's inputs; else the model makes them.
        vocabulary: ids are below it.
    """

    def inputs(padding: str) -> dict[str, Any]:
        import torch

        draw = torch.Generator().manual_seed(11)
        ids = torch.randint(1, vocabulary, (3, 9), generator=draw)
        target = torch.randint(1, vocabulary, (3, 7), generator=draw)
        mask, target_mask = torch.ones_like(ids), torch.ones_like(target)
        if padding == "right":
            mask[0, 6:] = mask[1, 3:] = 0
            target_mask[0, 5:] = target_mask[2, 4:] = 0
        elif padding == "left":
            mask[0, :3] = mask[1, :6] = 0
            target_mask[0, :2] = target_mask[2, :3] = 0
        if kind == "class":
            ids[:, 4] = 95
            mask[:, 4] = 1
        ids, target = ids * mask, target * target_mask
        given = {"input_ids": ids, "attention_mask": mask}
        if written:
            given |= {"decoder_input_ids": target, "decoder_attention_mask": target_mask}
        if not padding:
            given.pop("attention_mask")
            given.pop("decoder_attention_mask", None)
        if kind == "words":
            given["labels"] = target.masked_fill(target_mask == 0, -100).flip(0)
        elif kind == "class":
            given["labels"] = torch.tensor([2, 0, 1])
        elif kind == "span":
            given |= {"start_positions": torch.tensor([1, 0, 20]), "end_positions": torch.tensor([4, 2, 1])}
        return given

    return inputs


def beside(padding: str) -> dict[str, Any]:
    """Return a text for a decoder with states of an encoder beside it."""
    import torch

    given = texts("words")(padding)
    draw = torch.Generator().manual_seed(3)
    mask = torch.ones(3, 5, dtype=torch.long)
    mask[1, 3:] = 0
    return {
        **given,
        "encoder_hidden_states": torch.randn(3, 5, 36, generator=draw),
        "encoder_attention_mask": mask,
    }


CASES: dict[str, Case] = {
    "t5": Case("T5Model", T5, pairs(""), ALL),
    "t5-writes": Case("T5ForConditionalGeneration", T5, pairs(), ALL),
    "t5-shifts": Case("T5ForConditionalGeneration", T5, pairs(written=False)),
    "t5-gated": Case("T5ForConditionalGeneration", GATED, pairs(), ALL),
    "t5-encoder": Case("T5EncoderModel", T5, texts(), ALL),
    "t5-sequence": Case("T5ForSequenceClassification", {**T5, "num_labels": 3}, pairs("class", written=False)),
    "t5-token": Case("T5ForTokenClassification", {**T5, "num_labels": 3}, texts("tokens")),
    "t5-question": Case("T5ForQuestionAnswering", T5, pairs("span", written=False)),
    "mt5-writes": Case("MT5ForConditionalGeneration", {**T5, "tie_word_embeddings": True}, pairs()),
    "bart": Case("BartModel", BART, pairs("", written=False), ALL),
    "bart-writes": Case("BartForConditionalGeneration", BART, pairs(), ALL),
    "bart-shifts": Case("BartForConditionalGeneration", SCALED, pairs(written=False)),
    "bart-untied": Case("BartForConditionalGeneration", {**BART, "tie_word_embeddings": False}, pairs()),
    "bart-sequence": Case("BartForSequenceClassification", {**BART, "num_labels": 3}, pairs("class", written=False)),
    "bart-question": Case("BartForQuestionAnswering", BART, pairs("span", written=False)),
    "bart-causal": Case("BartForCausalLM", BART, texts("words"), ALL),
    "bart-causal-beside": Case("BartForCausalLM", BART, beside, ALL),
    "mbart-writes": Case("MBartForConditionalGeneration", SCALED, pairs(), ALL),
    "mbart-shifts": Case("MBartForConditionalGeneration", BART, pairs(written=False)),
    "mbart-sequence": Case("MBartForSequenceClassification", {**BART, "num_labels": 3}, pairs("class", written=False)),
    "mbart-question": Case("MBartForQuestionAnswering", BART, pairs("span", written=False)),
    "mbart-causal": Case("MBartForCausalLM", BART, texts("words"), ALL),
    "m2m": Case("M2M100Model", SCALED, pairs(""), ALL),
    "m2m-writes": Case("M2M100ForConditionalGeneration", SCALED, pairs(), ALL),
    "m2m-shifts": Case("M2M100ForConditionalGeneration", {**BART, "d_model": 36}, pairs(written=False)),
    "marian": Case("MarianModel", MARIAN, pairs("")),
    "marian-writes": Case("MarianMTModel", MARIAN, pairs(), ALL),
    "marian-apart": Case("MarianMTModel", APART, pairs()),
    "marian-causal": Case("MarianForCausalLM", MARIAN, texts("words"), ALL),
    "pegasus": Case("PegasusModel", BART, pairs("")),
    "pegasus-writes": Case("PegasusForConditionalGeneration", SCALED, pairs(), ALL),
    "pegasus-causal": Case("PegasusForCausalLM", BART, texts("words"), ALL),
}
