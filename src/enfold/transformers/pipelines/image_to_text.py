"""Image to text: what a picture shows, or what is written on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from enfold.transformers.image.loading import load_image
from enfold.transformers.pipelines.alike import AlikePipeline
from enfold.transformers.pipelines.writing import WritingPipeline

__all__ = ["ImageToTextPipeline"]


class ImageToTextPipeline(AlikePipeline, WritingPipeline):
    """Describes pictures, or reads them.

    Arguments of a call (or of ``pipeline``): ``max_new_tokens`` (256 where the model's own settings do not say),
    ``generate_kwargs``, ``prompt`` (how the text begins), ``timeout`` of URLs in seconds.

    Returns ``[{"generated_text"}]`` for a picture.
    """

    _load_image_processor = True
    defaults: Mapping[str, Any] = {"max_new_tokens": 256}

    def __call__(self, inputs: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Answer for one picture or for many; ``images`` is another name of the input."""
        inputs = kwargs.pop("images", None) if inputs is None else inputs
        if inputs is None:
            raise ValueError("image-to-text needs a picture: a path, a URL, base64 or an image")
        return super().__call__(inputs, *args, **kwargs)

    def _sanitize_parameters(
        self,
        max_new_tokens: int | None = None,
        generate_kwargs: dict[str, Any] | None = None,
        prompt: str | None = None,
        timeout: float | None = None,
        **_: Any,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        if prompt is not None and not isinstance(prompt, str):
            raise ValueError(f"prompt is one text, not a {type(prompt).__name__}")
        writing = dict(generate_kwargs or {})
        if max_new_tokens is not None:
            if "max_new_tokens" in writing:
                raise ValueError("max_new_tokens is given twice: as an argument and in generate_kwargs")
            writing["max_new_tokens"] = max_new_tokens
        before = {"prompt": prompt, "timeout": timeout}
        return {name: value for name, value in before.items() if value is not None}, writing, {}

    def preprocess(self, inputs: Any, prompt: str | None = None, timeout: float | None = None) -> Any:  # type: ignore[override]
        """Turn a picture into pixels [1, …], with the ids of the prompt."""
        made = self.image_processor(images=load_image(inputs, timeout), return_tensors="pt").to(dtype=self.dtype)
        if prompt is not None:
            if self.model.config.model_type == "vision-encoder-decoder":
                raise ValueError("a vision-encoder-decoder takes no prompt: its texts begin with a token of their own")
            made.update(self.tokenizer(prompt, return_tensors="pt"))
        return made

    def _forward(self, model_inputs: Any, **writing: Any) -> Any:  # type: ignore[override]
        main = model_inputs.pop(self.model.main_input_name)
        given = {name: model_inputs[name] for name in ("input_ids", "attention_mask") if name in model_inputs}
        return {"sequences": self.model.generate(main, **given, **self.settings(writing))}

    def postprocess(self, model_outputs: Any, **_: Any) -> list[dict[str, Any]]:  # type: ignore[override]
        """Turn rows of ids into texts."""
        return [
            {"generated_text": self.tokenizer.decode(row, skip_special_tokens=True)}
            for row in model_outputs["sequences"]
        ]
