"""Text classification: labels and scores of texts or pairs of texts."""

from __future__ import annotations

import enum
import warnings
from typing import Any

from enfold.errors import nearest
from enfold.transformers.pipelines.texts import Piece, TextPipeline

__all__ = ["ClassificationFunction", "TextClassificationPipeline"]


class ClassificationFunction(str, enum.Enum):
    """What turns the model's outputs into scores."""

    SIGMOID = "sigmoid"
    SOFTMAX = "softmax"
    NONE = "none"


class TextClassificationPipeline(TextPipeline):
    """Labels texts: reviews, headlines, pairs of sentences.

    Arguments of a call (or of ``pipeline``): ``top_k`` (labels to return, None for all, best first),
    ``return_all_scores`` (all labels in the model's order), ``function_to_apply`` ("sigmoid", "softmax", "none"; by
    default what the model's ``problem_type`` and number of labels call for), ``truncation``, ``max_length``,
    ``padding``.

    Returns ``[{"label", "score"}]`` for a text, one dictionary for each text of a list, and lists of dictionaries with
    ``top_k``.
    """

    def _sanitize_parameters(
        self, return_all_scores: Any = None, function_to_apply: Any = None, top_k: Any = "", **tokenizer_kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        after: dict[str, Any] = {}
        if top_k is None or isinstance(top_k, int):
            after["top_k"] = top_k
            after["_legacy"] = False
        elif return_all_scores is not None:
            warnings.warn("return_all_scores has become top_k: top_k=None for all labels", UserWarning, stacklevel=3)
            after["top_k"] = None if return_all_scores else 1
        if function_to_apply is not None:
            name = str(getattr(function_to_apply, "value", function_to_apply)).lower()
            known = [member.value for member in ClassificationFunction]
            if name not in known:
                raise ValueError(f"function_to_apply is one of {', '.join(known)}, not {name!r}{nearest(name, known)}")
            after["function_to_apply"] = name
        return tokenizer_kwargs, {}, after

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Label a text, a {"text", "text_pair"} dictionary, a list of either, a generator or a data set."""
        if isinstance(inputs, list) and len(inputs) == 1 and isinstance(inputs[0], list) and len(inputs[0]) == 2:
            inputs = [{"text": inputs[0][0], "text_pair": inputs[0][1]}]
        result = super().__call__(inputs, *args, **kwargs)
        return [result] if isinstance(inputs, str) and "top_k" not in kwargs else result

    def pieces(self, inputs: list[Any], padding: Any = None, **tokenizer_kwargs: Any) -> list[list[Piece]]:
        """Tokenize all texts at once, and all pairs at once."""
        for row in inputs:
            if not isinstance(row, str) and not (isinstance(row, dict) and "text" in row):
                raise ValueError(
                    "text-classification takes texts, or pairs as {'text': …, 'text_pair': …}; this is "
                    f"{type(row).__name__}: {str(row)[:80]!r}"
                )
        made: list[list[Piece]] = [[] for _ in inputs]
        texts = [row["text"] if isinstance(row, dict) else row for row in inputs]
        seconds = [row.get("text_pair") if isinstance(row, dict) else None for row in inputs]
        for paired in (False, True):
            places = [place for place, second in enumerate(seconds) if (second is not None) == paired]
            if places:
                columns = [[texts[place] for place in places], *([[seconds[place] for place in places]] * paired)]
                encoded = self.tokenizer(*columns, **tokenizer_kwargs)
                for place, tokens in zip(places, self.rows(encoded), strict=True):
                    made[place].append(Piece(tokens))
        return made

    def take(self, outputs: Any, row: int, piece: Piece, kept: slice) -> Any:
        """Return the row's logits, [1, labels]."""
        return {"logits": outputs["logits"][row][None]}

    def answer_of(self, pieces: list[Piece]) -> Any:
        """Return what ``postprocess`` is given."""
        return pieces[0].outputs

    def postprocess(  # type: ignore[override]
        self, model_outputs: Any, function_to_apply: str | None = None, top_k: int | None = 1, _legacy: bool = True
    ) -> Any:
        """Turn logits [1, labels] into a label with its score, or into several."""
        config = self.model.config
        if function_to_apply is None:
            kind = getattr(config, "problem_type", None)
            if kind == "regression":
                function_to_apply = "none"
            elif kind == "multi_label_classification" or config.num_labels == 1:
                function_to_apply = "sigmoid"
            elif kind == "single_label_classification" or config.num_labels > 1:
                function_to_apply = "softmax"
            else:
                function_to_apply = getattr(config, "function_to_apply", None) or "none"
        logits = model_outputs["logits"][0].float()
        if function_to_apply == "sigmoid":
            scores = logits.sigmoid()
        elif function_to_apply == "softmax":
            scores = logits.softmax(-1)
        else:
            scores = logits
        values = scores.tolist()
        if top_k == 1 and _legacy:
            best = int(scores.argmax())
            return {"label": config.id2label[best], "score": values[best]}
        found = [{"label": config.id2label[place], "score": score} for place, score in enumerate(values)]
        if not _legacy:
            found.sort(key=lambda entry: -entry["score"])
            if top_k is not None:
                found = found[:top_k]
        return found
