"""Pipelines whose inputs become pieces of tokens: all are tokenized at once, pieces of like length share a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from enfold.transformers.pipelines.base import Pipeline, length_batches

__all__ = ["Piece", "TextPipeline"]


@dataclass
class Piece:
    """What the model reads in one go: a text, a part of a long one, a pair.

    Attributes:
        tokens: name of a model input → its values, one a token.
        about: what the answer needs to know of the piece beside them.
        outputs: name → the model's output for this piece alone, without padding; there once the model has run.
    """

    tokens: dict[str, Sequence[int]]
    about: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.tokens["input_ids"])


class TextPipeline(Pipeline):
    """Answers texts from their pieces.

    A task says in ``pieces`` how inputs are cut, in ``take`` what of the model's output belongs to a piece, and in
    ``postprocess`` what the answer is.
    """

    _load_tokenizer = True
    _load_feature_extractor = _load_image_processor = _load_processor = False

    def pieces(self, inputs: list[Any], **preprocess_params: Any) -> list[list[Piece]]:
        """Return the pieces of each input."""
        raise NotImplementedError(f"{type(self).__name__} must define pieces")

    def take(self, outputs: Any, row: int, piece: Piece, kept: slice) -> dict[str, Tensor]:
        """Return what of a batch's output belongs to its ``row``, whose own tokens are the places ``kept``."""
        return {"logits": outputs["logits"][row, kept]}

    def answer_of(self, pieces: list[Piece]) -> Any:
        """Return what ``postprocess`` is given for an input: its pieces, unless a task says otherwise."""
        return pieces

    def preprocess(self, input_: Any, **preprocess_params: Any) -> list[Piece]:
        """Turn one input into pieces."""
        return self.pieces([input_], **preprocess_params)[0]

    def _forward(self, model_inputs: Any, **forward_params: Any) -> Any:  # type: ignore[override]
        return self.model(**model_inputs, **forward_params)

    def run_single(self, inputs: Any, preprocess_params: Any, forward_params: Any, postprocess_params: Any) -> Any:
        """Answer one input."""
        pieces = self.preprocess(inputs, **preprocess_params)
        self.run_pieces(pieces, None, forward_params)
        return self.postprocess(self.answer_of(pieces), **postprocess_params)

    def run_many(
        self,
        inputs: list[Any],
        batch_size: int | None,
        preprocess_params: Any,
        forward_params: Any,
        postprocess_params: Any,
    ) -> list[Any]:
        """Answer several inputs, in order, whatever batches their pieces ran in."""
        made = self.pieces(inputs, **preprocess_params)
        self.run_pieces([piece for pieces in made for piece in pieces], batch_size, forward_params)
        return [self.postprocess(self.answer_of(pieces), **postprocess_params) for pieces in made]

    def run_pieces(self, pieces: list[Piece], batch_size: int | None, forward_params: dict[str, Any]) -> None:
        """Fill in the outputs of all pieces, by batches of like length.

        Args:
            pieces: what the model reads.
            batch_size: at most this many a batch; None leaves it to the number of tokens.
            forward_params: arguments of the model.
        """
        sizes = 1 if self.tokenizer.pad_token_id is None else batch_size
        for places in length_batches([len(piece) for piece in pieces], sizes):
            batch = [pieces[place] for place in places]
            width = max(map(len, batch))
            left = self.tokenizer.padding_side == "left"
            outputs = self.forward(self._batch(batch, width), **forward_params)
            for row, piece in enumerate(batch):
                kept = slice(width - len(piece), None) if left else slice(len(piece))
                piece.outputs = self.take(outputs, row, piece, kept)

    def _batch(self, batch: list[Piece], width: int) -> dict[str, Tensor]:
        """Return the pieces as tensors (B, T); a batch without padding has no mask, for none is needed."""
        rows = [dict(piece.tokens) for piece in batch]
        if all(len(piece) == width for piece in batch):
            names = [name for name in rows[0] if name != "attention_mask" or any(0 in row[name] for row in rows)]
            return {name: torch.tensor([list(row[name]) for row in rows]) for name in names}
        return dict(self.tokenizer.pad(rows, return_tensors="pt"))

    def rows(self, encoded: Any) -> list[dict[str, Sequence[int]]]:
        """Return the model's inputs of each row of what the tokenizer returned."""
        names = [name for name in self.tokenizer.model_input_names if name in encoded]
        return [{name: encoded[name][row] for name in names} for row in range(len(encoded["input_ids"]))]
