"""Visual question answering: answers to questions about pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from enfold.transformers.image.loading import load_image
from enfold.transformers.pipelines.alike import AlikePipeline
from enfold.transformers.pipelines.writing import WritingPipeline

__all__ = ["VisualQuestionAnsweringPipeline"]


class VisualQuestionAnsweringPipeline(AlikePipeline, WritingPipeline):
    """Answers questions about pictures: with the likeliest of a model's labels, or with a text that it writes.

    Arguments of a call (or of ``pipeline``): ``top_k`` (5), ``padding`` and ``truncation`` of questions, ``timeout`` of
    URLs in seconds.

    Returns ``[{"score", "answer"}]`` for a question, best first; ``[{"answer"}]`` from a model that writes.
    """

    _load_image_processor = True
    defaults: Mapping[str, Any] = {"max_new_tokens": 256}

    def __call__(self, image: Any = None, question: Any = None, **kwargs: Any) -> Any:  # type: ignore[override]
        """Answer one question about one picture, or several.

        Args:
            image: a picture or a list of them; or ``{"image", "question"}``, or a list or generator of these.
            question: a question, or several; each is asked about each picture, all pictures for the first one first.
            kwargs: arguments of the task.
        """
        if question is None:
            return super().__call__(image, **kwargs)
        many = not isinstance(image, str | bytes) and hasattr(image, "__len__") and hasattr(image, "__getitem__")
        pictures = [image[place] for place in range(len(image))] if many and not hasattr(image, "shape") else [image]
        questions = [question] if isinstance(question, str) else list(question)
        if len(pictures) == len(questions) == 1 and isinstance(question, str) and pictures[0] is image:
            return super().__call__({"image": image, "question": question}, **kwargs)
        return super().__call__(
            [{"image": one, "question": asked} for asked in questions for one in pictures], **kwargs
        )

    def _sanitize_parameters(
        self,
        top_k: int | None = None,
        padding: Any = None,
        truncation: Any = None,
        timeout: float | None = None,
        **_: Any,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        before = {"padding": padding, "truncation": truncation, "timeout": timeout}
        before = {name: value for name, value in before.items() if value is not None}
        return before, {}, {} if top_k is None else {"top_k": top_k}

    def preprocess(  # type: ignore[override]
        self, inputs: Any, padding: Any = False, truncation: Any = False, timeout: float | None = None
    ) -> Any:
        """Turn a picture and a question into pixels and ids [1, …]."""
        if not isinstance(inputs, dict) or not {"image", "question"} <= set(inputs):
            raise ValueError('visual-question-answering needs {"image", "question"}, or both as arguments')
        image = load_image(inputs["image"], timeout)
        made = self.tokenizer(inputs["question"], return_tensors="pt", padding=padding, truncation=truncation)
        made.update(self.image_processor(images=image, return_tensors="pt").to(dtype=self.dtype))
        return made

    def _forward(self, model_inputs: Any, **writing: Any) -> Any:  # type: ignore[override]
        if self.model.can_generate():
            return {"sequences": self.model.generate(**model_inputs, **self.settings(writing))}
        return {"logits": self.model(**model_inputs).logits}

    def postprocess(self, model_outputs: Any, top_k: int = 5) -> list[dict[str, Any]]:  # type: ignore[override]
        """Turn logits [1, answers] or ids [1, T] into answers."""
        if "sequences" in model_outputs:
            rows = model_outputs["sequences"]
            return [{"answer": self.tokenizer.decode(row, skip_special_tokens=True).strip()} for row in rows]
        scores = model_outputs["logits"][0].float().sigmoid()
        best, names = scores.topk(min(top_k, len(scores))), self.model.config.id2label
        return [
            {"score": score, "answer": names[place]}
            for score, place in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        ]
