"""Audio classification: labels and scores of recordings."""

from __future__ import annotations

from typing import Any

from enfold.errors import nearest
from enfold.transformers.audio.recordings import load_audio
from enfold.transformers.pipelines.alike import AlikePipeline

__all__ = ["AudioClassificationPipeline"]

FUNCTIONS = {
    "softmax": lambda logits: logits.softmax(-1),
    "sigmoid": lambda logits: logits.sigmoid(),
    "none": lambda logits: logits,
}


class AudioClassificationPipeline(AlikePipeline):
    """Labels recordings: commands, speakers, kinds of sound.

    Takes a path, a URL, bytes, samples, or ``{"array" or "raw", "sampling_rate"}``, one or many. Arguments of a call
    (or of ``pipeline``): ``top_k`` (all by default), ``function_to_apply`` ("softmax", "sigmoid", "none").

    Returns ``[{"score", "label"}]`` for a recording, best first.
    """

    _load_feature_extractor = True
    _load_tokenizer = _load_image_processor = _load_processor = False

    def _sanitize_parameters(
        self, top_k: int | None = None, function_to_apply: Any = None, **_: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        after: dict[str, Any] = {}
        if top_k is not None:
            after["top_k"] = top_k
        if function_to_apply is not None:
            name = str(function_to_apply)
            if name not in FUNCTIONS:
                known = ", ".join(FUNCTIONS)
                raise ValueError(f"function_to_apply={name!r}{nearest(name, FUNCTIONS)}; there are {known}")
            after["function_to_apply"] = name
        return {}, {}, after

    def preprocess(self, inputs: Any, **_: Any) -> Any:  # type: ignore[override]
        """Turn a recording into features [1, …]."""
        rate = self.feature_extractor.sampling_rate
        made = self.feature_extractor(load_audio(inputs, rate), sampling_rate=rate, return_tensors="pt")
        return made.to(dtype=self.dtype)

    def _forward(self, model_inputs: Any, **_: Any) -> Any:  # type: ignore[override]
        return {"logits": self.model(**model_inputs).logits}

    def postprocess(  # type: ignore[override]
        self, model_outputs: Any, top_k: int | None = None, function_to_apply: str = "softmax"
    ) -> list[dict[str, Any]]:
        """Turn logits [1, labels] into labels with their scores."""
        scores = FUNCTIONS[function_to_apply](model_outputs["logits"][0].float())
        best = scores.topk(min(top_k or len(scores), len(scores)))
        names = self.model.config.id2label
        return [
            {"score": score, "label": names[place]}
            for score, place in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        ]
