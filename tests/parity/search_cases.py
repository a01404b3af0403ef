"""What both sides search for: groups of beams, constraints, contrasts between candidates and between layers.

Run by the peers' Python as ``python search_cases.py transformers``, it prints what search_golden.json holds; the last
transformers with these loops in it is 4.55.4. Weights are drawn from their names, so both sides have the same.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from parity.architectures.harness import Case, build, texts

GPT2 = {"vocab_size": 99, "n_embd": 36, "n_layer": 4, "n_head": 3, "n_positions": 60}
LLAMA = {"vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 6, "num_attention_heads": 4}
LLAMA |= {"num_key_value_heads": 2, "intermediate_size": 37, "max_position_embeddings": 60}
T5 = {"vocab_size": 99, "d_model": 32, "d_kv": 8, "d_ff": 37, "num_layers": 2, "num_heads": 4}
T5 |= {"relative_attention_num_buckets": 8, "decoder_start_token_id": 0}
BART = {"vocab_size": 99, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4}
BART |= {"decoder_attention_heads": 4, "encoder_ffn_dim": 37, "decoder_ffn_dim": 37, "max_position_embeddings": 60}
MODELS = {
    "gpt2": Case("GPT2LMHeadModel", GPT2, texts()),
    "llama": Case("LlamaForCausalLM", LLAMA, texts()),
    "t5": Case("T5ForConditionalGeneration", T5, texts()),
    "bart": Case("BartForConditionalGeneration", BART, texts()),
}
DECODERS = ("gpt2", "llama")
END = 98

# name → arguments of generate; "padded" pads a row. The old loops end a text with the first end token whichever it was,
# so there is one only.
RUNS: dict[str, dict[str, Any]] = {
    "groups": {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.7},
    "groups-alone": {"num_beams": 3, "num_beam_groups": 3, "diversity_penalty": 1.5, "num_return_sequences": 3},
    "groups-padded": {"num_beams": 6, "num_beam_groups": 2, "diversity_penalty": 2.0, "padded": True},
    "groups-all": {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.1, "num_return_sequences": 4},
    "groups-early": {
        "num_beams": 4,
        "num_beam_groups": 2,
        "diversity_penalty": 0.5,
        "early_stopping": True,
        "num_return_sequences": 4,
        "ends": True,
    },
    "groups-never": {
        "num_beams": 4,
        "num_beam_groups": 2,
        "diversity_penalty": 0.5,
        "early_stopping": "never",
        "length_penalty": 2.0,
        "ends": True,
    },
    "groups-short": {
        "num_beams": 6,
        "num_beam_groups": 3,
        "diversity_penalty": 0.3,
        "length_penalty": -1.0,
        "num_return_sequences": 2,
        "ends": True,
    },
    "groups-processed": {
        "num_beams": 4,
        "num_beam_groups": 2,
        "diversity_penalty": 1.0,
        "no_repeat_ngram_size": 2,
        "repetition_penalty": 1.3,
        "min_new_tokens": 4,
    },
    "phrase": {"num_beams": 4, "force_words_ids": [[5, 6]]},
    "phrases": {"num_beams": 5, "force_words_ids": [[5, 6], [17]], "num_return_sequences": 2},
    "phrases-padded": {"num_beams": 4, "force_words_ids": [[44, 12, 9]], "padded": True},
    "either": {"num_beams": 4, "force_words_ids": [[[7], [8, 9]], [33]]},
    "phrases-early": {"num_beams": 4, "force_words_ids": [[5, 6]], "early_stopping": True, "ends": True},
    "phrases-ends": {"num_beams": 6, "force_words_ids": [[5], [[9, 8], [3]]], "length_penalty": 0.5, "ends": True},
    "contrast": {"penalty_alpha": 0.6, "top_k": 4},
    "contrast-padded": {"penalty_alpha": 0.4, "top_k": 6, "padded": True},
    "contrast-slowly": {"penalty_alpha": 0.6, "top_k": 4, "low_memory": True, "rows": 1},
    "contrast-ends": {"penalty_alpha": 0.5, "top_k": 5, "ends": True, "repetition_penalty": 1.2},
    "layers-low": {"dola_layers": "low"},
    "layers-high": {"dola_layers": "high", "padded": True},
    "layers-named": {"dola_layers": [1, 3], "repetition_penalty": 1.2},
    "layers-one": {"dola_layers": [2]},
    "layers-drawn": {"dola_layers": "high", "do_sample": True, "top_k": 20, "ends": True},
}
SCORED = {"groups", "groups-early", "phrases", "contrast", "layers-high"}


def runs() -> list[tuple[str, str]]:
    """Return which model searches how: layers are compared in decoders only."""
    return [(model, run) for model in MODELS for run in RUNS if model in DECODERS or not run.startswith("layers")]


def searched(model: Any, run: str) -> dict[str, Any]:
    """Return what a model writes."""
    import torch

    options = dict(RUNS[run])
    draw = torch.Generator().manual_seed(7)
    ids = torch.randint(3, 90, (2, 6), generator=draw)
    mask = torch.ones_like(ids)
    if options.pop("padded", False):
        edge = slice(0, 3) if model.config.is_encoder_decoder is False else slice(3, 6)
        mask[1, edge] = 0
        ids = ids * mask
    rows = options.pop("rows", 2)  # one at a time is for one row there
    ids, mask = ids[:rows], mask[:rows]
    # an end token that is chosen now and then: many are, under another name each
    bias = [[[END], 6.0]] if options.pop("ends", False) else None
    shared = {"max_new_tokens": 10, "eos_token_id": END, "pad_token_id": 1, "sequence_bias": bias}
    shared |= {"do_sample": False, "forced_eos_token_id": None, "return_dict_in_generate": True}
    torch.manual_seed(11)
    with torch.no_grad():
        output = model.generate(ids, attention_mask=mask, **{**shared, "output_scores": True, **options})
    found: dict[str, Any] = {"sequences": output.sequences.tolist()}
    if output.get("sequences_scores") is not None:
        found["sequences_scores"] = [round(score, 6) for score in output.sequences_scores.tolist()]
    if run in SCORED and not run.startswith("phrases"):  # there the old loop adds what the beams had before
        last = output.scores[min(3, len(output.scores) - 1)]
        found["scores"] = [round(value, 5) if value > -1e9 else "never" for value in last.flatten()[::9].tolist()]
    return found


def main(library: str) -> None:
    """Print what a library writes."""
    import torch

    torch.set_num_threads(1)
    module = importlib.import_module(library)
    models = {name: build(module, case).eval() for name, case in MODELS.items()}
    print(json.dumps({f"{name}|{run}": searched(models[name], run) for name, run in runs()}))


if __name__ == "__main__":
    main(sys.argv[1])
