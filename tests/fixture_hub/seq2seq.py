"""The fixture Hub's models that read one text and write another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import reviews
import torch
import vocabularies
from transformers import (
    M2M100Config,
    M2M100ForConditionalGeneration,
    MBartConfig,
    MBartForConditionalGeneration,
    T5Config,
    T5ForConditionalGeneration,
)
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


SHAPE: dict[str, Any] = {
    "activation_function": "relu",
    "d_model": 16,
    "decoder_attention_heads": 2,
    "decoder_ffn_dim": 32,
    "decoder_layers": 2,
    "decoder_start_token_id": 2,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "encoder_layers": 2,
    "init_std": 0.02,
    "is_encoder_decoder": True,
    "max_position_embeddings": 1024,
    "num_hidden_layers": 2,
    "scale_embedding": True,
    "use_cache": True,
}
ENDS = {"bos_token_id": 0, "decoder_start_token_id": 2, "eos_token_id": 2, "pad_token_id": 1}


def pieces(folder: Path, size: int) -> list[str]:
    """Train a SentencePiece model on our sentences into the folder; return its pieces, the three first left out."""
    import sentencepiece

    folder.mkdir(parents=True, exist_ok=True)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(reviews.reviews(300, seed=31)["text"]),
        model_prefix=str(folder / "sentencepiece.bpe"),
        vocab_size=size,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    (folder / "sentencepiece.bpe.vocab").unlink()
    model = sentencepiece.SentencePieceProcessor(model_file=str(folder / "sentencepiece.bpe.model"))
    return [model.id_to_piece(place) for place in range(3, len(model))]


def many_to_many(folder: Path, model: Any, config: dict[str, Any], title: str, **generation: Any) -> None:
    """Write a translator between many languages."""
    spread(model)
    save(model, folder, config)
    write_json(folder / "generation_config.json", {**ENDS, "max_length": 200, "num_beams": 5, **generation})
    (folder / "README.md").write_text(CARD.format(title=title, weights="random"), encoding="utf-8")


def m2m_100(folder: Path, packages: Path) -> None:
    """facebook/m2m100_418M: a vocabulary beside the SentencePiece model, a token for each of 100 languages after it."""
    words = ["<s>", "<pad>", "</s>", "<unk>", *pieces(folder, 300)]
    write_json(folder / "vocab.json", {word: place for place, word in enumerate(words)})
    write_json(folder / "tokenizer_config.json", {"src_lang": None, "tgt_lang": None, "model_max_length": 1024})
    size = len(words) + 100 + 8  # eight tokens that mean nothing fill the real one up
    config = {**SHAPE, **ENDS, "architectures": ["M2M100ForConditionalGeneration"], "model_type": "m2m_100"}
    config |= {"early_stopping": True, "max_length": 200, "num_beams": 5, "vocab_size": size}
    torch.manual_seed(18)
    model = M2M100ForConditionalGeneration(M2M100Config(**SHAPE, vocab_size=size))
    many_to_many(folder, model, config, "M2M-100 418M", early_stopping=True)


def mbart_50(folder: Path, packages: Path) -> None:
    """facebook/mbart-large-50-many-to-many-mmt: ids are the pieces' and one, then 52 languages and a mask."""
    size = len(pieces(folder, 300)) + 3 + 1 + 52 + 1
    settings = {"language_codes": "ML50", "src_lang": None, "tgt_lang": None, "tokenizer_class": "MBart50Tokenizer"}
    write_json(folder / "tokenizer_config.json", settings)
    shape = {**SHAPE, "activation_function": "gelu"}
    config = {**shape, **ENDS, "architectures": ["MBartForConditionalGeneration"], "model_type": "mbart"}
    config |= {"forced_eos_token_id": 2, "max_length": 200, "num_beams": 5, "normalize_before": True}
    config |= {"add_final_layer_norm": True, "tokenizer_class": "MBart50Tokenizer", "vocab_size": size}
    torch.manual_seed(19)
    model = MBartForConditionalGeneration(MBartConfig(**shape, vocab_size=size))
    many_to_many(folder, model, config, "mBART-50 many to many", forced_eos_token_id=2, early_stopping=True)


REPOSITORIES: dict[str, Callable[[Path, Path], None]] = {
    "models/google/flan-t5-small": flan_t5,
    "models/facebook/m2m100_418M": m2m_100,
    "models/facebook/mbart-large-50-many-to-many-mmt": mbart_50,
}
