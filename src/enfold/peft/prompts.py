"""Learnt prompts: what trains, and what of it goes into files.

Shapes: P tokens of a prompt, times 2 where encoder and decoder have one each; D width of an embedding; T tasks.
"""

from __future__ import annotations

import math
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from enfold.checkpoints import read_state_dict
from enfold.peft.cpt import CPTEmbedding
from enfold.peft.prompt_configs import PromptEncoderConfig

__all__ = [
    "MultitaskPromptEmbedding",
    "PrefixEncoder",
    "PromptEmbedding",
    "PromptEncoder",
    "fill_numbers",
    "make_prompt",
]

# Configurations name their numbers differently; the first that there is counts.
_NUMBERS = {
    "num_layers": ("num_hidden_layers", "num_layers", "n_layer"),
    "token_dim": ("hidden_size", "n_embd", "d_model"),
    "num_attention_heads": ("num_attention_heads", "n_head", "num_heads", "encoder_attention_heads"),
}


def fill_numbers(config: Any, model_config: Any) -> None:
    """Fill what a prompt's configuration does not say of its model, in place.

    Raises:
        ValueError: the model's configuration does not say it either.
    """
    if hasattr(model_config, "get_text_config"):
        model_config = model_config.get_text_config()
    for name, spellings in _NUMBERS.items():
        if getattr(config, name) is None:
            found = [
                getattr(model_config, other) for other in spellings if getattr(model_config, other, None) is not None
            ]
            if not found:
                raise ValueError(f"say {name}: the model's configuration has none of {', '.join(spellings)}")
            setattr(config, name, found[0])
    if config.kind == "PREFIX_TUNING":
        # Where queries share keys, what goes before the keys has the width of the keys.
        keys = getattr(model_config, "num_key_value_heads", None)
        if keys and config.num_attention_heads != keys:
            wide = getattr(model_config, "head_dim", None) or config.token_dim // config.num_attention_heads
            config.token_dim, config.num_attention_heads = wide * keys, keys
    if getattr(config, "encoder_hidden_size", "none") is None:
        config.encoder_hidden_size = config.token_dim
    if config.num_transformer_submodules is None:
        config.num_transformer_submodules = 2 if config.task_type == "SEQ_2_SEQ_LM" else 1


class PromptEmbedding(nn.Module):
    """A prompt of embeddings: ``embedding.weight`` (P, D).

    Args:
        config: of the prompt.
        words: the model's embedding of tokens.
    """

    def __init__(self, config: Any, words: nn.Module) -> None:
        super().__init__()
        count = config.num_virtual_tokens * config.num_transformer_submodules
        self.embedding = nn.Embedding(count, config.token_dim)
        weight: Any = words.weight
        if config.inference_mode:
            return
        if config.prompt_tuning_init == "SAMPLE_VOCAB":
            ids = torch.randint(0, weight.shape[0], (count,))
        elif config.prompt_tuning_init == "TEXT":
            ids = _text_ids(config, count)
        else:
            return
        with torch.no_grad():
            self.embedding.weight = nn.Parameter(weight[ids.to(weight.device)].float().cpu())

    def forward(self, indices: Tensor, tasks: Tensor | None = None) -> Tensor:
        """Return (B, P, D) for the places (B, P) in the prompt."""
        return self.embedding(indices)


def _text_ids(config: Any, count: int) -> Tensor:
    # On a higher floor, and named by string for that: there whenever a tokenizer by name is.
    tokenizers = import_module("enfold.transformers").AutoTokenizer
    options = {key: value for key, value in (config.tokenizer_kwargs or {}).items() if key != "trust_remote_code"}
    tokenizer = tokenizers.from_pretrained(config.tokenizer_name_or_path, **options)
    ids = tokenizer(config.prompt_tuning_init_text)["input_ids"]
    return torch.tensor((ids * math.ceil(count / len(ids)))[:count])


class MultitaskPromptEmbedding(PromptEmbedding):
    """A prompt that tasks share, times a low-rank matrix (P, D) for each."""

    def __init__(self, config: Any, words: nn.Module) -> None:
        super().__init__(config, words)
        count, width = self.embedding.weight.shape
        self.prefix_task_cols = nn.Parameter(torch.normal(0.0, 0.02, (config.num_tasks, count, config.num_ranks)))
        self.prefix_task_rows = nn.Parameter(torch.normal(0.0, 0.02, (config.num_tasks, config.num_ranks, width)))
        if config.prompt_tuning_init in ("AVERAGE_SOURCE_TASKS", "EXACT_SOURCE_TASK", "ONLY_SOURCE_SHARED"):
            path = config.prompt_tuning_init_state_dict_path
            if path is None:
                kind = config.prompt_tuning_init.value
                raise ValueError(f"prompt_tuning_init={kind!r} needs prompt_tuning_init_state_dict_path")
            self._begin_with(read_state_dict(path), config)

    @torch.no_grad()
    def _begin_with(self, tensors: dict[str, Tensor], config: Any) -> None:
        if config.prompt_tuning_init != "ONLY_SOURCE_SHARED":
            for name in ("prefix_task_cols", "prefix_task_rows"):
                given = tensors[name]
                one = config.prompt_tuning_init_task
                picked = (
                    given.mean(0, keepdim=True)
                    if config.prompt_tuning_init == "AVERAGE_SOURCE_TASKS"
                    else given[one][None]
                )
                setattr(self, name, nn.Parameter(picked.repeat(config.num_tasks, 1, 1)))
        self.embedding.weight.copy_(tensors["prompt_embeddings"])

    def forward(self, indices: Tensor, tasks: Tensor | None = None) -> Tensor:
        if tasks is None:
            raise ValueError("a prompt of several tasks needs task_ids, one a row")
        return self.embedding(indices) * (self.prefix_task_cols[tasks] @ self.prefix_task_rows[tasks])


class PromptEncoder(nn.Module):
    """A prompt of embeddings that a small network makes; only what it makes is kept for inference."""

    def __init__(self, config: PromptEncoderConfig) -> None:
        super().__init__()
        count = (config.num_virtual_tokens or 0) * (config.num_transformer_submodules or 1)
        width, hidden = int(config.token_dim or 0), int(config.encoder_hidden_size or 0)
        self.embedding = nn.Embedding(count, width)
        self.lstm_head: nn.Module | None = None
        self.mlp_head: nn.Module | None = None
        if config.inference_mode:
            return
        if config.encoder_reparameterization_type == "LSTM":
            self.lstm_head = nn.LSTM(
                width,
                hidden,
                config.encoder_num_layers,
                dropout=config.encoder_dropout,
                bidirectional=True,
                batch_first=True,
            )
            self.mlp_head = nn.Sequential(nn.Linear(hidden * 2, hidden * 2), nn.ReLU(), nn.Linear(hidden * 2, width))
        else:
            self.mlp_head = nn.Sequential(
                nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, width)
            )

    def forward(self, indices: Tensor, tasks: Tensor | None = None) -> Tensor:
        """Return (B, P, D) for the places (B, P) in the prompt."""
        x = self.embedding(indices)
        if self.lstm_head is not None:
            x = self.lstm_head(x)[0]
        return x if self.mlp_head is None else self.mlp_head(x)


class PrefixEncoder(nn.Module):
    """Keys and values of every layer: (P, layers · 2 · D)."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        count, width = config.num_virtual_tokens, config.token_dim
        outputs = config.num_layers * 2 * width
        self.transform: nn.Module | None = None
        if config.prefix_projection and not config.inference_mode:
            hidden = config.encoder_hidden_size
            self.embedding = nn.Embedding(count, width)
            last = nn.Linear(hidden, outputs)
            self.transform = nn.Sequential(nn.Linear(width, hidden), nn.Tanh(), last)
            zeroed = list(last.parameters())
        else:
            self.embedding = nn.Embedding(count, outputs)
            zeroed = list(self.embedding.parameters())
        if config.init_weights == "zero":
            for part in zeroed:
                nn.init.zeros_(part)

    def forward(self, indices: Tensor, tasks: Tensor | None = None) -> Tensor:
        """Return (B, P, layers · 2 · D) for the places (B, P) in the prefix."""
        x = self.embedding(indices)
        return x if self.transform is None else self.transform(x)


_ENCODERS: dict[str, Any] = {
    "CPT": CPTEmbedding,
    "PROMPT_TUNING": PromptEmbedding,
    "MULTITASK_PROMPT_TUNING": MultitaskPromptEmbedding,
    "P_TUNING": lambda config, words: PromptEncoder(config),
    "PREFIX_TUNING": lambda config, words: PrefixEncoder(config),
}


def make_prompt(config: Any, words: nn.Module) -> Any:
    """Return what trains for a configuration; ``words`` is the model's embedding of tokens."""
    return _ENCODERS[config.kind](config, words)
