"""Zero-shot image classification: which of the labels named in the call a picture shows."""

from __future__ import annotations

from typing import Any, ClassVar

from enfold.transformers.image.loading import load_image
from enfold.transformers.pipelines.candidates import CandidatesPipeline

__all__ = ["ZeroShotImageClassificationPipeline"]


class ZeroShotImageClassificationPipeline(CandidatesPipeline):
    """Labels pictures with labels of your own.

    Arguments of a call (or of ``pipeline``): ``candidate_labels``, ``hypothesis_template`` ("This is a photo of {}."),
    ``timeout`` of URLs in seconds, ``tokenizer_kwargs``.

    Returns ``[{"score", "label"}]`` for a picture, best first: shares of one, or with SigLIP each label's own chance.
    """

    hypothesis: ClassVar[str] = "This is a photo of {}."
    logits_name: ClassVar[str] = "logits_per_image"
    _load_image_processor = True
    _load_feature_extractor = _load_processor = False

    def __call__(self, image: Any = None, candidate_labels: Any = None, **kwargs: Any) -> Any:  # type: ignore[override]
        """Answer for one picture or for many; ``images`` is another name of the first argument."""
        image = kwargs.pop("images", None) if image is None else image
        if image is None:
            raise ValueError("zero-shot-image-classification needs a picture: a path, a URL, base64 or an image")
        return super().__call__(image, candidate_labels=candidate_labels, **kwargs)

    def features(self, inputs: Any, timeout: float | None) -> dict[str, Any]:
        """Return pixels [1, …]."""
        made = self.image_processor(images=[load_image(inputs, timeout)], return_tensors="pt")
        return dict(made.to(dtype=self.dtype))

    @property
    def _each_alone(self) -> bool:
        return "siglip" in self.model.config.model_type

    def reading(self) -> dict[str, Any]:
        """Return how the tokenizer reads the labels."""
        return (
            {"padding": "max_length", "max_length": 64, "truncation": True} if self._each_alone else {"padding": True}
        )

    def score(self, logits: Any) -> Any:
        """Return the scores of logits."""
        return logits.sigmoid() if self._each_alone else logits.softmax(-1)
