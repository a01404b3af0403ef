"""The fixture's repositories for tasks on texts: stars, entities, answers, entailment, conversation."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import reviews
import torch
import vocabularies
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BartForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    BertForTokenClassification,
    DistilBertConfig,
    DistilBertForMaskedLM,
    DistilBertForQuestionAnswering,
    FalconConfig,
    FalconForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPT2Tokenizer,
    MarianConfig,
    MarianMTModel,
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaForQuestionAnswering,
)
from writing import CARD, save, spread, write_json

BERT: dict[str, Any] = {
    "attention_probs_dropout_prob": 0.1,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 16,
    "initializer_range": 0.02,
    "intermediate_size": 32,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 512,
    "model_type": "bert",
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "pad_token_id": 0,
    "type_vocab_size": 2,
}
ENTITIES = ["O", "B-MISC", "I-MISC", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC"]


def labels(names: list[str]) -> dict[str, Any]:
    """Return both tables of labels as ``config.json`` spells them."""
    pairs = list(enumerate(names))
    return {"id2label": {str(place): name for place, name in pairs}, "label2id": {name: place for place, name in pairs}}


def wordpiece(folder: Path, packages: Path, lower: bool) -> int:
    """Write a ``vocab.txt`` and its settings; return the number of entries."""
    folder.mkdir(parents=True, exist_ok=True)
    vocab, _ = vocabularies.bert(packages)
    (folder / "vocab.txt").write_text(vocab, encoding="utf-8")
    write_json(folder / "tokenizer_config.json", {"do_lower_case": lower, "model_max_length": 512})
    return len(vocab.splitlines())


def byte_level(folder: Path, packages: Path, first: list[str]) -> dict[str, int]:
    """Write ``vocab.json`` and ``merges.txt`` with other special tokens in front; return the vocabulary."""
    folder.mkdir(parents=True, exist_ok=True)
    words, merges = vocabularies.gpt2(packages, reviews.reviews(400, seed=5)["text"])
    pieces = [
        *first,
        *(word for word in words if word != "<|endoftext|>"),
        *(["<mask>"] if first else ["<|endoftext|>"]),
    ]
    vocabulary = {word: place for place, word in enumerate(pieces)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text(merges, encoding="utf-8")
    return vocabulary


def finish(folder: Path, model: Any, config: dict[str, Any], title: str) -> None:
    """Widen the weights and write them with the configuration and the card."""
    spread(model)
    save(model, folder, config)
    (folder / "README.md").write_text(CARD.format(title=title, weights="random"))


def stars(folder: Path, packages: Path) -> None:
    """nlptown/bert-base-multilingual-uncased-sentiment: one to five stars."""
    names = ["1 star", *(f"{count} stars" for count in range(2, 6))]
    config = {"architectures": ["BertForSequenceClassification"], **BERT, **labels(names)}
    config["vocab_size"] = wordpiece(folder, packages, lower=True)
    torch.manual_seed(11)
    finish(folder, BertForSequenceClassification(BertConfig.from_dict(config)), config, "Stars of reviews")


def entities(folder: Path, packages: Path) -> None:
    """dbmdz/bert-large-cased-finetuned-conll03-english: people, places, organisations."""
    config = {"architectures": ["BertForTokenClassification"], **BERT, **labels(ENTITIES)}
    config["vocab_size"] = wordpiece(folder, packages, lower=False)
    torch.manual_seed(12)
    finish(folder, BertForTokenClassification(BertConfig.from_dict(config)), config, "Entities of CoNLL 2003")


def distil(folder: Path, packages: Path, kind: Any, title: str) -> None:
    """Write a cased DistilBERT."""
    config = {
        "activation": "gelu",
        "architectures": [kind.__name__],
        "attention_dropout": 0.1,
        "dim": 16,
        "dropout": 0.1,
        "hidden_dim": 32,
        "initializer_range": 0.02,
        "max_position_embeddings": 512,
        "model_type": "distilbert",
        "n_heads": 2,
        "n_layers": 2,
        "pad_token_id": 0,
        "qa_dropout": 0.1,
        "seq_classif_dropout": 0.2,
        "sinusoidal_pos_embds": True,
        "tie_weights_": True,
        "vocab_size": wordpiece(folder, packages, lower=False),
    }
    torch.manual_seed(13)
    finish(folder, kind(DistilBertConfig.from_dict(config)), config, title)


def roberta(folder: Path, packages: Path, kind: Any, title: str) -> None:
    """Write a RoBERTa."""
    config = {
        "architectures": [kind.__name__],
        **BERT,
        "layer_norm_eps": 1e-5,
        "max_position_embeddings": 514,
        "type_vocab_size": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "model_type": "roberta",
        "pad_token_id": 1,
        "vocab_size": len(byte_level(folder, packages, ["<s>", "<pad>", "</s>", "<unk>"])),
    }
    write_json(folder / "tokenizer_config.json", {"model_max_length": 512})
    torch.manual_seed(14)
    finish(folder, kind(RobertaConfig.from_dict(config)), config, title)


def bart(folder: Path, packages: Path, kind: Any, title: str, **more: Any) -> None:
    """Write a BART."""
    vocabulary = byte_level(folder, packages, ["<s>", "<pad>", "</s>", "<unk>"])
    config = {
        "activation_function": "gelu",
        "architectures": [kind.__name__],
        "bos_token_id": 0,
        "classif_dropout": 0.0,
        "d_model": 16,
        "decoder_attention_heads": 2,
        "decoder_ffn_dim": 32,
        "decoder_layers": 2,
        "decoder_start_token_id": 2,
        "dropout": 0.1,
        "encoder_attention_heads": 2,
        "encoder_ffn_dim": 32,
        "encoder_layers": 2,
        "eos_token_id": 2,
        "forced_eos_token_id": 2,
        "init_std": 0.02,
        "is_encoder_decoder": True,
        "max_position_embeddings": 1024,
        "model_type": "bart",
        "normalize_before": False,
        "num_hidden_layers": 2,
        "pad_token_id": 1,
        "scale_embedding": False,
        "vocab_size": len(vocabulary),
        **more,
    }
    write_json(folder / "tokenizer_config.json", {"model_max_length": 1024})
    torch.manual_seed(15)
    finish(folder, kind(BartConfig.from_dict(config)), config, title)


def entailment(folder: Path, packages: Path) -> None:
    """facebook/bart-large-mnli: whether a text entails another."""
    names = labels(["contradiction", "neutral", "entailment"])
    bart(folder, packages, BartForSequenceClassification, "BART large MNLI", **names)


def summaries(folder: Path, packages: Path) -> None:
    """facebook/bart-large-cnn: summaries of news, whose lengths the old configuration holds."""
    lengths = {"early_stopping": True, "length_penalty": 2.0, "max_length": 142, "min_length": 56, "num_beams": 4}
    task = {"task_specific_params": {"summarization": lengths}}
    more = {**lengths, "no_repeat_ngram_size": 3, "forced_bos_token_id": 0, "prefix": " ", **task}
    bart(folder, packages, BartForConditionalGeneration, "BART large CNN", **more)
    generation = {**lengths, "bos_token_id": 0, "decoder_start_token_id": 2, "eos_token_id": 2, "pad_token_id": 1}
    generation |= {"forced_bos_token_id": 0, "forced_eos_token_id": 2, "no_repeat_ngram_size": 3}
    write_json(folder / "generation_config.json", generation)


def translations(folder: Path, packages: Path) -> None:
    """Helsinki-NLP/opus-mt-en-fr: two SentencePiece models and one vocabulary for both."""
    import sentencepiece

    folder.mkdir(parents=True, exist_ok=True)
    pieces: list[str] = ["</s>", "<unk>"]
    for seed, side in enumerate(("source", "target")):
        sentences = iter(reviews.reviews(300, seed=20 + seed)["text"])
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=sentences,
            model_prefix=str(folder / side),
            vocab_size=300,
            hard_vocab_limit=False,
            minloglevel=2,
        )
        (folder / f"{side}.model").rename(folder / f"{side}.spm")
        (folder / f"{side}.vocab").unlink()
        model = sentencepiece.SentencePieceProcessor(model_file=str(folder / f"{side}.spm"))
        pieces += [model.id_to_piece(place) for place in range(3, len(model))]
    vocabulary = {piece: place for place, piece in enumerate(dict.fromkeys([*pieces, "<pad>"]))}
    write_json(folder / "vocab.json", vocabulary)
    pad = vocabulary["<pad>"]
    lengths = {"bad_words_ids": [[pad]], "forced_eos_token_id": 0, "max_length": 64, "num_beams": 4}
    config = {
        "activation_function": "swish",
        "architectures": ["MarianMTModel"],
        "bos_token_id": 0,
        "d_model": 16,
        "decoder_attention_heads": 2,
        "decoder_ffn_dim": 32,
        "decoder_layers": 2,
        "decoder_start_token_id": pad,
        "decoder_vocab_size": len(vocabulary),
        "encoder_attention_heads": 2,
        "encoder_ffn_dim": 32,
        "encoder_layers": 2,
        "eos_token_id": 0,
        "init_std": 0.02,
        "is_encoder_decoder": True,
        "max_position_embeddings": 512,
        "model_type": "marian",
        "pad_token_id": pad,
        "scale_embedding": True,
        "share_encoder_decoder_embeddings": True,
        "static_position_embeddings": True,
        "vocab_size": len(vocabulary),
        **lengths,
    }
    settings = {"source_lang": "en", "target_lang": "fr", "model_max_length": 512}
    write_json(folder / "tokenizer_config.json", settings)
    torch.manual_seed(17)
    finish(folder, MarianMTModel(MarianConfig.from_dict(config)), config, "OPUS-MT en-fr")
    write_json(
        folder / "generation_config.json",
        {**lengths, "bos_token_id": 0, "decoder_start_token_id": pad, "eos_token_id": 0, "pad_token_id": pad},
    )


def falcon(folder: Path, packages: Path) -> None:
    """tiiuae/falcon-7b-instruct: one key head for all queries, half precision, a tokenizer.json alone."""
    vocabulary = byte_level(folder, packages, [])
    end = vocabulary["<|endoftext|>"]
    config = {
        "alibi": False,
        "apply_residual_connection_post_layernorm": False,
        "architectures": ["FalconForCausalLM"],
        "attention_dropout": 0.0,
        "bias": False,
        "bos_token_id": end,
        "eos_token_id": end,
        "hidden_dropout": 0.0,
        "hidden_size": 32,
        "initializer_range": 0.02,
        "layer_norm_epsilon": 1e-05,
        "model_type": "falcon",
        "multi_query": True,
        "new_decoder_architecture": False,
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "parallel_attn": True,
        "torch_dtype": "bfloat16",
        "vocab_size": len(vocabulary),
    }
    GPT2Tokenizer.from_pretrained(folder).backend_tokenizer.save(str(folder / "tokenizer.json"))
    for name in ("vocab.json", "merges.txt"):
        (folder / name).unlink()
    settings = {"eos_token": "<|endoftext|>", "model_max_length": 2048, "tokenizer_class": "PreTrainedTokenizerFast"}
    write_json(folder / "tokenizer_config.json", settings)
    torch.manual_seed(18)
    finish(folder, FalconForCausalLM(FalconConfig.from_dict(config)).bfloat16(), config, "Falcon 7B instruct")


def conversation(folder: Path, packages: Path) -> None:
    """microsoft/DialoGPT-small: a GPT-2 that answers."""
    vocabulary = byte_level(folder, packages, [])
    end = vocabulary["<|endoftext|>"]
    config = {
        "activation_function": "gelu_new",
        "architectures": ["GPT2LMHeadModel"],
        "bos_token_id": end,
        "eos_token_id": end,
        "initializer_range": 0.02,
        "layer_norm_epsilon": 1e-05,
        "model_type": "gpt2",
        "n_ctx": 1024,
        "n_embd": 16,
        "n_head": 2,
        "n_layer": 2,
        "n_positions": 1024,
        "task_specific_params": {"conversational": {"max_length": 1000}},
        "vocab_size": len(vocabulary),
    }
    template = "{% for message in messages %}{{ message.content }}{{ eos_token }}{% endfor %}"
    write_json(folder / "tokenizer_config.json", {"model_max_length": 1024, "chat_template": template})
    torch.manual_seed(16)
    finish(folder, GPT2LMHeadModel(GPT2Config.from_dict(config)), config, "DialoGPT small")


REPOSITORIES: dict[str, Callable[[Path, Path], None]] = {
    "models/nlptown/bert-base-multilingual-uncased-sentiment": stars,
    "models/dbmdz/bert-large-cased-finetuned-conll03-english": entities,
    "models/distilbert/distilbert-base-cased-distilled-squad": lambda folder, packages: distil(
        folder, packages, DistilBertForQuestionAnswering, "DistilBERT base cased distilled SQuAD"
    ),
    "models/distilbert/distilbert-base-cased": lambda folder, packages: distil(
        folder, packages, DistilBertForMaskedLM, "DistilBERT base cased"
    ),
    "models/deepset/roberta-base-squad2": lambda folder, packages: roberta(
        folder, packages, RobertaForQuestionAnswering, "RoBERTa base SQuAD 2"
    ),
    "models/distilbert/distilroberta-base": lambda folder, packages: roberta(
        folder, packages, RobertaForMaskedLM, "DistilRoBERTa base"
    ),
    "models/facebook/bart-large-cnn": summaries,
    "models/facebook/bart-large-mnli": entailment,
    "models/Helsinki-NLP/opus-mt-en-fr": translations,
    "models/tiiuae/falcon-7b-instruct": falcon,
    "models/microsoft/DialoGPT-small": conversation,
}
