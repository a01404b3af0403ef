"""Calls of the pipelines that answer a text with a text: tiny models, texts, arguments.

Imported by our tests and by the peers' Python, so it imports neither library.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from parity.pipelines import texts
from parity.pipelines.texts import STORY, TEXTS, Call

BART: dict[str, Any] = {
    "d_model": 24,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_ffn_dim": 29,
    "decoder_ffn_dim": 29,
    "encoder_attention_heads": 3,
    "decoder_attention_heads": 3,
    "max_position_embeddings": 300,
    "forced_eos_token_id": None,
}
T5: dict[str, Any] = {
    "d_model": 24,
    "d_kv": 8,
    "d_ff": 29,
    "num_layers": 2,
    "num_heads": 3,
    "pad_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
}
PARTICULAR = {
    "summarization": {"prefix": "name: ", "max_length": 9, "num_beams": 2, "no_repeat_ngram_size": 2},
    "translation_en_to_fr": {"prefix": "I live in Paris: ", "max_length": 30, "num_beams": 3},
}
# name → class of the model, its configuration, which tokenizer it has
MODELS: dict[str, tuple[str, dict[str, Any], str]] = {
    "bart": ("BartForConditionalGeneration", BART, "bytes"),
    "t5": ("T5ForConditionalGeneration", {**T5, "task_specific_params": PARTICULAR}, "bytes"),
    "t5-plain": ("T5ForConditionalGeneration", T5, "bytes"),
}
SHORT = {"max_new_tokens": 8, "no_repeat_ngram_size": 1}
SUM, MOVE, ANSWER, FRENCH = "summarization", "translation", "text2text-generation", "translation_en_to_fr"

CALLS: dict[str, Call] = {
    "sum": Call(SUM, "bart", [STORY], SHORT, four=True),
    "sum-list": Call(SUM, "bart", [TEXTS], SHORT, four=True),
    "sum-one": Call(SUM, "bart", [TEXTS[:1]], SHORT, four=True),
    "sum-lengths": Call(SUM, "bart", [STORY], {"max_new_tokens": 12, "min_length": 6, "num_beams": 2}, four=True),
    "sum-many": Call(SUM, "bart", [TEXTS[:2]], {**SHORT, "num_beams": 3, "num_return_sequences": 2}, four=True),
    "sum-ids": Call(SUM, "bart", [TEXTS[0]], {**SHORT, "return_tensors": True}, four=True),
    "sum-cut": Call(SUM, "bart", [STORY * 6], {**SHORT, "truncation": True}, four=True),
    "sum-made": Call(SUM, "bart", [TEXTS], {}, {"max_new_tokens": 5, "num_beams": 1}, four=True),
    "sum-told": Call(SUM, "t5", [TEXTS], {"max_new_tokens": 7}, four=True),
    "move": Call(MOVE, "t5-plain", [TEXTS[0]], SHORT, four=True),
    "move-named": Call(FRENCH, "t5-plain", [TEXTS], SHORT, four=True),
    "move-told": Call(FRENCH, "t5", [TEXTS], {"max_new_tokens": 9}, four=True),
    "answer": Call(ANSWER, "t5-plain", [TEXTS[0]], SHORT, four=True),
    "answer-list": Call(ANSWER, "t5-plain", [TEXTS], {**SHORT, "num_beams": 1}, four=True),
    "answer-long": Call(ANSWER, "t5-plain", [TEXTS[0]], {"num_beams": 1}, four=True),
    "answer-clean": Call(ANSWER, "bart", [TEXTS[0]], {**SHORT, "clean_up_tokenization_spaces": True}, four=True),
    "answer-stop": Call(ANSWER, "bart", [TEXTS[0]], {**SHORT, "stop_sequence": "é"}, four=True),
}


def make(library: Any, folder: Path) -> None:
    """Write every model and its tokenizer; their answers are to differ from text to text."""
    import torch

    texts.make(library, folder, MODELS)
    for name, (kind, _, _) in MODELS.items():
        model = getattr(library, kind).from_pretrained(folder / name)
        with torch.no_grad():
            for part, weight in model.named_parameters():
                if part.endswith(("layer_norm.weight", "layernorm_embedding.weight")):
                    weight.mul_(0.4).add_(1)
                elif part.endswith(("encoder_attn.v_proj.weight", "encoder_attn.out_proj.weight")):
                    weight.mul_(4)
        model.save_pretrained(folder / name)


def answers(library: Any, folder: Path, batch_size: int | None = None, four: bool = True) -> dict[str, Any]:
    """Return the answer to every call, as JSON holds it."""
    return texts.answers(library, folder, batch_size, four, CALLS)
