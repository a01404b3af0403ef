"""Processors of models that see and read: images and texts together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np

from enfold.errors import EnfoldError
from enfold.transformers.processing.features import BatchFeature
from enfold.transformers.processing.processor import ProcessorMixin

__all__ = [
    "BlipProcessor",
    "CLIPProcessor",
    "ImageTextProcessor",
    "OwlViTProcessor",
    "SiglipProcessor",
    "TrOCRProcessor",
    "ViltProcessor",
]

# arguments that are the tokenizer's; what is left is the image processor's
_OF_TEXT = frozenset(
    "text_pair text_target text_pair_target add_special_tokens padding truncation max_length stride padding_side "
    "is_split_into_words pad_to_multiple_of return_token_type_ids return_attention_mask return_overflowing_tokens "
    "return_special_tokens_mask return_offsets_mapping return_length verbose".split()
)


class ImageTextProcessor(ProcessorMixin):
    """An image processor and a tokenizer.

    Args:
        image_processor: the image processor; also by its older name ``feature_extractor``.
        tokenizer: the tokenizer.
    """

    attributes: ClassVar[list[str]] = ["image_processor", "tokenizer"]
    text_defaults: ClassVar[dict[str, Any]] = {}

    def __init__(self, image_processor: Any = None, tokenizer: Any = None, **kwargs: Any) -> None:
        older = kwargs.pop("feature_extractor", None)
        super().__init__(older if image_processor is None else image_processor, tokenizer, **kwargs)

    @property
    def feature_extractor(self) -> Any:
        """The image processor, by its older name."""
        return self.image_processor

    def shared(self, given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the tokenizer's and the image processor's arguments out of those of a call.

        Args:
            given: arguments of either; ``text_kwargs``, ``images_kwargs`` and ``common_kwargs`` may hold some.
        """
        nested = {name: dict(given.pop(name, None) or {}) for name in ("text_kwargs", "images_kwargs", "common_kwargs")}
        both = {**nested["common_kwargs"]}
        if "return_tensors" in given:
            both["return_tensors"] = given.pop("return_tensors")
        of_text = {name: value for name, value in given.items() if name in _OF_TEXT}
        of_images = {name: value for name, value in given.items() if name not in _OF_TEXT}
        return (
            {**self.text_defaults, **both, **of_text, **nested["text_kwargs"]},
            {**both, **of_images, **nested["images_kwargs"]},
        )

    def __call__(self, images: Any = None, text: Any = None, **kwargs: Any) -> Any:
        """Turn images into pixels, texts into ids, or both into both.

        Args:
            images: one or several, in any form that the image processor takes.
            text: one or several.
            kwargs: ``return_tensors`` for both, and what the tokenizer and the image processor take.

        Raises:
            ValueError: neither images nor texts.
        """
        if images is None and text is None:
            raise ValueError(f"{type(self).__name__} needs images, text, or both")
        of_text, of_images = self.shared(kwargs)
        made: dict[str, Any] = {}
        if images is not None:
            made.update(self.image_processor(images, **of_images))
        if text is not None:
            made.update(self.tokenizer(text, **of_text))
        return BatchFeature(made)


class CLIPProcessor(ImageTextProcessor):
    """CLIP's image processor and tokenizer."""

    image_processor_class = "CLIPImageProcessor"


class SiglipProcessor(ImageTextProcessor):
    """SigLIP's image processor and tokenizer; its texts are made for ``padding="max_length"``."""

    image_processor_class = "SiglipImageProcessor"


class ViltProcessor(ImageTextProcessor):
    """ViLT's image processor and BERT's tokenizer."""

    image_processor_class = "ViltImageProcessor"
    tokenizer_class = ("BertTokenizer", "BertTokenizerFast")


class BlipProcessor(ImageTextProcessor):
    """BLIP's image processor and BERT's tokenizer, whose segments it does not use."""

    image_processor_class = "BlipImageProcessor"
    tokenizer_class = ("BertTokenizer", "BertTokenizerFast")
    text_defaults: ClassVar[dict[str, Any]] = {"return_token_type_ids": False}

    @property
    def model_input_names(self) -> list[str]:
        """The names of all inputs that the parts make."""
        return [name for name in super().model_input_names if name != "token_type_ids"]


class TrOCRProcessor(ImageTextProcessor):
    """An image processor and a tokenizer of what is written on images: texts become ``labels``."""

    _reads_texts = False

    def __call__(self, images: Any = None, text: Any = None, **kwargs: Any) -> Any:
        """Turn images into pixels, texts into labels; texts alone become ids. Arguments as ``ImageTextProcessor``'s."""
        if self._reads_texts:
            return self.tokenizer(images if text is None else text, **kwargs)
        if images is None or text is None:
            return super().__call__(images, text, **kwargs)
        of_text, of_images = self.shared(kwargs)
        made = self.image_processor(images, **of_images)
        made["labels"] = self.tokenizer(text, **of_text)["input_ids"]
        return made

    @contextmanager
    def as_target_processor(self) -> Iterator[None]:
        """Let calls read texts (v4 spelling); ``processor(text=…)`` is the newer one."""
        self._reads_texts = True
        try:
            yield
        finally:
            self._reads_texts = False

    @property
    def model_input_names(self) -> list[str]:
        """The names of what is made."""
        return [*self.image_processor.model_input_names, "labels"]


class OwlViTProcessor(ImageTextProcessor):
    """OWL-ViT's image processor and CLIP's tokenizer: what to find, in words or as an image, and where."""

    image_processor_class = "OwlViTImageProcessor"
    tokenizer_class = ("CLIPTokenizer", "CLIPTokenizerFast")
    text_defaults: ClassVar[dict[str, Any]] = {"padding": "max_length"}

    def __call__(self, images: Any = None, text: Any = None, query_images: Any = None, **kwargs: Any) -> BatchFeature:
        """Turn images, and texts or images to look for on them, into tensors.

        Args:
            images: where to look.
            text: what to look for: one text, several, or several for each image; images with fewer than others are
                given further ones of a space.
            query_images: images of what to look for, one for each image; texts are not read then.
            kwargs: ``return_tensors`` ("np" by default), and what the parts take.

        Returns:
            ``pixel_values``, and ``input_ids`` and ``attention_mask`` (images · texts, T) or ``query_pixel_values``.
        """
        if images is None and text is None and query_images is None:
            raise ValueError("OwlViTProcessor needs images, text or query_images")
        kwargs.setdefault("return_tensors", "np")
        of_text, of_images = self.shared(kwargs)
        made: dict[str, Any] = {}
        if query_images is not None:
            made["query_pixel_values"] = self.image_processor(query_images, **of_images)["pixel_values"]
        elif text is not None:
            encodings = [self.tokenizer(row, **of_text) for row in _rows_of_equal_length(text)]
            for name in ("input_ids", "attention_mask"):
                made[name] = _stacked([one[name] for one in encodings])
        if images is not None:
            made["pixel_values"] = self.image_processor(images, **of_images)["pixel_values"]
        return BatchFeature(made)

    def post_process_object_detection(self, *args: Any, **kwargs: Any) -> Any:
        """Do the image processor's ``post_process_object_detection``."""
        return self.image_processor.post_process_object_detection(*args, **kwargs)

    def post_process_image_guided_detection(self, *args: Any, **kwargs: Any) -> Any:
        """Do the image processor's ``post_process_image_guided_detection``."""
        return self.image_processor.post_process_image_guided_detection(*args, **kwargs)

    def post_process_grounded_object_detection(
        self, outputs: Any, threshold: float = 0.1, target_sizes: Any = None, text_labels: Any = None
    ) -> list[dict[str, Any]]:
        """Return ``scores``, ``labels``, ``boxes`` and ``text_labels`` of each image.

        Args:
            outputs: with ``logits`` (B, N, texts) and ``pred_boxes`` (B, N, 4).
            threshold: the score to pass.
            target_sizes: (height, width) of each image, for boxes in pixels.
            text_labels: the texts of each image; ``text_labels`` are None without them.

        Raises:
            ValueError: texts of another number of images.
        """
        found = self.post_process_object_detection(outputs, threshold, target_sizes)
        if text_labels is not None and len(text_labels) != len(found):
            raise ValueError(f"there are texts of {len(text_labels)} images and outputs of {len(found)}")
        for place, one in enumerate(found):
            one["text_labels"] = None if text_labels is None else [text_labels[place][label] for label in one["labels"]]
        return found


def _rows_of_equal_length(text: Any) -> list[Any]:
    """Return the texts of each image, as many for each."""
    if isinstance(text, str):
        return [[text]]
    if not isinstance(text, list | tuple) or not text:
        raise TypeError(f"text is a string, a list of them, or a list for each image, not {type(text).__name__}")
    if isinstance(text[0], str):
        return [list(text)]
    most = max(map(len, text))
    return [[*row, *[" "] * (most - len(row))] for row in text]


def _stacked(rows: list[Any]) -> Any:
    """Return rows of several arrays, tensors or lists one after another."""
    if isinstance(rows[0], list):
        return [row for one in rows for row in one]
    if isinstance(rows[0], np.ndarray):
        return np.concatenate(rows)
    import torch

    if not isinstance(rows[0], torch.Tensor):
        raise EnfoldError(f"return_tensors is 'np', 'pt' or None here, not what makes {type(rows[0]).__name__}")
    return torch.cat(rows)
