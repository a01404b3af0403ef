"""Image classification: labels and scores of pictures."""

from __future__ import annotations

from typing import Any

from enfold.errors import nearest
from enfold.transformers.pipelines.images import ImagePipeline

__all__ = ["ImageClassificationPipeline"]

FUNCTIONS = ("sigmoid", "softmax", "none")


class ImageClassificationPipeline(ImagePipeline):
    """Labels pictures.

    Arguments of a call (or of ``pipeline``): ``top_k`` (5 by default), ``function_to_apply`` ("sigmoid", "softmax",
    "none"; by default what the model's ``problem_type`` and number of labels call for), ``timeout`` of URLs in seconds.

    Returns ``[{"label", "score"}]`` for a picture, best first.
    """

    def _sanitize_parameters(
        self, top_k: int | None = None, function_to_apply: Any = None, timeout: float | None = None, **_: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        after: dict[str, Any] = {} if top_k is None else {"top_k": top_k}
        if function_to_apply is not None:
            name = str(getattr(function_to_apply, "value", function_to_apply)).lower()
            if name not in FUNCTIONS:
                raise ValueError(
                    f"function_to_apply is one of {', '.join(FUNCTIONS)}, not {name!r}{nearest(name, FUNCTIONS)}"
                )
            after["function_to_apply"] = name
        return {} if timeout is None else {"timeout": timeout}, {}, after

    def postprocess(  # type: ignore[override]
        self, model_outputs: Any, function_to_apply: str | None = None, top_k: int = 5
    ) -> list[dict[str, Any]]:
        """Turn logits [1, labels] into labels with their scores."""
        config = self.model.config
        if function_to_apply is None:
            kind = config.problem_type
            many = kind == "multi_label_classification" or config.num_labels == 1
            one = kind == "single_label_classification" or config.num_labels > 1
            function_to_apply = "sigmoid" if many else "softmax" if one else "none"
        logits = model_outputs["logits"][0].float()
        scores = {"sigmoid": logits.sigmoid(), "softmax": logits.softmax(-1)}.get(function_to_apply, logits)
        best = scores.topk(min(top_k, len(scores)))
        return [
            {"label": config.id2label[place], "score": score}
            for score, place in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        ]
