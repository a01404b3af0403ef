"""What pipelines that look at pictures share: every form of picture, and model inputs of the model's type."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from enfold.transformers.image.loading import load_image
from enfold.transformers.pipelines.alike import AlikePipeline

__all__ = ["ImagePipeline", "fields"]


class ImagePipeline(AlikePipeline):
    """Reads a picture, a path, a URL or base64, one or many; ``images`` is another name of the input."""

    _load_image_processor = True
    _load_tokenizer = _load_feature_extractor = _load_processor = False

    def __call__(self, inputs: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Answer for one picture, for a list, or for a generator or data set of them."""
        for name in ("images", "image"):
            if inputs is None and name in kwargs:
                inputs = kwargs.pop(name)
        if inputs is None:
            raise ValueError(f"{self.task or type(self).__name__} needs a picture: a path, a URL, base64 or an image")
        return super().__call__(inputs, *args, **kwargs)

    def preprocess(self, inputs: Any, timeout: float | None = None, **options: Any) -> Any:  # type: ignore[override]
        """Turn a picture into model inputs [1, …], with its (height, width) beside them."""
        image = load_image(inputs, timeout)
        made = self.image_processor(images=[image], return_tensors="pt", **options).to(dtype=self.dtype)
        return {**made, "target_size": [(image.height, image.width)]}

    def _forward(self, model_inputs: Any, **_: Any) -> Any:  # type: ignore[override]
        sizes = model_inputs.pop("target_size")
        return {**self.model(**model_inputs), "target_size": sizes}


def fields(outputs: Any) -> SimpleNamespace:
    """Return a model's outputs with their fields as attributes, as image processors read them."""
    return SimpleNamespace(**outputs)
