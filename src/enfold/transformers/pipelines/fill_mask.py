"""Fill-mask: the words that fit where a text has a mask."""

from __future__ import annotations

from typing import Any

import torch

from enfold.log import get_logger
from enfold.transformers.pipelines.base import PipelineException
from enfold.transformers.pipelines.texts import Piece, TextPipeline

__all__ = ["FillMaskPipeline"]

logger = get_logger(__name__)


class FillMaskPipeline(TextPipeline):
    """Fills masks.

    Arguments of a call (or of ``pipeline``): ``top_k`` (5), ``targets`` (only these words are considered),
    ``tokenizer_kwargs``.

    Returns for each text a list of ``{"score", "token", "token_str", "sequence"}``, best first; a list of such lists
    for a text with several masks.
    """

    def _sanitize_parameters(  # type: ignore[override]
        self,
        top_k: int | None = None,
        targets: Any = None,
        tokenizer_kwargs: dict[str, Any] | None = None,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        if self.tokenizer.mask_token_id is None:
            raise PipelineException("fill-mask", self.model.base_model_prefix, "the tokenizer has no mask token")
        after: dict[str, Any] = {}
        if targets is not None:
            after["target_ids"] = self.get_target_ids(targets)
        if top_k is not None:
            after["top_k"] = top_k
        return ({} if tokenizer_kwargs is None else {"tokenizer_kwargs": tokenizer_kwargs}), {}, after

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Fill the masks of a text, a list of texts, a generator or a data set."""
        answers = super().__call__(inputs, *args, **kwargs)
        return answers[0] if isinstance(inputs, list) and len(inputs) == 1 else answers

    def get_target_ids(self, targets: Any) -> list[int]:
        """Return the ids of words; a word that the vocabulary lacks becomes its first token, with a warning.

        Raises:
            ValueError: no word is left.
        """
        vocabulary = self.tokenizer.get_vocab()
        found = []
        for word in [targets] if isinstance(targets, str) else targets:
            token = vocabulary.get(word)
            if token is None:
                ids = self.tokenizer(word, add_special_tokens=False, max_length=1, truncation=True)["input_ids"]
                if not ids:
                    logger.warning("the target %r has no token in the vocabulary and is left out", word)
                    continue
                token = ids[0]
                shown = self.tokenizer.convert_ids_to_tokens(token)
                logger.warning("the target %r is not in the vocabulary: %r stands for it", word, shown)
            found.append(token)
        if not found:
            raise ValueError("targets are given, but none of them has a token")
        return sorted(set(found))

    def pieces(self, inputs: list[Any], tokenizer_kwargs: dict[str, Any] | None = None) -> list[list[Piece]]:  # type: ignore[override]
        """Tokenize all texts at once.

        Raises:
            PipelineException: a text has no mask.
        """
        encoded = self.tokenizer(inputs, **(tokenizer_kwargs or {}))
        made = []
        for tokens, text in zip(self.rows(encoded), inputs, strict=True):
            masked = [place for place, token in enumerate(tokens["input_ids"]) if token == self.tokenizer.mask_token_id]
            if not masked:
                raise PipelineException(
                    "fill-mask",
                    self.model.base_model_prefix,
                    f"no mask ({self.tokenizer.mask_token}) in {str(text)[:80]!r}",
                )
            made.append([Piece(tokens, {"masked": masked})])
        return made

    def take(self, outputs: Any, row: int, piece: Piece, kept: slice) -> Any:
        """Return the logits of the masks alone, (masks, words)."""
        return {"logits": outputs["logits"][row, kept][piece.about["masked"]]}

    def postprocess(  # type: ignore[override]
        self, model_outputs: list[Piece], top_k: int = 5, target_ids: list[int] | None = None
    ) -> Any:
        """Turn logits into words."""
        piece = model_outputs[0]
        masked = piece.about["masked"]
        shares = piece.outputs["logits"].softmax(-1)
        chosen = None if target_ids is None else torch.tensor(target_ids)
        if chosen is not None:
            shares = shares[:, chosen]
        best = shares.topk(min(top_k, shares.shape[-1]))
        answers = []
        for place, scores, words in zip(masked, best.values.tolist(), best.indices.tolist(), strict=True):
            row = []
            for score, word in zip(scores, words, strict=True):
                token = word if target_ids is None else target_ids[word]
                ids = list(piece.tokens["input_ids"])
                ids[place] = token
                ids = [one for one in ids if one != self.tokenizer.pad_token_id]
                row.append(
                    {
                        "score": score,
                        "token": token,
                        "token_str": self.tokenizer.decode([token]),
                        # with several masks the others stay, so that the text can be read
                        "sequence": self.tokenizer.decode(ids, skip_special_tokens=len(masked) == 1),
                    }
                )
            answers.append(row)
        return answers[0] if len(answers) == 1 else answers
