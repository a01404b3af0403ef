"""Prompts to what a UNet looks at: the states of a CLIP text encoder, with and without the text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from enfold.diffusers.pipelines.components import dtype_of
from enfold.diffusers.pipelines.pipeline import PipelineError
from enfold.log import get_logger

__all__ = ["check_prompts", "copies", "states_of", "texts_of"]

logger = get_logger(__name__)
Prompt = str | list[str]


# Arguments of pipelines that say what is painted.
TEXTS = (
    "prompt",
    "prompt_2",
    "negative_prompt",
    "negative_prompt_2",
    "prompt_embeds",
    "negative_prompt_embeds",
    "pooled_prompt_embeds",
    "negative_pooled_prompt_embeds",
    "ip_adapter_image",
    "ip_adapter_image_embeds",
)


def texts_of(call: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of a call's arguments that say what is painted: its texts, their states, and pictures to look at.

    Args:
        call: the ``locals()`` of a pipeline's ``__call__``.

    Example:
        >>> texts_of({"prompt": "a cat", "prompt_embeds": None, "eta": 0.0})
        {'prompt': 'a cat', 'prompt_embeds': None}
    """
    return {name: call[name] for name in TEXTS if name in call}


def check_prompts(pipe: Any, **given: Any) -> int:
    """Check the arguments about prompts, and return how many prompts there are.

    Args:
        pipe: for its name.
        given: ``prompt``, ``negative_prompt``, their ``…_embeds`` and further forms of them.

    Raises:
        PipelineError: a prompt is missing, given twice, or no text.
    """
    prompt, embeds = given.get("prompt"), given.get("prompt_embeds")
    if (prompt is None) == (embeds is None):
        raise PipelineError(f"{type(pipe).__name__} needs either a prompt or prompt_embeds")
    for name, value in given.items():
        if value is not None and not name.endswith("embeds") and not isinstance(value, str | list):
            raise PipelineError(f"{name} is a {type(value).__name__}; expected a text, or a list of texts")
    negative, negative_embeds = given.get("negative_prompt"), given.get("negative_prompt_embeds")
    if negative is not None and negative_embeds is not None:
        raise PipelineError("give either negative_prompt or negative_prompt_embeds")
    if embeds is not None and negative_embeds is not None and embeds.shape != negative_embeds.shape:
        raise PipelineError(
            f"prompt_embeds are {tuple(embeds.shape)} and negative_prompt_embeds {tuple(negative_embeds.shape)}; "
            "expected the same shape"
        )
    if embeds is not None:
        return int(embeds.shape[0])
    count = 1 if isinstance(prompt, str) else len(prompt)  # type: ignore[arg-type]
    if isinstance(negative, list) and len(negative) != count:
        raise PipelineError(f"{len(negative)} negative prompts for {count} prompts; expected one, or one for each")
    return count


def tokenized(tokenizer: Any, texts: Prompt, length: int | None = None) -> Any:
    """Return token ids, padded to the length that the encoder has places for; what is cut off is said."""
    longest = length or tokenizer.model_max_length
    found = tokenizer(texts, padding="max_length", max_length=longest, truncation=True, return_tensors="pt")
    whole = tokenizer(texts, padding="longest", return_tensors="pt").input_ids
    if whole.shape[-1] > longest:
        cut = tokenizer.batch_decode(whole[:, longest - 1 : -1])
        logger.warning("the text encoder reads %d tokens; this was cut off: %s", longest, cut)
    return found


def states_of(
    tokenizer: Any, encoder: Any, texts: Prompt, device: Any, *, skip: int | None = None, length: int | None = None
) -> Tensor:
    """Return a CLIP text encoder's states, (B, length, width).

    Args:
        tokenizer: of the encoder.
        encoder: a ``CLIPTextModel``.
        texts: one or several.
        device: where the encoder is.
        skip: how many of its last layers are left out.
        length: in tokens; by default what the encoder has places for.
    """
    inputs = tokenized(tokenizer, texts, length)
    mask = inputs.attention_mask.to(device) if getattr(encoder.config, "use_attention_mask", False) else None
    ids = inputs.input_ids.to(device)
    if skip is None:
        return encoder(ids, attention_mask=mask)[0]  # type: ignore[no-any-return]
    hidden = encoder(ids, attention_mask=mask, output_hidden_states=True)[-1][-(skip + 1)]
    return encoder.text_model.final_layer_norm(hidden)  # type: ignore[no-any-return]


def copies(states: Tensor, count: int) -> Tensor:
    """Return each row of a batch ``count`` times, one after the other."""
    return states.repeat_interleave(count, dim=0)


class PromptsMixin:
    """``encode_prompt`` of pipelines with one CLIP text encoder."""

    tokenizer: Any
    text_encoder: Any
    unet: Any

    def maybe_convert_prompt(self, prompt: Any, tokenizer: Any) -> Any:
        """Write out learned words that stand for several tokens; see ``load_textual_inversion``."""
        if not isinstance(prompt, list):
            return self._written_out(prompt, tokenizer)
        return [self._written_out(one, tokenizer) for one in prompt]

    @staticmethod
    def _written_out(prompt: str, tokenizer: Any) -> str:
        added = tokenizer.added_tokens_encoder
        for token in dict.fromkeys(tokenizer.tokenize(prompt)):
            parts, index = [token], 1
            while token in added and f"{token}_{index}" in added:
                parts.append(f"{token}_{index}")
                index += 1
            if len(parts) > 1:
                prompt = prompt.replace(token, " ".join(parts))
        return prompt

    def encode_prompt(
        self,
        prompt: Prompt | None,
        device: Any,
        num_images_per_prompt: int,
        do_classifier_free_guidance: bool,
        negative_prompt: Prompt | None = None,
        prompt_embeds: Tensor | None = None,
        negative_prompt_embeds: Tensor | None = None,
        lora_scale: float | None = None,
        clip_skip: int | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the states of prompts and, when guided, of their negatives; each (B·images, length, width).

        Args:
            prompt: one or several.
            device: where the text encoder is.
            num_images_per_prompt: how many pictures each is painted as.
            do_classifier_free_guidance: whether negatives are needed.
            negative_prompt: what is not to be painted; nothing by default.
            prompt_embeds: the states of prompts themselves instead.
            negative_prompt_embeds: likewise.
            lora_scale: how much adapters of the text encoder weigh.
            clip_skip: how many of the encoder's last layers are left out.
        """
        weigh = getattr(self, "_weighed_text", None)
        if lora_scale is not None and weigh is not None:
            with weigh(lora_scale):
                return self.encode_prompt(
                    prompt,
                    device,
                    num_images_per_prompt,
                    do_classifier_free_guidance,
                    negative_prompt,
                    prompt_embeds,
                    negative_prompt_embeds,
                    clip_skip=clip_skip,
                )
        if prompt_embeds is None:
            words = self.maybe_convert_prompt(prompt, self.tokenizer)
            prompt_embeds = states_of(self.tokenizer, self.text_encoder, words, device, skip=clip_skip)
        count = prompt_embeds.shape[0]
        if do_classifier_free_guidance and negative_prompt_embeds is None:
            texts = [negative_prompt or ""] * count if not isinstance(negative_prompt, list) else negative_prompt
            words = self.maybe_convert_prompt(texts, self.tokenizer)
            negative_prompt_embeds = states_of(
                self.tokenizer, self.text_encoder, words, device, length=prompt_embeds.shape[1]
            )
        dtype = dtype_of(self.unet if self.text_encoder is None else self.text_encoder)
        found = copies(prompt_embeds.to(dtype=dtype, device=device), num_images_per_prompt)
        if not do_classifier_free_guidance or negative_prompt_embeds is None:
            return found, negative_prompt_embeds
        return found, copies(negative_prompt_embeds.to(dtype=dtype, device=device), num_images_per_prompt)


def joined(with_text: Tensor, without: Tensor | None) -> Tensor:
    """Return what a guided model is given: the states without the text, then with it."""
    return with_text if without is None else torch.cat([without, with_text])
