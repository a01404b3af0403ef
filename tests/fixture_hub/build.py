"""Write the fixture Hub's repositories with the ecosystem's own wheels.

Run by the peers' Python: ``build.py TARGET PACKAGES``. TARGET receives folders ``models/OWNER/NAME`` and
``datasets/OWNER/NAME`` as the real repositories are: old configuration spellings, legacy weight names, the same files.
The checkpoints have few and narrow layers but full vocabularies and full position tables. A fixture that we write and
read ourselves would prove nothing, hence the peers.
"""

from __future__ import annotations

import json
import random
import re
import sys
from collections.abc import Callable
from pathlib import Path

import diffusion
import pictures
import reviews
import seq2seq
import sounds
import texts
import torch
import vocabularies
from safetensors.torch import load_file, save_file
from tokenizers import processors
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForPreTraining,
    BertTokenizer,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    GPT2Tokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
)
from writing import CARD, save, spread, write_json


def bert(folder: Path, packages: Path) -> None:
    """google-bert/bert-base-uncased: a BertForPreTraining file with LayerNorm.gamma/beta, no tied decoder."""
    vocab, tokenizer = vocabularies.bert(packages)
    config = {
        "architectures": ["BertForMaskedLM"],
        "attention_probs_dropout_prob": 0.1,
        "gradient_checkpointing": False,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": 32,
        "initializer_range": 0.02,
        "intermediate_size": 64,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": 512,
        "model_type": "bert",
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "pad_token_id": 0,
        "position_embedding_type": "absolute",
        "transformers_version": "4.6.0.dev0",
        "type_vocab_size": 2,
        "use_cache": True,
        "vocab_size": len(tokenizer["model"]["vocab"]),
    }
    torch.manual_seed(1)
    model = BertForPreTraining(BertConfig.from_dict(config))
    spread(model)

    def legacy(name: str) -> str:
        return re.sub(r"LayerNorm\.bias$", "LayerNorm.beta", name.replace("LayerNorm.weight", "LayerNorm.gamma"))

    save(model, folder, config, legacy)
    (folder / "vocab.txt").write_text(vocab, encoding="utf-8")
    write_json(folder / "tokenizer.json", tokenizer)
    write_json(folder / "tokenizer_config.json", {"do_lower_case": True, "model_max_length": 512})
    (folder / "README.md").write_text(CARD.format(title="BERT base (uncased)", weights="random"))


def distilbert(folder: Path, packages: Path) -> None:
    """distilbert/distilbert-base-uncased-finetuned-sst-2-english: no tokenizer.json, and it knows love from hate."""
    vocab, tokenizer = vocabularies.bert(packages)
    config = {
        "activation": "gelu",
        "architectures": ["DistilBertForSequenceClassification"],
        "attention_dropout": 0.1,
        "dim": 32,
        "dropout": 0.1,
        "finetuning_task": "sst-2",
        "hidden_dim": 64,
        "id2label": {"0": "NEGATIVE", "1": "POSITIVE"},
        "initializer_range": 0.02,
        "label2id": {"NEGATIVE": 0, "POSITIVE": 1},
        "max_position_embeddings": 512,
        "model_type": "distilbert",
        "n_heads": 4,
        "n_layers": 2,
        "output_past": True,
        "pad_token_id": 0,
        "qa_dropout": 0.1,
        "seq_classif_dropout": 0.2,
        "sinusoidal_pos_embds": False,
        "tie_weights_": True,
        "transformers_version": "4.5.0.dev0",
        "vocab_size": len(tokenizer["model"]["vocab"]),
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text(vocab, encoding="utf-8")
    torch.manual_seed(2)
    # dropout off while it learns: two narrow layers and a few hundred sentences leave nothing to regularise
    silent = {"dropout": 0.0, "attention_dropout": 0.0, "seq_classif_dropout": 0.0}
    model = DistilBertForSequenceClassification(DistilBertConfig.from_dict({**config, **silent}))
    spread(model, 0.1)
    learn(model, folder)
    save(model, folder, config)
    write_json(folder / "tokenizer_config.json", {"model_max_length": 512, "do_lower_case": True})
    card = CARD.format(title="DistilBERT base uncased finetuned SST-2", weights="briefly trained")
    (folder / "README.md").write_text(card)


def learn(model: PreTrainedModel, folder: Path) -> None:
    """Teach the classifier single sentences of our reviews, so that a sentiment service has something to say."""
    tokenizer = BertTokenizer.from_pretrained(folder)
    rng = random.Random(3)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    model.train()
    for _ in range(120):
        labels = [row % 2 for row in range(32)]
        texts = [rng.choice(reviews.PRAISE if label else reviews.BLAME) for label in labels]
        texts = [text.format(*rng.sample(reviews.THINGS, 2)) for text in texts]
        # fragments as well, so that the opinion is read from its words and not from the sentence's frame
        texts = [" ".join(text.split()[rng.randint(0, 3) : rng.randint(6, 20)]) for text in texts]
        batch = tokenizer(texts, padding=True, return_tensors="pt")
        batch.pop("token_type_ids", None)
        loss = model(**batch, labels=torch.tensor(labels)).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.eval()


def gpt2(folder: Path, packages: Path) -> None:
    """openai-community/gpt2: keys without a prefix, and the causal masks that the real file carries."""
    vocab, merges = vocabularies.gpt2(packages, reviews.reviews(400, seed=5)["text"])
    end = vocab["<|endoftext|>"]
    config = {
        "activation_function": "gelu_new",
        "architectures": ["GPT2LMHeadModel"],
        "attn_pdrop": 0.1,
        "bos_token_id": end,
        "embd_pdrop": 0.1,
        "eos_token_id": end,
        "initializer_range": 0.02,
        "layer_norm_epsilon": 1e-05,
        "model_type": "gpt2",
        "n_ctx": 1024,
        "n_embd": 32,
        "n_head": 4,
        "n_layer": 2,
        "n_positions": 1024,
        "resid_pdrop": 0.1,
        "summary_activation": None,
        "summary_first_dropout": 0.1,
        "summary_proj_to_labels": True,
        "summary_type": "cls_index",
        "summary_use_proj": True,
        "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}},
        "vocab_size": len(vocab),
    }
    torch.manual_seed(4)
    model = GPT2LMHeadModel(GPT2Config.from_dict(config))
    spread(model)
    triangle = torch.tril(torch.ones(1024, 1024)).view(1, 1, 1024, 1024)
    masks = {f"h.{layer}.attn.bias": triangle.clone() for layer in range(config["n_layer"])}
    save(model, folder, config, lambda name: name.removeprefix("transformer."), **masks)
    write_json(
        folder / "generation_config.json",
        {"_from_model_config": True, "bos_token_id": end, "eos_token_id": end, "transformers_version": "4.26.0.dev0"},
    )
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text(merges, encoding="utf-8")
    tokenizer = GPT2Tokenizer.from_pretrained(folder).backend_tokenizer
    tokenizer.post_processor = processors.ByteLevel(add_prefix_space=True, trim_offsets=False)
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(folder / "tokenizer_config.json", {"model_max_length": 1024})
    (folder / "README.md").write_text(CARD.format(title="GPT-2", weights="random"))


def llama(folder: Path, packages: Path) -> None:
    """meta-llama/Llama-2-7b-hf: half precision, two shards with their index, rotary frequencies in the file."""
    model_file, tokenizer = vocabularies.llama(packages)
    config = {
        "_name_or_path": "meta-llama/Llama-2-7b-hf",
        "architectures": ["LlamaForCausalLM"],
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_act": "silu",
        "hidden_size": 32,
        "initializer_range": 0.02,
        "intermediate_size": 64,
        "max_position_embeddings": 4096,
        "model_type": "llama",
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "num_key_value_heads": 4,
        "pretraining_tp": 1,
        "rms_norm_eps": 1e-05,
        "rope_scaling": None,
        "tie_word_embeddings": False,
        "torch_dtype": "float16",
        "transformers_version": "4.31.0.dev0",
        "use_cache": True,
        "vocab_size": 32000,
    }
    torch.manual_seed(5)
    model = LlamaForCausalLM(LlamaConfig.from_dict(config))
    spread(model)
    model.half().save_pretrained(folder, max_shard_size="2500KB")
    head_size = config["hidden_size"] // config["num_attention_heads"]
    frequencies = 1.0 / 10000 ** (torch.arange(0, head_size, 2).float() / head_size)
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}.self_attn."
        shard = index["weight_map"][prefix + "q_proj.weight"]
        tensors = load_file(folder / shard)
        tensors[prefix + "rotary_emb.inv_freq"] = frequencies.clone()
        save_file(tensors, folder / shard, metadata={"format": "pt"})
        index["weight_map"][prefix + "rotary_emb.inv_freq"] = shard
        index["metadata"]["total_size"] += frequencies.nbytes
    index["metadata"].pop("total_parameters", None)
    index["weight_map"] = dict(sorted(index["weight_map"].items()))
    write_json(folder / "model.safetensors.index.json", index)
    write_json(folder / "config.json", config)
    write_json(
        folder / "generation_config.json",
        {
            "bos_token_id": 1,
            "do_sample": True,
            "eos_token_id": 2,
            "max_length": 4096,
            "pad_token_id": 0,
            "temperature": 0.6,
            "top_p": 0.9,
            "transformers_version": "4.31.0.dev0",
        },
    )
    special = {"__type": "AddedToken", "lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    tokenizer_config = {
        "add_bos_token": True,
        "add_eos_token": False,
        "bos_token": {**special, "content": "<s>"},
        "clean_up_tokenization_spaces": False,
        "eos_token": {**special, "content": "</s>"},
        "legacy": False,
        "model_max_length": 1000000000000000019884624838656,
        "pad_token": None,
        "padding_side": "right",
        "sp_model_kwargs": {},
        "tokenizer_class": "LlamaTokenizer",
        "unk_token": {**special, "content": "<unk>"},
    }
    (folder / "tokenizer.model").write_bytes(model_file)
    write_json(folder / "tokenizer_config.json", tokenizer_config)
    if tokenizer is None:
        AutoTokenizer.from_pretrained(folder).backend_tokenizer.save(str(folder / "tokenizer.json"))
    else:
        write_json(folder / "tokenizer.json", tokenizer)
    write_json(
        folder / "special_tokens_map.json",
        {name: {**special, "content": token} for name, token in
         (("bos_token", "<s>"), ("eos_token", "</s>"), ("unk_token", "<unk>"))},
    )  # fmt: skip
    (folder / "README.md").write_text(CARD.format(title="Llama 2 7B", weights="random"))


def imdb(folder: Path, packages: Path) -> None:
    """stanfordnlp/imdb: Parquet written by `datasets`, with the ClassLabel in the file's schema and in the card."""
    from datasets import ClassLabel, Dataset, Features, Value
    from huggingface_hub import DatasetCardData

    features = Features({"text": Value("string"), "label": ClassLabel(names=["neg", "pos"])})
    (folder / "plain_text").mkdir(parents=True)
    splits = []
    for seed, (split, rows) in enumerate({"train": 128, "test": 64, "unsupervised": 32}.items()):
        columns = reviews.reviews(rows, seed)
        if split == "unsupervised":
            columns["label"] = [-1] * rows
        table = Dataset.from_dict(columns, features=features)
        table.to_parquet(folder / "plain_text" / f"{split}-00000-of-00001.parquet")
        splits.append({"name": split, "num_bytes": table.data.nbytes, "num_examples": rows})
    labels = {"class_label": {"names": {"0": "neg", "1": "pos"}}}
    card = DatasetCardData(
        language="en",
        license="other",
        pretty_name="IMDB",
        task_categories=["text-classification"],
        dataset_info={
            "config_name": "plain_text",
            "features": [{"name": "text", "dtype": "string"}, {"name": "label", "dtype": labels}],
            "splits": splits,
        },
        configs=[
            {
                "config_name": "plain_text",
                "default": True,
                "data_files": [{"split": s["name"], "path": f"plain_text/{s['name']}-*"} for s in splits],
            }
        ],
    )
    text = "# Dataset Card for IMDB\n\nA stand-in for tests: film reviews of our own making.\n"
    (folder / "README.md").write_text(f"---\n{card}\n---\n{text}")


REPOSITORIES: dict[str, Callable[[Path, Path], None]] = {
    "models/google-bert/bert-base-uncased": bert,
    "models/distilbert/distilbert-base-uncased-finetuned-sst-2-english": distilbert,
    "models/openai-community/gpt2": gpt2,
    "models/meta-llama/Llama-2-7b-hf": llama,
    "datasets/stanfordnlp/imdb": imdb,
    "models/runwayml/stable-diffusion-v1-5": diffusion.stable_diffusion,
    **seq2seq.REPOSITORIES,
    **texts.REPOSITORIES,
    **pictures.REPOSITORIES,
    **sounds.REPOSITORIES,
}


def main(target: Path, packages: Path) -> None:
    """Write every repository below ``target``."""
    torch.set_num_threads(1)
    packages.mkdir(parents=True, exist_ok=True)
    for path, write in REPOSITORIES.items():
        write(target / path, packages)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
