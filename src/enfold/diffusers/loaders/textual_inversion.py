"""Learned words: embeddings that stand for something a text encoder was shown pictures of.

Source: Gal et al., "An Image is Worth One Word", https://arxiv.org/abs/2208.01618
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from enfold.diffusers.loaders.files import find_weights_file, read_object
from enfold.diffusers.pipelines.pipeline import PipelineError
from enfold.errors import nearest
from enfold.transformers.sharing import split_fetch_arguments

__all__ = ["TextualInversionMixin"]

USUAL = ("learned_embeds.safetensors", "learned_embeds.bin")


class TextualInversionMixin:
    """``load_textual_inversion``, for pipelines with a text encoder."""

    tokenizer: Any
    text_encoder: Any

    def load_textual_inversion(
        self,
        pretrained_model_name_or_path: Any,
        token: str | list[str] | None = None,
        tokenizer: Any = None,
        text_encoder: Any = None,
        **kwargs: Any,
    ) -> None:
        """Teach the text encoder new words.

        A word of several vectors becomes several tokens, ``<cat>``, ``<cat>_1``, …; prompts name the first alone.

        Args:
            pretrained_model_name_or_path: a file (``learned_embeds.safetensors``, ``learned_embeds.bin``, or the web
                UI's with ``string_to_param``), a folder, a repository's id, a dictionary of tensors, a tensor, or a
                list of these.
            token: what the word is called; by default as in the file.
            tokenizer: by default the pipeline's.
            text_encoder: by default the pipeline's.
            kwargs: ``weight_name``, the file's; ``use_safetensors``; where to look: ``subfolder``, ``revision``,
                ``cache_dir``, ``token``, ``local_files_only``, ``force_download``.

        Raises:
            PipelineError: a word is there already, or its vectors have another width; nothing is changed.
        """
        tokenizer, text_encoder = self._words_of(tokenizer, text_encoder)
        weight_name, safe = kwargs.pop("weight_name", None), kwargs.pop("use_safetensors", None)
        given = pretrained_model_name_or_path
        token = kwargs.pop("tokens", token)
        where, _ = split_fetch_arguments({("token" if key == "hf_token" else key): kwargs[key] for key in kwargs})
        sources = given if isinstance(given, list) else [given]
        states = [_read(source, weight_name, where, safe) for source in sources]
        names: list[str | None] = list(token) if isinstance(token, list) else [token] * len(states)
        if len(states) == 1 and isinstance(states[0], Tensor) and len(names) > 1:
            states = list(states[0])
        if len(names) != len(states):
            raise PipelineError(f"{len(names)} tokens for {len(states)} embeddings; expected one for each")
        width = text_encoder.get_input_embeddings().weight.shape[-1]
        known, new = tokenizer.get_vocab(), {}
        for name, state in zip(names, states, strict=True):
            for one, vector in _vectors(name, state).items():
                if one in known or one in new:
                    raise PipelineError(f"there is already a token {one!r}; pass token=… to call it otherwise")
                if vector.shape != (width,):
                    raise PipelineError(
                        f"{one!r} has vectors of {vector.shape[-1]} numbers and the text encoder of {width}: it was "
                        "learned for another one"
                    )
                new[one] = vector
        table = text_encoder.resize_token_embeddings(len(tokenizer) + len(new)).weight
        tokenizer.add_tokens(list(new))
        with torch.no_grad():
            for one, vector in new.items():
                table[tokenizer.convert_tokens_to_ids(one)] = vector.to(device=table.device, dtype=table.dtype)

    def unload_textual_inversion(
        self, tokens: str | list[str] | None = None, tokenizer: Any = None, text_encoder: Any = None
    ) -> None:
        """Forget learned words.

        Args:
            tokens: which; all by default.
            tokenizer: by default the pipeline's.
            text_encoder: by default the pipeline's.
        """
        tokenizer, text_encoder = self._words_of(tokenizer, text_encoder)
        learned = {one.content: place for place, one in tokenizer.added_tokens_decoder.items() if not one.special}
        wanted = [tokens] if isinstance(tokens, str) else list(learned if tokens is None else tokens)
        for one in wanted:
            if one not in learned:
                raise PipelineError(f"there is no learned token {one!r}{nearest(one, learned)}")
        gone = {learned[one] for one in wanted}
        table = text_encoder.get_input_embeddings().weight.detach()
        kept = [row for row in range(table.shape[0]) if row not in gone]
        vectors = table[kept].clone()
        _forget(tokenizer, set(wanted), min(learned.values(), default=len(kept)))
        with torch.no_grad():
            text_encoder.resize_token_embeddings(len(kept)).weight.copy_(vectors)

    def _words_of(self, tokenizer: Any, text_encoder: Any) -> tuple[Any, Any]:
        tokenizer = tokenizer or getattr(self, "tokenizer", None)
        text_encoder = text_encoder or getattr(self, "text_encoder", None)
        if tokenizer is None or text_encoder is None:
            raise PipelineError("learned words need a tokenizer and a text_encoder; pass them")
        return tokenizer, text_encoder


def _read(source: Any, weight_name: str | None, where: dict[str, Any], safe: bool | None) -> Any:
    if not isinstance(source, str | os.PathLike):
        return source
    return read_object(find_weights_file(source, weight_name, USUAL, where, safe))


def _vectors(token: str | None, state: Any) -> dict[str, Tensor]:
    """Return token → vector for one word, of one or several vectors."""
    name, found = token, state
    if isinstance(state, Mapping) and "string_to_param" in state:
        name, found = token or str(state["name"]), state["string_to_param"]["*"]
    elif isinstance(state, Mapping) and len(state) == 1:
        first, found = next(iter(state.items()))
        name = token or first
    if not isinstance(found, Tensor):
        keys = ", ".join(map(str, state)) if isinstance(state, Mapping) else type(state).__name__
        raise PipelineError(f"this is no learned word: expected one tensor, or 'string_to_param'; found {keys}")
    if name is None:
        raise PipelineError("a tensor has no name: pass token=…")
    rows = found.detach().reshape(-1, found.shape[-1])
    return {name if i == 0 else f"{name}_{i}": row for i, row in enumerate(rows)}


def _forget(tokenizer: Any, tokens: set[str], first: int) -> None:
    """Take added tokens out of a tokenizer; those that stay move together, from the id ``first`` on."""
    inner = tokenizer._tokenizer
    state, kept = json.loads(inner.to_str()), []
    for one in state.get("added_tokens") or []:
        if one["content"] in tokens:
            continue
        if not one["special"]:
            one["id"], first = first, first + 1
        kept.append(one)
    tokenizer._tokenizer = type(inner).from_str(json.dumps({**state, "added_tokens": kept}))
