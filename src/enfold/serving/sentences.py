"""Texts into vectors: a model's states, pooled as the folder's own files say.

``modules.json`` of sentence-transformers lists what follows the model; a folder without it is pooled by the mean.
Format: https://sbert.net/docs/sentence_transformer/usage/custom_models.html
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.checkpoints import read_state_dict
from enfold.errors import EnfoldError, nearest
from enfold.transformers.pipelines.texts import Piece, TextPipeline
from enfold.transformers.tokenization.files import Source

__all__ = ["SentencePipeline", "Steps", "load_sentences"]

MEAN = "mean"
# Name of a pooling → states (T, W) of one text to (W,); several are put one after another in this order.
POOLINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "cls": lambda states: states[0],
    "max": lambda states: states.amax(0),
    MEAN: lambda states: states.mean(0),
    "mean_sqrt_len": lambda states: states.sum(0) / math.sqrt(len(states)),
    "weightedmean": lambda states: _rising(len(states)).to(states) @ states,
    "lasttoken": lambda states: states[-1],
}
# Key of 1_Pooling/config.json → pooling
_KEYS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": MEAN,
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
# Last part of an activation's path → the function; the path itself is never imported.
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "Identity": lambda x: x,
    "Tanh": torch.tanh,
    "ReLU": F.relu,
    "GELU": F.gelu,
    "SiLU": F.silu,
    "Sigmoid": torch.sigmoid,
}
# Kinds of models whose positions begin after the padding's number.
_POSITIONS_AFTER_PADDING = {
    "roberta",
    "xlm-roberta",
    "xlm-roberta-xl",
    "camembert",
    "mpnet",
    "longformer",
    "roberta-prelayernorm",
}


def _rising(length: int) -> Tensor:
    weights = torch.arange(1, length + 1, dtype=torch.float32)
    return weights / weights.sum()


@dataclass
class Steps:
    """What follows the model, and what comes before it.

    Args:
        poolings: names of ``POOLINGS``.
        after: what is done to the pooled vectors (n, W), in order.
        normalized: whether the vectors have length 1.
        max_length: tokens of a text; None leaves it to the model.
        prompts: name → text that is put before a text.
        default_prompt: name of the one that is put before a text unless another is asked for.
        include_prompt: whether the prompt's states are pooled too.
        lower: whether texts are lowered.
        is_sentences: whether the folder says any of this.
    """

    poolings: tuple[str, ...] = (MEAN,)
    after: list[Callable[[Tensor], Tensor]] = field(default_factory=list)
    normalized: bool = False
    max_length: int | None = None
    prompts: dict[str, str] = field(default_factory=dict)
    default_prompt: str | None = None
    include_prompt: bool = True
    lower: bool = False
    is_sentences: bool = False

    @classmethod
    def read(cls, name: str | os.PathLike[str], **where: Any) -> Steps:
        """Read what a folder or a repository says.

        Raises:
            EnfoldError: for a module, a pooling or an activation that is not known here.
        """
        source = Source(name, where)
        modules = source.json("modules.json")
        told = source.json("config_sentence_transformers.json") or {}
        prompts = {key: text for key, text in (told.get("prompts") or {}).items() if isinstance(text, str)}
        steps = cls(prompts=prompts, default_prompt=told.get("default_prompt_name"), is_sentences=modules is not None)
        base = ""
        for module in modules or ():
            kind, place = str(module.get("type", "")).rpartition(".")[2], str(module.get("path", ""))
            if place.startswith(("/", "\\")) or ".." in place.replace("\\", "/").split("/"):
                raise EnfoldError(f"modules.json names a path outside its folder: {place!r}")
            if kind == "Transformer":
                base = place
            elif kind == "Pooling":
                steps._read_pooling(source.json(f"{place}/config.json") or {})
            elif kind == "Normalize":
                steps.after.append(_normalized)
                steps.normalized = True
            elif kind == "Dense":
                steps.after.append(_dense(source, place))
                steps.normalized = False
            elif kind != "Dropout":
                known = ("Transformer", "Pooling", "Normalize", "Dense", "Dropout")
                raise EnfoldError(f"modules.json: {kind!r} is not known here; {', '.join(known)} are")
        if base:
            raise EnfoldError(f"modules.json: the model lies in {base!r}; only the folder itself is read")
        told = source.json("sentence_bert_config.json") or {}
        steps.max_length, steps.lower = told.get("max_seq_length"), bool(told.get("do_lower_case"))
        return steps

    def _read_pooling(self, told: dict[str, Any]) -> None:
        named = told.get("pooling_mode")
        if named is None:
            asked = [_KEYS.get(key, key) for key, value in told.items() if key.startswith("pooling_mode_") and value]
        else:
            asked = [named] if isinstance(named, str) else list(named)
        for name in asked:
            if name not in POOLINGS:
                raise EnfoldError(f"pooling {name!r} is not known here{nearest(str(name), POOLINGS)}")
        self.poolings = tuple(name for name in POOLINGS if name in asked) or (MEAN,)
        self.include_prompt = bool(told.get("include_prompt", True))

    def pooled(self, states: Tensor) -> Tensor:
        """Return the vector of one text from its states (T, W)."""
        parts = [POOLINGS[name](states) for name in self.poolings]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def finished(self, vectors: Tensor) -> Tensor:
        """Return pooled vectors (n, W) after the remaining steps."""
        for step in self.after:
            vectors = step(vectors)
        return vectors


def _normalized(vectors: Tensor) -> Tensor:
    return F.normalize(vectors, dim=-1)


def _dense(source: Source, place: str) -> Callable[[Tensor], Tensor]:
    told = source.json(f"{place}/config.json") or {}
    name = str(told.get("activation_function") or "Tanh").rpartition(".")[2]
    if name not in ACTIVATIONS:
        raise EnfoldError(f"{place}: activation {name!r} is not known here{nearest(name, ACTIVATIONS)}")
    path = source.find(f"{place}/model.safetensors") or source.find(f"{place}/pytorch_model.bin")
    if path is None:
        raise EnfoldError(f"{place} has no weights: model.safetensors or pytorch_model.bin")
    weights = read_state_dict(path)
    weight, bias = weights["linear.weight"].float(), weights.get("linear.bias")
    bias = None if bias is None else bias.float()
    return lambda vectors: ACTIVATIONS[name](F.linear(vectors, weight, bias))


class SentencePipeline(TextPipeline):
    """Returns a vector for each text, (W,).

    Takes texts, or lists of the model's own token ids, which are read as they are.

    Arguments of a call: ``prompt`` (a text put before each), ``truncation``.

    Raises:
        ValueError: from calls: for a text longer than the model reads, unless ``truncation`` cuts it, for one without
            tokens, and for ids that the model does not have.
    """

    def __init__(self, model: Any, *args: Any, steps: Steps | None = None, **kwargs: Any) -> None:
        super().__init__(model, *args, **kwargs)
        self.steps = steps or Steps()
        self.max_length = self.steps.max_length or longest(model.config, self.tokenizer)

    def _sanitize_parameters(
        self, truncation: bool = False, prompt: str = "", **_: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        return {"truncation": truncation, "prompt": prompt}, {}, {}

    def pieces(  # type: ignore[override]
        self, inputs: list[str | list[int]], truncation: bool = False, prompt: str = ""
    ) -> list[list[Piece]]:
        """Tokenize all texts at once."""
        texts = [prompt + text for text in inputs if isinstance(text, str)]
        texts = [text.lower() for text in texts] if self.steps.lower else texts
        skipped = 0
        if prompt and not self.steps.include_prompt:
            before = self.tokenizer(prompt)["input_ids"]
            skipped = len(before) - (before[-1] in self.tokenizer.all_special_ids)
        cut: dict[str, Any] = {"truncation": True, "max_length": self.max_length} if truncation else {}
        rows = iter(self.rows(self.tokenizer(texts, **cut)) if texts else ())
        made = []
        for place, given in enumerate(inputs):
            tokens = next(rows) if isinstance(given, str) else self._as_given(given, truncation)
            length = len(tokens["input_ids"])
            if length == 0:
                raise ValueError(f"text {place} has no tokens")
            if self.max_length is not None and length > self.max_length:
                raise ValueError(f"text {place} has {length} tokens; this model reads {self.max_length}")
            made.append([Piece(tokens, {"skipped": skipped if isinstance(given, str) else 0})])
        return made

    def _as_given(self, ids: Sequence[int], truncation: bool) -> dict[str, Sequence[int]]:
        words = self.model.config.vocab_size
        wrong = next((token for token in ids if not 0 <= token < words), None)
        if wrong is not None:
            raise ValueError(f"token {wrong} is not one of the model's {words}")
        ids = list(ids[: self.max_length] if truncation else ids)
        filled = {"attention_mask": 1, "token_type_ids": 0}
        names = [name for name in self.tokenizer.model_input_names if name in filled]
        return {"input_ids": ids, **{name: [filled[name]] * len(ids) for name in names}}

    def take(self, outputs: Any, row: int, piece: Piece, kept: slice) -> dict[str, Tensor]:
        """Return the pooled vector (W,)."""
        states = outputs[0][row, kept].float()
        return {"vector": self.steps.pooled(states[piece.about["skipped"] :] if piece.about["skipped"] else states)}

    def postprocess(self, model_outputs: list[Piece]) -> Tensor:  # type: ignore[override]
        """Return the finished vector (W,)."""
        return self.vectors(model_outputs)[0]

    def vectors(self, pieces: list[Piece]) -> Tensor:
        """Return the finished vectors (n, W) of pieces that have been run."""
        return self.steps.finished(torch.stack([piece.outputs["vector"] for piece in pieces]))


def longest(config: Any, tokenizer: Any) -> int | None:
    """Return how many tokens a model of texts reads at most, or None where nothing says it."""
    positions = getattr(config, "max_position_embeddings", None)
    if positions is not None and config.model_type in _POSITIONS_AFTER_PADDING:
        positions -= 2
    told = getattr(tokenizer, "model_max_length", None)
    found = [int(length) for length in (positions, told) if length is not None and 0 < length < 10**9]
    return min(found, default=None)


def load_sentences(source: str | os.PathLike[str], *, dtype: Any = None, device: Any = None) -> SentencePipeline:
    """Load a model of texts with what follows it.

    Args:
        source: a folder or a repository's id.
        dtype, device: of the model.
    """
    from enfold.transformers import AutoConfig, AutoModel, AutoModelForTextEncoding, pipeline

    steps = Steps.read(source)
    config = AutoConfig.from_pretrained(source)
    kind = AutoModelForTextEncoding if getattr(config, "is_encoder_decoder", False) else AutoModel
    model: nn.Module = kind.from_pretrained(source, **({} if dtype is None else {"dtype": dtype}))
    made: SentencePipeline = pipeline(
        "feature-extraction", model=model, tokenizer=str(source), pipeline_class=SentencePipeline, device=device,
        steps=steps,
    )  # fmt: skip
    return made
