"""Collators of language modelling: what is hidden, and what is to be predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from enfold.transformers.trainer.collators import IGNORED_LABEL, CollateError, Columns, _batch, _finish, _pad
from enfold.transformers.trainer.columns import columns_of

__all__ = [
    "DataCollatorForLanguageModeling",
    "DataCollatorForPermutationLanguageModeling",
    "DataCollatorForSOP",
    "DataCollatorForWholeWordMask",
]


@dataclass
class DataCollatorForLanguageModeling:
    """Pads tokenized rows and makes the labels of language modelling.

    With ``mlm``, a share of the tokens is to be predicted; of these, 80 % are shown as the mask token, 10 % as a random
    token and 10 % as they are (https://arxiv.org/abs/1810.04805). Without it the labels are the tokens themselves,
    gaps left out.

    Args:
        tokenizer: the tokenizer.
        mlm: masked rather than causal.
        whole_word_mask: hide all tokens of a word together, always as the mask token. Words follow from a column
            ``offset_mapping`` where there is one, else from tokens that begin with ``##``.
        mlm_probability: share of tokens to predict.
        mask_replace_prob, random_replace_prob: how those are shown.
        pad_to_multiple_of: round the width up.
        return_tensors: ``"pt"``, ``"np"`` or ``"tf"``.
        seed: of a generator of the collator's own; by default torch's is used.
    """

    tokenizer: Any
    mlm: bool = True
    whole_word_mask: bool = False
    mlm_probability: float | None = 0.15
    mask_replace_prob: float = 0.8
    random_replace_prob: float = 0.1
    pad_to_multiple_of: int | None = None
    return_tensors: str = "pt"
    seed: int | None = None

    _splits_words: ClassVar[bool] = False  # tokens of a hidden word may be shown in different ways

    def __post_init__(self) -> None:
        if self.whole_word_mask and not self.mlm:
            raise ValueError("whole_word_mask=True needs mlm=True: words are only hidden in masked modelling")
        if self.whole_word_mask and not self._splits_words:
            self.mask_replace_prob, self.random_replace_prob = 1.0, 0.0
        if self.mlm:
            if getattr(self.tokenizer, "mask_token", None) is None:
                raise ValueError("the tokenizer has no mask token; use mlm=False for causal language modelling")
            if self.mlm_probability is None or not 0 <= self.mlm_probability <= 1:
                raise ValueError(f"mlm_probability lies between 0 and 1, got {self.mlm_probability}")
        if not 0 <= self.mask_replace_prob + self.random_replace_prob <= 1:
            raise ValueError("mask_replace_prob and random_replace_prob may not add up to more than 1")
        self._generator = None if self.seed is None else torch.Generator().manual_seed(self.seed)

    def __call__(self, features: Sequence[Any], return_tensors: str | None = None) -> Any:
        if features and not isinstance(features[0], Mapping) and not hasattr(features[0], "keys"):
            features = [{"input_ids": feature} for feature in features]
        return self.collate_columns(columns_of(features), return_tensors)

    def collate_columns(self, columns: Columns, return_tensors: str | None = None) -> Any:
        """Make a batch of columns."""
        columns = dict(columns)
        offsets, marks = columns.pop("offset_mapping", None), columns.pop("chinese_ref", None)
        batch = _finish(_pad(self.tokenizer, columns, multiple=self.pad_to_multiple_of), "pt")
        special = batch.pop("special_tokens_mask", None)
        if self.mlm:
            words = self._words(batch["input_ids"], offsets, marks) if self.whole_word_mask else None
            batch["input_ids"], batch["labels"] = self.mask_tokens(batch["input_ids"], special, words)
        else:
            labels = batch.get("labels", batch["input_ids"]).clone()
            pad = getattr(self.tokenizer, "pad_token_id", None)
            if pad is not None:
                labels[labels == pad] = IGNORED_LABEL
            batch["labels"] = labels
        return _batch(_finish(batch, return_tensors or self.return_tensors))

    def _words(self, ids: Tensor, offsets: Any, marks: Any) -> Tensor:
        """Return where each token continues the word before it, (rows, width)."""
        inside = torch.zeros(ids.shape, dtype=torch.bool)
        if offsets is not None:
            for row, pairs in zip(inside, offsets, strict=True):
                spans = torch.as_tensor(np.asarray(pairs)).reshape(-1, 2)
                row[1 : len(spans)] = spans[1:, 0] == spans[:-1, 1]
        else:
            for row, tokens in zip(inside, ids.tolist(), strict=True):
                names = self.tokenizer.convert_ids_to_tokens(tokens)
                row[:] = torch.tensor([name.startswith("##") for name in names])
        for row, places in zip(inside, marks if marks is not None else (), strict=False):
            row[torch.as_tensor(np.asarray(places), dtype=torch.long)] = True
        return inside

    def mask_tokens(
        self, inputs: Tensor, special_tokens_mask: Tensor | None = None, inside: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Hide some tokens.

        Args:
            inputs: token ids, shape (rows, width).
            special_tokens_mask: same shape, 1 where a token is never hidden; by default the tokenizer's special ones.
            inside: same shape, whether a token continues the word before it, to hide whole words.

        Returns:
            What the model sees, and the labels: the hidden tokens, -100 elsewhere.
        """
        labels, shown = inputs.clone(), inputs.clone()
        if special_tokens_mask is None:
            special = torch.isin(labels, torch.tensor(list(self.tokenizer.all_special_ids), dtype=labels.dtype))
        else:
            special = special_tokens_mask.bool()
        share = torch.full(labels.shape, float(self.mlm_probability or 0.0)).masked_fill_(special, 0.0)
        if inside is not None:
            inside = inside & ~special & ~torch.nn.functional.pad(special, (1, -1))
            share.masked_fill_(inside, 0.0)
        hidden = self._draw(share)
        if inside is not None:
            # A word is as hidden as its first token: spread that over the tokens that continue it.
            first = torch.where(inside, 0, torch.arange(inside.shape[1])).cummax(dim=1).values
            hidden = hidden.gather(1, first) & ~special
        labels[~hidden] = IGNORED_LABEL
        masked = self._draw(torch.full(labels.shape, self.mask_replace_prob)) & hidden
        shown[masked] = self.tokenizer.convert_tokens_to_ids(self.tokenizer.mask_token)
        if self.mask_replace_prob == 1 or self.random_replace_prob == 0:
            return shown, labels
        rest = self.random_replace_prob / (1 - self.mask_replace_prob)
        changed = self._draw(torch.full(labels.shape, rest)) & hidden & ~masked
        words = torch.randint(len(self.tokenizer), labels.shape, dtype=torch.long, generator=self._generator)
        shown[changed] = words[changed]
        return shown, labels

    def _draw(self, share: Tensor) -> Tensor:
        return torch.bernoulli(share, generator=self._generator).bool()


@dataclass
class DataCollatorForWholeWordMask(DataCollatorForLanguageModeling):
    """Hides all tokens of a word together; each is shown as the mask token, a random one or as it is."""

    whole_word_mask: bool = True
    _splits_words: ClassVar[bool] = True


@dataclass
class DataCollatorForSOP(DataCollatorForLanguageModeling):
    """Masked language modelling beside the order of two sentences; labels of the order are ``sentence_order_label``."""


@dataclass
class DataCollatorForPermutationLanguageModeling:
    """Makes the inputs of XLNet's training: spans to be predicted, in a random order of the tokens.

    Args:
        tokenizer: the tokenizer.
        plm_probability: share of tokens to predict.
        max_span_length: longest span to predict.
        return_tensors: ``"pt"``, ``"np"`` or ``"tf"``.

    Returns ``input_ids`` and ``labels`` (rows, width), ``perm_mask`` and ``target_mapping`` (rows, width, width).

    Source: https://arxiv.org/abs/1906.08237
    """

    tokenizer: Any
    plm_probability: float = 1 / 6
    max_span_length: int = 5
    return_tensors: str = "pt"

    def __call__(self, features: Sequence[Any], return_tensors: str | None = None) -> dict[str, Any]:
        rows = [{"input_ids": row["input_ids"] if hasattr(row, "keys") else row} for row in features]
        ids = _finish(_pad(self.tokenizer, columns_of(rows)), "pt")["input_ids"]
        if getattr(self.tokenizer, "mask_token", None) is None:
            raise ValueError("the tokenizer has no mask token, which permutation language modelling needs")
        if ids.shape[1] % 2:
            raise CollateError(
                f"rows are {ids.shape[1]} tokens wide, and XLNet's reused half needs an even width; pad with "
                "pad_to_multiple_of=2 when tokenizing"
            )
        batch = dict(zip(("input_ids", "perm_mask", "target_mapping", "labels"), self.mask_tokens(ids), strict=True))
        return _finish(batch, return_tensors or self.return_tensors)

    def mask_tokens(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return what the model sees, who sees whom not, which position each prediction is for, and the labels."""
        rows, width = inputs.shape
        chosen = torch.zeros(inputs.shape, dtype=torch.bool)
        for row in chosen:
            start = 0
            while start < width:
                # A span, somewhere within a stretch that is longer by the share of tokens to predict.
                span = int(torch.randint(1, self.max_span_length + 1, (1,)))
                stretch = int(span / self.plm_probability)
                begin = start + int(torch.randint(stretch - span + 1, (1,)))
                row[begin : begin + span] = True
                start += stretch
        special = torch.isin(inputs, torch.tensor(list(self.tokenizer.all_special_ids), dtype=inputs.dtype))
        chosen &= ~special
        shown = inputs.masked_fill(chosen, self.tokenizer.convert_tokens_to_ids(self.tokenizer.mask_token))
        labels = inputs.masked_fill(~chosen, IGNORED_LABEL)
        hidden_from = torch.zeros((rows, width, width))
        for row in range(rows):
            # Both halves in the same random order, one after the other: a half may be remembered from the row before.
            order = torch.arange(width).reshape(-1, width // 2).T[torch.randperm(width // 2)].T.flatten()
            # What is not predicted comes first: all see it, and it sees nothing that is.
            order = order.masked_fill(~chosen[row] & ~special[row], -1)
            hidden_from[row] = (order[:, None] <= order[None, :]) & chosen[row]
        target = torch.eye(width).expand(rows, width, width).clone()
        return shown, hidden_from, target, labels
