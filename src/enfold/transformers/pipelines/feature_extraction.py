"""Feature extraction: the states of a text's tokens."""

from __future__ import annotations

from typing import Any

from enfold.transformers.pipelines.texts import Piece, TextPipeline

__all__ = ["FeatureExtractionPipeline"]


class FeatureExtractionPipeline(TextPipeline):
    """Returns the first output of a model without a head: one vector a token.

    Arguments of a call (or of ``pipeline``): ``return_tensors`` (tensors instead of lists), ``truncation``,
    ``tokenize_kwargs``.

    Returns for each text a nested list, or a tensor, of (1, tokens, width).
    """

    def _sanitize_parameters(
        self,
        truncation: Any = None,
        tokenize_kwargs: dict[str, Any] | None = None,
        return_tensors: Any = None,
        **_: Any,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        before = dict(tokenize_kwargs or {})
        if truncation is not None:
            if "truncation" in before:
                raise ValueError("truncation is given twice: by itself and in tokenize_kwargs")
            before["truncation"] = truncation
        return before, {}, {} if return_tensors is None else {"return_tensors": return_tensors}

    def pieces(self, inputs: list[Any], **tokenize_kwargs: Any) -> list[list[Piece]]:
        """Tokenize all texts at once."""
        tokenize_kwargs.pop("return_tensors", None)
        encoded = self.tokenizer(inputs, **tokenize_kwargs)
        return [[Piece(tokens)] for tokens in self.rows(encoded)]

    def take(self, outputs: Any, row: int, piece: Piece, kept: slice) -> Any:
        """Return the states (tokens, width)."""
        first = next(iter(outputs.values())) if hasattr(outputs, "values") else outputs[0]
        return {"states": first[row, kept]}

    def postprocess(self, model_outputs: list[Piece], return_tensors: Any = False) -> Any:  # type: ignore[override]
        """Return the states (1, tokens, width)."""
        states = model_outputs[0].outputs["states"][None]
        return states if return_tensors else states.tolist()
