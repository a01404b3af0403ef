"""The fixture Hub's models that read one text and write another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
import vocabularies
from transformers import T5Config, T5ForConditionalGeneration
from writing import CARD, save, spread, write_json


def flan_t5(folder: Path, packages: Path) -> None:
    """google/flan-t5-small: T5 of the second kind, its head apart from its embedding, and no spiece.model."""
    tokenizer = vocabularies.t5(packages)
    config = {
        "architectures": ["T5ForConditionalGeneration"],
        "d_ff": 64,
        "d_kv": 8,
        "d_model": 32,
        "decoder_start_token_id": 0,
        "dropout_rate": 0.1,
        "eos_token_id": 1,
        "feed_forward_proj": "gated-gelu",
        "initializer_factor": 1.0,
        "is_encoder_decoder": True,
        "layer_norm_epsilon": 1e-06,
        "model_type": "t5",
        "n_positions": 512,
        "num_decoder_layers": 2,
        "num_heads": 4,
        "num_layers": 2,
        "output_past": True,
        "pad_token_id": 0,
        "relative_attention_max_distance": 128,
        "relative_attention_num_buckets": 32,
        "tie_word_embeddings": False,
        "transformers_version": "4.23.1",
        "use_cache": True,
        "vocab_size": 32128,
    }
    torch.manual_seed(31)
    model = T5ForConditionalGeneration(T5Config.from_dict(config))
    spread(model)
    head = 0.2 * torch.randn(config["vocab_size"], config["d_model"])
    save(model, folder, config, **{"lm_head.weight": head})  # the wheel of today would leave it out
    write_json(
        folder / "generation_config.json",
        {
            "_from_model_config": True,
            "decoder_start_token_id": 0,
            "eos_token_id": 1,
            "pad_token_id": 0,
            "transformers_version": "4.27.0.dev0",
        },
    )
    gaps = [f"<extra_id_{number}>" for number in range(100)]
    write_json(folder / "tokenizer.json", tokenizer)
    write_json(
        folder / "tokenizer_config.json",
        {
            "additional_special_tokens": gaps,
            "eos_token": "</s>",
            "extra_ids": 100,
            "model_max_length": 512,
            "name_or_path": "google/t5-v1_1-small",
            "pad_token": "<pad>",
            "sp_model_kwargs": {},
            "special_tokens_map_file": None,
            "tokenizer_class": "T5Tokenizer",
            "unk_token": "<unk>",
        },
    )
    special = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    write_json(folder / "special_tokens_map.json", {"additional_special_tokens": gaps, **special})
    (folder / "README.md").write_text(CARD.format(title="FLAN-T5 small", weights="random"))


REPOSITORIES: dict[str, Callable[[Path, Path], None]] = {"models/google/flan-t5-small": flan_t5}
