"""Image feature extraction: what a model makes of a picture, as numbers."""

from __future__ import annotations

from typing import Any

from enfold.transformers.pipelines.images import ImagePipeline

__all__ = ["ImageFeatureExtractionPipeline"]


class ImageFeatureExtractionPipeline(ImagePipeline):
    """Returns a model's states.

    Arguments of a call (or of ``pipeline``): ``pool``, the model's pooled output instead of every patch's,
    ``return_tensors``, a tensor instead of nested lists, ``image_processor_kwargs``, settings of the image processor,
    ``timeout`` of URLs in seconds.

    Returns ``[[[…]]]`` of (1, patches, width) for a picture, or ``[[…]]`` with ``pool``.
    """

    def _sanitize_parameters(
        self,
        image_processor_kwargs: dict[str, Any] | None = None,
        return_tensors: Any = None,
        pool: bool | None = None,
        timeout: float | None = None,
        **_: Any,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        before = {**(image_processor_kwargs or {}), **({} if timeout is None else {"timeout": timeout})}
        after = {"pool": pool, "return_tensors": return_tensors}
        return before, {}, {name: value for name, value in after.items() if value is not None}

    def postprocess(self, model_outputs: Any, pool: bool = False, return_tensors: Any = False) -> Any:  # type: ignore[override]
        """Turn a model's outputs into numbers."""
        if pool and model_outputs.get("pooler_output") is None:
            raise ValueError(f"{type(self.model).__name__} returns no pooled output: leave out pool=True")
        found = model_outputs["pooler_output"] if pool else next(iter(model_outputs.values()))
        return found if return_tensors else found.tolist()
