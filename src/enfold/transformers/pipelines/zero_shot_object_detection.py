"""Zero-shot object detection: where on a picture there is what the call names."""

from __future__ import annotations

from typing import Any

from enfold.transformers.image.loading import load_image
from enfold.transformers.pipelines.base import Pipeline
from enfold.transformers.pipelines.candidates import candidate_list
from enfold.transformers.pipelines.images import fields

__all__ = ["ZeroShotObjectDetectionPipeline"]


class ZeroShotObjectDetectionPipeline(Pipeline):
    """Finds objects of labels of your own; all labels of a picture share one forward pass.

    Arguments of a call (or of ``pipeline``): ``threshold``, the score to pass (0.1), ``top_k`` (all by default),
    ``timeout`` of URLs in seconds.

    Returns ``[{"score", "label", "box": {"xmin", "ymin", "xmax", "ymax"}}]`` for a picture, best first, in pixels.
    """

    _load_tokenizer = _load_image_processor = True
    _load_feature_extractor = _load_processor = False

    def __call__(self, image: Any = None, candidate_labels: Any = None, **kwargs: Any) -> Any:  # type: ignore[override]
        """Answer for one picture, or for many.

        Args:
            image: a picture; a list of them; ``{"image", "candidate_labels"}``, or a list or generator of these.
            candidate_labels: what to find: a list, or a text with commas; for a list of pictures one for each.
                ``text_queries`` is its older name.
            kwargs: arguments of the task.
        """
        labels = kwargs.pop("text_queries", None) if candidate_labels is None else candidate_labels
        if isinstance(image, dict):
            return super().__call__(image, **kwargs)
        if isinstance(image, list | tuple) and image and not isinstance(image[0], dict):
            if labels is None or len(labels) != len(image):
                raise ValueError(f"{len(image)} pictures need a list of as many candidate_labels, one list for each")
            pairs = zip(image, labels, strict=True)
            return super().__call__([{"image": one, "candidate_labels": own} for one, own in pairs], **kwargs)
        if labels is None:
            return super().__call__(image, **kwargs)
        return super().__call__({"image": image, "candidate_labels": labels}, **kwargs)

    def _sanitize_parameters(
        self, threshold: float | None = None, top_k: int | None = None, timeout: float | None = None, **_: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        after = {"threshold": threshold, "top_k": top_k}
        after = {name: value for name, value in after.items() if value is not None}
        return {} if timeout is None else {"timeout": timeout}, {}, after

    def preprocess(self, inputs: Any, timeout: float | None = None) -> Any:  # type: ignore[override]
        """Turn a picture and its labels into pixels [1, …] and ids [labels, …]."""
        if not isinstance(inputs, dict) or not {"image", "candidate_labels"} <= set(inputs):
            raise ValueError('zero-shot-object-detection needs {"image", "candidate_labels"}, or both as arguments')
        image, labels = load_image(inputs["image"], timeout), candidate_list(inputs["candidate_labels"])
        texts = self.tokenizer(labels, padding=True, return_tensors="pt")
        pixels = self.image_processor(image, return_tensors="pt").to(dtype=self.dtype)
        ids = {name: texts[name] for name in ("input_ids", "attention_mask")}
        return {**ids, **pixels, "candidate_labels": labels, "target_size": [(image.height, image.width)]}

    def _forward(self, model_inputs: Any, **_: Any) -> Any:  # type: ignore[override]
        labels, size = model_inputs.pop("candidate_labels"), model_inputs.pop("target_size")
        return {"candidate_labels": labels, "target_size": size, **self.model(**model_inputs)}

    def postprocess(  # type: ignore[override]
        self, model_outputs: Any, threshold: float = 0.1, top_k: int | None = None
    ) -> list[dict[str, Any]]:
        """Turn logits [1, boxes, labels] into labelled boxes in pixels; one box may have several labels."""
        results = []
        for place, label in enumerate(model_outputs["candidate_labels"]):
            own = fields({**model_outputs, "logits": model_outputs["logits"][..., place : place + 1]})
            found = self.image_processor.post_process_object_detection(own, threshold, model_outputs["target_size"])[0]
            for score, box in zip(found["scores"].tolist(), found["boxes"].int().tolist(), strict=True):
                corners = dict(zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
                results.append({"score": score, "label": label, "box": corners})
        return sorted(results, key=lambda one: one["score"], reverse=True)[:top_k]
