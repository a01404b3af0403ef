"""Gemma 3's processor: the texts' places of images become as many tokens as an image has states."""

from __future__ import annotations

from typing import Any, ClassVar

from enfold.errors import EnfoldError
from enfold.transformers.processing.features import BatchFeature
from enfold.transformers.processing.images_and_texts import ImageTextProcessor

__all__ = ["Gemma3Processor"]

# What the tokenizer calls them → what they are in Gemma 3's own vocabulary.
MARKS = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}


class Gemma3Processor(ImageTextProcessor):
    """Gemma 3's image processor and tokenizer.

    Args:
        image_processor: the image processor.
        tokenizer: the tokenizer; ``boi_token``, ``eoi_token`` and ``image_token`` name what begins an image, what ends
            it and what stands for one of its states.
        chat_template: how chats become prompts.
        image_seq_length: states of an image.
    """

    image_processor_class = "Gemma3ImageProcessor"
    text_defaults: ClassVar[dict[str, Any]] = {"padding": False}
    image_seq_length: int

    def __init__(
        self, image_processor: Any = None, tokenizer: Any = None, image_seq_length: int = 256, **kwargs: Any
    ) -> None:
        super().__init__(image_processor, tokenizer, image_seq_length=image_seq_length, **kwargs)
        begin, end, state = (getattr(tokenizer, name, None) or usual for name, usual in MARKS.items())
        self.boi_token = begin
        self.full_image_sequence = f"\n\n{begin}{state * image_seq_length}{end}\n\n"
        self.image_token_id = None if tokenizer is None else tokenizer.convert_tokens_to_ids(state)

    def __call__(self, images: Any = None, text: Any = None, **kwargs: Any) -> BatchFeature:
        """Turn images and texts into inputs of the model.

        Args:
            images: one; several, of one text; or a list of images for each text.
            text: one or several, with ``boi_token`` where an image is; without any, such places alone.
            kwargs: ``return_tensors``, ``return_mm_token_type_ids=False`` for no ``token_type_ids``, and what the
                parts take (``do_pan_and_scan`` …).

        Returns:
            ``input_ids`` and ``attention_mask`` (B, T), ``token_type_ids`` (B, T), 1 for a state of an image, and
            ``pixel_values`` (images and their parts, 3, height, width).

        Raises:
            ValueError: neither images nor texts; texts with other places than images; texts cut inside an image.
        """
        if images is None and text is None:
            raise ValueError("Gemma3Processor needs images, text, or both")
        several = isinstance(text, list | tuple) and all(isinstance(one, str) for one in text)
        if text is not None and not isinstance(text, str) and not several:
            raise TypeError(f"text is a string or a list of strings, not {type(text).__name__}")
        of_text, of_images = self.shared(kwargs)
        typed = of_text.pop("return_mm_token_type_ids", of_images.pop("return_mm_token_type_ids", True))
        tensors = of_text.pop("return_tensors", None)
        of_images.pop("return_tensors", None)
        made: dict[str, Any] = {}
        texts = [text] if isinstance(text, str) else list(text or ())
        if images is not None:
            rows = by_text(images)
            texts = texts or [" ".join([self.boi_token] * len(row)) for row in rows]
            seen = self.image_processor([image for row in rows for image in row], **of_images)
            counts = iter(seen.pop("num_crops", None) or [0] * sum(map(len, rows)))
            texts = self.written(texts, [[next(counts) for _ in row] for row in rows])
            made.update(seen)
        ids = self.tokenizer(texts, **of_text)
        asked = [one.count(self.full_image_sequence) * self.image_seq_length for one in texts]
        if images is not None and [list(row).count(self.image_token_id) for row in ids["input_ids"]] != asked:
            raise ValueError("a text was cut inside an image: raise max_length, or leave truncation out")
        made = {**ids, **made}
        if typed:
            made["token_type_ids"] = [[int(token == self.image_token_id) for token in row] for row in ids["input_ids"]]
        return BatchFeature(made, tensor_type=tensors)

    def written(self, texts: list[str], parts: list[list[int]]) -> list[str]:
        """Return texts with every place of an image written out, and its parts announced.

        Args:
            texts: with ``boi_token`` at those places.
            parts: for each text and image, the number of parts besides the whole.
        """
        if [one.count(self.boi_token) for one in texts] != [len(row) for row in parts]:
            raise ValueError(
                f"there are {[one.count(self.boi_token) for one in texts]} places of images ({self.boi_token}) in the "
                f"texts, and {[len(row) for row in parts]} images"
            )
        return [
            "".join(
                piece + after
                for piece, after in zip(one.split(self.boi_token), [*map(self._announced, row), ""], strict=True)
            )
            for one, row in zip(texts, parts, strict=True)
        ]

    def _announced(self, parts: int) -> str:
        whole = self.full_image_sequence
        if not parts:
            return whole
        return (
            f"Here is the original image {whole} and here are some crops to help you see better "
            f"{' '.join([whole] * parts)}"
        )

    @property
    def model_input_names(self) -> list[str]:
        """The names of all inputs that the parts make."""
        return [name for name in dict.fromkeys([*super().model_input_names, "token_type_ids"]) if name != "num_crops"]


def by_text(images: Any) -> list[list[Any]]:
    """Return a list of images for each text."""
    if not isinstance(images, list | tuple):
        if getattr(images, "ndim", 0) == 4:
            return [list(images)]
        return [[images]]
    if not images:
        raise EnfoldError("there is no image in the list; images=None reads texts alone")
    if isinstance(images[0], list | tuple):
        return [list(row) for row in images]
    return [list(images)]
