"""Text classification: labels and scores of texts or pairs of texts."""

from __future__ import annotations

import enum
import warnings
from typing import Any

import torch

from enfold.errors import nearest
from enfold.transformers.pipelines.base import Pipeline, length_batches

__all__ = ["ClassificationFunction", "TextClassificationPipeline"]


class ClassificationFunction(str, enum.Enum):
    """What turns the model's outputs into scores."""

    SIGMOID = "sigmoid"
    SOFTMAX = "softmax"
    NONE = "none"


# What the tokenizer is asked for beyond the text.
_TOKENIZER_ARGUMENTS = ("padding", "truncation", "max_length", "add_special_tokens", "stride", "pad_to_multiple_of")


class TextClassificationPipeline(Pipeline):
    """Labels texts: reviews, headlines, pairs of sentences.

    Arguments of a call (or of ``pipeline``): ``top_k`` (labels to return, None for all, best first),
    ``return_all_scores`` (all labels in the model's order), ``function_to_apply`` ("sigmoid", "softmax", "none"; by
    default what the model's ``problem_type`` and number of labels call for), ``truncation``, ``max_length``,
    ``padding``.

    Returns ``[{"label", "score"}]`` for a text, one dictionary for each text of a list, and lists of dictionaries with
    ``top_k``.
    """

    _load_tokenizer = True
    _load_feature_extractor = _load_image_processor = _load_processor = False

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

    def _encode(self, rows: list[Any], arguments: dict[str, Any], tensors: str | None) -> Any:
        """Tokenize all rows at once; texts and pairs are not mixed in one call."""
        pairs = [row for row in rows if isinstance(row, dict)]
        if not pairs:
            wrong = next((row for row in rows if not isinstance(row, str)), None)
            if wrong is not None:
                raise ValueError(
                    "text-classification takes texts, or pairs as {'text': …, 'text_pair': …}; this is "
                    f"{type(wrong).__name__}: {str(wrong)[:80]!r}"
                )
            return self.tokenizer(rows, return_tensors=tensors, **arguments)
        texts = [row["text"] if isinstance(row, dict) else row for row in rows]
        seconds = [row.get("text_pair") if isinstance(row, dict) else None for row in rows]
        if all(second is None for second in seconds):
            return self.tokenizer(texts, return_tensors=tensors, **arguments)
        return self.tokenizer(texts, [second or "" for second in seconds], return_tensors=tensors, **arguments)

    def preprocess(self, inputs: Any, **tokenizer_kwargs: Any) -> Any:  # type: ignore[override]
        """Turn one text or pair into model inputs [1, tokens]."""
        return self._encode([inputs], tokenizer_kwargs, "pt")

    def _forward(self, model_inputs: Any, **_: Any) -> Any:  # type: ignore[override]
        return self.model(**model_inputs)

    def run_many(
        self,
        inputs: list[Any],
        batch_size: int | None,
        preprocess_params: Any,
        forward_params: Any,
        postprocess_params: Any,
    ) -> list[Any]:
        """Tokenize all at once, run batches of like length, and put the answers back in order."""
        answers: list[Any] = [None] * len(inputs)
        kinds = [isinstance(row, dict) and row.get("text_pair") is not None for row in inputs]
        arguments = {key: value for key, value in preprocess_params.items() if key != "padding"}
        full = preprocess_params.get("padding") == "max_length"
        for kind in sorted(set(kinds)):
            places = [place for place, own in enumerate(kinds) if own == kind]
            tokens = self._encode([inputs[place] for place in places], arguments, None)
            lengths = [len(row) for row in tokens["input_ids"]]
            sizes = 1 if self.tokenizer.pad_token_id is None else batch_size
            for batch in length_batches(lengths, sizes):
                rows = [{name: tokens[name][index] for name in tokens} for index in batch]
                if len(rows) == 1 and not full:
                    one = {name: torch.tensor([value]) for name, value in rows[0].items()}
                else:
                    how = {"padding": "max_length", "max_length": arguments.get("max_length")} if full else {}
                    one = dict(self.tokenizer.pad(rows, return_tensors="pt", **how))
                logits = self.forward(one, **forward_params)["logits"]
                for index, row in zip(batch, logits, strict=True):
                    answers[places[index]] = self.postprocess({"logits": row[None]}, **postprocess_params)
        return answers

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
