"""Gemma 3 that sees (Gemma Team, 2025, "Gemma 3 Technical Report"): images as tokens among those of a text.

Shapes: B rows, T tokens, N images, P patches of an image, M tokens of an image, D width of the decoder.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.errors import EnfoldError
from enfold.nn.cache import Cache
from enfold.nn.norm import CenteredRMSNorm
from enfold.nn.outputs import ModelOutput
from enfold.transformers.configs.gemma3_vision import Gemma3Config
from enfold.transformers.generation.mixin import GenerationMixin
from enfold.transformers.heads import LastTokenClassificationHead, as_asked
from enfold.transformers.modeling import PreTrainedModel
from enfold.transformers.models.gemma3 import Gemma3ForCausalLM, Gemma3TextModel
from enfold.transformers.models.siglip import SiglipVisionModel

__all__ = [
    "Gemma3Config",
    "Gemma3ForConditionalGeneration",
    "Gemma3ForSequenceClassification",
    "Gemma3Model",
]

Layers = tuple[Tensor, ...]


@dataclass
class Gemma3ModelOutputWithPast(ModelOutput):
    """A decoder's states with its cache, and what it saw: image_hidden_states (N, M, D)."""

    last_hidden_state: Tensor | None = None
    past_key_values: Cache | None = None
    hidden_states: Layers | None = None
    attentions: Layers | None = None
    image_hidden_states: Tensor | None = None


@dataclass
class Gemma3CausalLMOutputWithPast(ModelOutput):
    """Next-token logits (B, T, V) with the cache, and what was seen: image_hidden_states (N, M, D)."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: Cache | None = None
    hidden_states: Layers | None = None
    attentions: Layers | None = None
    image_hidden_states: Tensor | None = None


class Gemma3MultiModalProjector(nn.Module):
    """Patches of an image as tokens: averaged over squares, normalised, and brought to the decoder's width."""

    def __init__(self, config: Gemma3Config) -> None:
        super().__init__()
        vision, text = config.vision_config, config.text_config
        self.mm_input_projection_weight = nn.Parameter(torch.zeros(vision.hidden_size, text.hidden_size))
        self.mm_soft_emb_norm = CenteredRMSNorm(vision.hidden_size, vision.layer_norm_eps)
        self.side = vision.image_size // vision.patch_size  # patches along a side
        self.square = self.side // int(config.mm_tokens_per_image**0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, M, D) for patches (N, P, W)."""
        patches = x.transpose(1, 2).unflatten(2, (self.side, self.side))  # (N, W, side, side)
        tokens = F.avg_pool2d(patches, self.square).flatten(2).transpose(1, 2)  # (N, M, W)
        return (self.mm_soft_emb_norm(tokens) @ self.mm_input_projection_weight).to(x.dtype)


class Gemma3VisionPreTrainedModel(PreTrainedModel):
    """What models of texts with images share."""

    config_class: ClassVar[Any] = Gemma3Config
    base_model_prefix = ""
    _supports_sdpa = True
    _no_split_modules = ["Gemma3DecoderLayer"]
    _old_keys = {r"^vision_tower\.(?!vision_model\.)": "vision_tower.vision_model."}  # as transformers 5 writes them
    _keys_to_ignore_on_load_unexpected = [r"rotary_emb\.inv_freq$"]
    _input_embed_layer = "decoder"

    def __init__(self, config: Gemma3Config) -> None:
        super().__init__(config)
        self.vision_tower = SiglipVisionModel(config.vision_config)
        self.multi_modal_projector = Gemma3MultiModalProjector(config)

    @property
    def decoder(self) -> Gemma3TextModel:
        """The decoder without a head."""
        raise TypeError(f"{type(self).__name__} does not say where its decoder is")

    def get_image_features(self, pixel_values: Tensor) -> Tensor:
        """Return images (N, 3, height, width) as tokens (N, M, D)."""
        return self.multi_modal_projector(self.vision_tower(pixel_values).last_hidden_state)

    def seen(
        self,
        input_ids: Tensor | None,
        pixel_values: Tensor | None,
        attention_mask: Any,
        token_type_ids: Tensor | None,
        inputs_embeds: Tensor | None,
        past: Any,
        **options: Any,
    ) -> tuple[Any, Tensor | None]:
        """Return the decoder's output for a text with images in it, and the images' tokens."""
        place = self.config.image_token_id
        if inputs_embeds is None:
            assert input_ids is not None
            words = self.decoder.config.vocab_size
            known = input_ids.masked_fill(input_ids == place, 0) if place >= words else input_ids
            inputs_embeds = self.get_input_embeddings()(known)
        features = None
        if pixel_values is not None:
            features = self.get_image_features(pixel_values).to(inputs_embeds.dtype)
            if input_ids is None:
                raise EnfoldError("images need input_ids, which say where they are")
            where = (input_ids == place)[:, :, None].expand_as(inputs_embeds)
            if not torch.compiler.is_compiling() and int(where.sum()) != features.numel():
                raise EnfoldError(
                    f"the text has {int((input_ids == place).sum())} places for tokens of images, "
                    f"and the images have {features.shape[0] * features.shape[1]}"
                )
            inputs_embeds = inputs_embeds.masked_scatter(where, features)
        if token_type_ids is not None:
            attention_mask = self.masks(attention_mask, token_type_ids, inputs_embeds.shape[1], past)
        states = self.decoder(
            None, attention_mask=attention_mask, past_key_values=past, inputs_embeds=inputs_embeds, **options
        )
        return states, features

    def masks(self, attention_mask: Tensor | None, kinds: Tensor, length: int, past: Any) -> dict[str, Tensor]:
        """Return the mask of each kind of layer, with which the tokens of an image see all of that image.

        Args:
            attention_mask: (B, S), or None.
            kinds: (B, T), 1 for a token of an image.
            length: T.
            past: the cache, which must not hold anything yet.
        """
        if past is not None and int(past.get_seq_length()):
            raise EnfoldError("token_type_ids are read with the whole prompt; leave them out once a cache is filled")
        image = kinds == 1
        begins = image & ~F.pad(image, (1, 0))[:, :-1]
        number = torch.where(image, begins.cumsum(1), -1)  # of the image, or -1
        same = ((number[:, :, None] == number[:, None]) & image[:, None])[:, None]  # (B, 1, T, T)
        real = torch.ones_like(kinds) if attention_mask is None else attention_mask[:, :length]
        lower = torch.ones(length, length, dtype=torch.bool, device=kinds.device).tril()
        full = (lower | same) & real[:, None, None].bool()
        window = self.decoder.window
        near = full
        if window is not None and window < length:
            place = torch.arange(length, device=kinds.device)
            near = full & (place > place[:, None] - window)
        return {"full_attention": full, "sliding_attention": near}

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, Gemma3MultiModalProjector):
            module.mm_input_projection_weight.zero_()
        elif isinstance(module, CenteredRMSNorm):
            module.weight.zero_()


class Gemma3Model(Gemma3VisionPreTrainedModel):
    """Gemma 3 that sees, without a head."""

    # in files of whole models the decoder has a head, and lies one floor deeper
    _old_keys = {**Gemma3VisionPreTrainedModel._old_keys, r"^language_model\.model\.": "language_model."}
    _keys_to_ignore_on_load_unexpected = [r"rotary_emb\.inv_freq$", r"^language_model\.lm_head\."]

    def __init__(self, config: Gemma3Config) -> None:
        super().__init__(config)
        self.language_model = Gemma3TextModel(config.text_config)
        self.post_init()

    @property
    def decoder(self) -> Gemma3TextModel:
        """The decoder."""
        return self.language_model

    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        return_dict: bool | None = None,
        **extra: Any,
    ) -> Any:
        """Return the states of every token.

        Args:
            input_ids: (B, T), with ``config.image_token_id`` where an image's tokens go, M for each image.
            pixel_values: (N, 3, height, width), the images in the order of the text.
            attention_mask: (B, S), 1 for a token, 0 for padding; the past included.
            position_ids: (B | 1, T); counted on from the past by default.
            past_key_values: keys and values of the tokens before.
            token_type_ids: (B, T), 1 for a token of an image: an image's tokens see all of it.
            inputs_embeds: (B, T, D), instead of ``input_ids``.
            return_dict: False returns a tuple.
            extra: further arguments of the decoder.
        """
        states, features = self.seen(
            input_ids,
            pixel_values,
            attention_mask,
            token_type_ids,
            inputs_embeds,
            past_key_values,
            position_ids=position_ids,
            return_dict=True,
            **extra,
        )
        output = Gemma3ModelOutputWithPast(**states, image_hidden_states=features)
        return as_asked(output, return_dict, self.config.return_dict)


class Gemma3ForConditionalGeneration(Gemma3VisionPreTrainedModel, GenerationMixin):
    """Gemma 3 that sees, and continues a text."""

    def __init__(self, config: Gemma3Config) -> None:
        super().__init__(config)
        self.language_model = Gemma3ForCausalLM(config.text_config)
        self.post_init()

    @property
    def decoder(self) -> Gemma3TextModel:
        """The decoder without its head."""
        return self.language_model.model

    def get_output_embeddings(self) -> nn.Module | None:
        """Return the layer that predicts tokens."""
        return self.language_model.lm_head

    def set_output_embeddings(self, value: Any) -> None:
        """Replace the layer that predicts tokens."""
        self.language_model.lm_head = value

    def prepare_inputs_for_generation(  # type: ignore[override]
        self, input_ids: Tensor, past_key_values: Any = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Return the arguments of the forward pass for the next step: images are seen once."""
        if past_key_values is not None and int(past_key_values.get_seq_length()):
            kwargs.pop("pixel_values", None)
            kwargs.pop("token_type_ids", None)
        return super().prepare_inputs_for_generation(input_ids, past_key_values=past_key_values, **kwargs)

    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        num_items_in_batch: Tensor | int | None = None,
        return_dict: bool | None = None,
        **extra: Any,
    ) -> Any:
        """Return next-token logits (B, T, V); arguments as ``Gemma3Model``, and ``labels`` (B, T), words or -100."""
        states, features = self.seen(
            input_ids,
            pixel_values,
            attention_mask,
            token_type_ids,
            inputs_embeds,
            past_key_values,
            position_ids=position_ids,
            use_cache=use_cache,
            return_dict=True,
            **extra,
        )
        said = self.language_model.continued(states, labels, logits_to_keep, num_items_in_batch, True)
        output = Gemma3CausalLMOutputWithPast(**said, image_hidden_states=features)
        return as_asked(output, return_dict, self.config.return_dict)


class Gemma3ForSequenceClassification(LastTokenClassificationHead, Gemma3VisionPreTrainedModel):
    """Gemma 3 that sees, with one prediction a row, at its last token."""

    def __init__(self, config: Gemma3Config) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.language_model = nn.ModuleDict({"model": Gemma3TextModel(config.text_config)})  # as in files of whole ones
        self.score = nn.Linear(config.text_config.hidden_size, config.num_labels, bias=False)
        self.post_init()

    @property
    def decoder(self) -> Gemma3TextModel:
        """The decoder."""
        return cast(Gemma3TextModel, self.language_model["model"])

    def states(self, input_ids: Tensor | None, **inputs: Any) -> Any:
        """Return the decoder's output for a text with images in it; ``pixel_values`` as in ``Gemma3Model``."""
        read = ("pixel_values", "attention_mask", "token_type_ids", "inputs_embeds", "past_key_values")
        states, _ = self.seen(input_ids, *(inputs.pop(name, None) for name in read), return_dict=True, **inputs)
        return states

    def read(self, output: Any) -> Tensor:
        """Return logits (B, T, C)."""
        return self.score(output.last_hidden_state)
