"""Adapters that look at a picture beside the text.

Source: Ye et al., "IP-Adapter", https://arxiv.org/abs/2308.06721
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from enfold.diffusers.loaders.files import find_weights_file, read_object
from enfold.diffusers.loaders.resampler import Resampler
from enfold.diffusers.models.adapters import block_scales
from enfold.diffusers.models.attention import Attention, AttnProcessor, FeedForward
from enfold.diffusers.models.conditions import ImageProjection
from enfold.diffusers.pipelines.components import dtype_of
from enfold.diffusers.pipelines.pipeline import PipelineError
from enfold.nn.attention import attend, merge_heads, split_heads
from enfold.transformers.sharing import split_fetch_arguments

__all__ = ["FullImageProjection", "IPAdapterAttnProcessor", "IPAdapterMixin", "MultiIPAdapterImageProjection"]

# Attentions are numbered in the order in which UNets were first built.
ORDER = {"down_blocks": 0, "up_blocks": 1, "mid_block": 2}
# Which projection a file has, by a key of it → how its keys are named here.
PLAIN = {"proj.": "image_embeds."}
FULL = {"proj.0.": "ff.net.0.proj.", "proj.2.": "ff.net.2.", "proj.3.": "norm."}


class FullImageProjection(nn.Module):
    """Every place of a picture as a token beside a text's."""

    def __init__(self, image_embed_dim: int, cross_attention_dim: int) -> None:
        super().__init__()
        self.ff = FeedForward(image_embed_dim, cross_attention_dim, mult=1, activation_fn="gelu")
        self.norm = nn.LayerNorm(cross_attention_dim)

    def forward(self, image_embeds: Tensor) -> Tensor:
        """Return (B, places, cross_attention_dim) for (B, places, image_embed_dim)."""
        return self.norm(self.ff(image_embeds))  # type: ignore[no-any-return]


class MultiIPAdapterImageProjection(nn.Module):
    """One projection for each adapter: embeddings (B, pictures, …) to tokens (B, pictures, tokens, width)."""

    def __init__(self, layers: Iterable[nn.Module]) -> None:
        super().__init__()
        self.image_projection_layers = nn.ModuleList(layers)

    def forward(self, image_embeds: list[Tensor]) -> list[Tensor]:
        if len(image_embeds) != len(self.image_projection_layers):
            raise PipelineError(
                f"{len(image_embeds)} image_embeds for {len(self.image_projection_layers)} adapters; expected one each"
            )
        pairs = zip(image_embeds, self.image_projection_layers, strict=True)
        return [layer(given.flatten(0, 1)).unflatten(0, given.shape[:2]) for given, layer in pairs]


class IPAdapterAttnProcessor(nn.Module):
    """Attention to a text, and beside it to the tokens of pictures, added with each adapter's scale.

    Args:
        inner: width of all heads.
        cross_attention_dim: width of the tokens.
        count: how many adapters.
    """

    def __init__(self, inner: int, cross_attention_dim: int, count: int) -> None:
        super().__init__()
        self.scale = [1.0] * count
        self.to_k_ip = nn.ModuleList(nn.Linear(cross_attention_dim, inner, bias=False) for _ in range(count))
        self.to_v_ip = nn.ModuleList(nn.Linear(cross_attention_dim, inner, bias=False) for _ in range(count))

    def forward(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Any = None,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        """Return the attended states; ``encoder_hidden_states`` is the text's states and a list of pictures' tokens."""
        text, pictures = encoder_hidden_states
        query, key, value = attn.project(hidden_states, text)
        found = attend(query, key, value, attention_mask)[0]
        for tokens, scale, to_k, to_v in zip(pictures, self.scale, self.to_k_ip, self.to_v_ip, strict=True):
            if scale:
                seen = tokens.flatten(1, 2)
                key, value = (split_heads(layer(seen), attn.dim_head) for layer in (to_k, to_v))
                found = found + scale * attend(query, key, value)[0]
        return attn.out(merge_heads(found))


class IPAdapterMixin:
    """``load_ip_adapter``, for pipelines with a UNet."""

    unet: Any
    image_encoder: Any
    feature_extractor: Any

    def load_ip_adapter(
        self,
        pretrained_model_name_or_path_or_dict: Any,
        subfolder: str | list[str] = "",
        weight_name: str | list[str] | None = None,
        image_encoder_folder: str | None = "image_encoder",
        **kwargs: Any,
    ) -> None:
        """Let the UNet look at pictures; calls then take ``ip_adapter_image``, one for each adapter.

        Args:
            pretrained_model_name_or_path_or_dict: a file, a folder, a repository's id, or the tensors
                ({"image_proj": …, "ip_adapter": …}); or a list of these.
            subfolder: where the file is, one for all or each.
            weight_name: the file's, or a list of several adapters'.
            image_encoder_folder: of the encoder, where the pipeline has none; beside the file, or with a slash from the
                top. None: calls take ``ip_adapter_image_embeds``.
            kwargs: ``revision``, ``cache_dir``, ``token``, ``local_files_only``, ``force_download``.

        Raises:
            PipelineError: an adapter is for another base model; each tensor is named, and nothing is changed.
        """
        where, _ = split_fetch_arguments({**kwargs, "subfolder": None})
        given = pretrained_model_name_or_path_or_dict
        count = max(len(one) if isinstance(one, list) else 1 for one in (given, subfolder, weight_name))
        rows = [one if isinstance(one, list) else [one] for one in (given, subfolder, weight_name)]
        rows = [one * count if len(one) == 1 else one for one in rows]
        if any(len(one) != count for one in rows):
            raise PipelineError(f"{count} adapters need as many weight_name and subfolder, or one for all")
        states = [_parts(one, place, name, where) for one, place, name in zip(*rows, strict=True)]
        projections = [_projection(state["image_proj"]) for state in states]
        processors = _processors(self.unet, [state["ip_adapter"] for state in states])
        source, folder = rows[0][0], image_encoder_folder
        if self.image_encoder is None and folder and not isinstance(source, Mapping):
            from enfold.transformers import CLIPVisionModelWithProjection

            place = folder if "/" in folder else "/".join(part for part in (rows[1][0], folder) if part)
            owner: Any = self
            encoder = CLIPVisionModelWithProjection.from_pretrained(
                source, subfolder=place, dtype=dtype_of(self.unet), **where
            )
            owner.register_modules(image_encoder=encoder.to(self.unet.device))
        if self.feature_extractor is None:
            from enfold.transformers import CLIPImageProcessor

            side = 224 if self.image_encoder is None else self.image_encoder.config.image_size
            owner = self
            owner.register_modules(
                feature_extractor=CLIPImageProcessor(
                    size={"shortest_edge": side}, crop_size={"height": side, "width": side}
                )
            )
        self.unet.set_attn_processor({**self.unet.attn_processors, **processors})
        self.unet.encoder_hid_proj = MultiIPAdapterImageProjection(projections)
        self.unet.register_to_config(encoder_hid_dim_type="ip_image_proj")
        self.unet.to(dtype=self.unet.dtype, device=self.unet.device)

    def set_ip_adapter_scale(self, scale: Any) -> None:
        """Say how much pictures weigh.

        Args:
            scale: a number, or numbers for parts of the UNet ({"up": {"block_0": [0.0, 1.0, 0.0]}}; 0 elsewhere); or a
                list of these, one for each adapter.
        """
        scales = scale if isinstance(scale, list) else [scale]
        spread = [block_scales(self.unet, one, 0.0) for one in scales]
        for name, processor in self.unet.attn_processors.items():
            if not isinstance(processor, IPAdapterAttnProcessor):
                continue
            if len(spread) not in (1, len(processor.scale)):
                raise PipelineError(f"{len(spread)} scales for {len(processor.scale)} adapters; expected one, or each")
            for i, one in enumerate(spread * (len(processor.scale) if len(spread) == 1 else 1)):
                if isinstance(one, Mapping):
                    one = next((value for lead, value in one.items() if name.startswith(f"{lead}.")), 0.0)
                processor.scale[i] = float(one)

    def unload_ip_adapter(self) -> None:
        """Look at pictures no more; the image encoder goes, too."""
        owner: Any = self
        owner.register_modules(image_encoder=None)
        if "safety_checker" not in owner.components:  # which looks through it, too
            owner.register_modules(feature_extractor=None)
        self.unet.encoder_hid_proj = None
        self.unet.register_to_config(encoder_hid_dim_type=None)
        kept = {
            name: AttnProcessor() if isinstance(processor, IPAdapterAttnProcessor) else processor
            for name, processor in self.unet.attn_processors.items()
        }
        self.unet.set_attn_processor(kept)

    def encode_image(
        self, image: Any, device: Any, num_images_per_prompt: int, output_hidden_states: bool | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the embeddings of pictures, and those of none.

        Args:
            image: pictures, or tensors as the encoder takes them.
            device: where they go.
            num_images_per_prompt: how often each is repeated.
            output_hidden_states: the last but one states of every place instead.
        """
        if self.image_encoder is None:
            raise PipelineError("there is no image_encoder; pass ip_adapter_image_embeds, or load one")
        if not isinstance(image, Tensor):
            image = self.feature_extractor(image, return_tensors="pt").pixel_values
        image = image.to(device=device, dtype=dtype_of(self.image_encoder))
        if output_hidden_states:
            both = (self.image_encoder(one, output_hidden_states=True).hidden_states[-2] for one in _and_none(image))
            first, second = (one.repeat_interleave(num_images_per_prompt, dim=0) for one in both)
            return first, second
        found = self.image_encoder(image).image_embeds.repeat_interleave(num_images_per_prompt, dim=0)
        return found, torch.zeros_like(found)

    def prepare_ip_adapter_image_embeds(
        self,
        ip_adapter_image: Any,
        ip_adapter_image_embeds: list[Tensor] | None,
        device: Any,
        num_images_per_prompt: int,
        do_classifier_free_guidance: bool,
    ) -> list[Tensor]:
        """Return what the UNet is shown of pictures: for each adapter (B, pictures, …), guided ones after none.

        Args:
            ip_adapter_image: a picture, or a list with one (or a list of several) for each adapter.
            ip_adapter_image_embeds: what an earlier call returned for one picture, instead.
            device: where they go.
            num_images_per_prompt: how many pictures are painted.
            do_classifier_free_guidance: whether the embeddings of none are needed.
        """
        layers = getattr(self.unet.encoder_hid_proj, "image_projection_layers", None)
        if layers is None:
            raise PipelineError("this pipeline has no adapter for pictures; call load_ip_adapter first")
        pairs: list[tuple[Tensor, Tensor]] = []
        if ip_adapter_image_embeds is None:
            images = ip_adapter_image if isinstance(ip_adapter_image, list) else [ip_adapter_image]
            if len(images) != len(layers):
                raise PipelineError(f"{len(images)} ip_adapter_image for {len(layers)} adapters; expected one for each")
            for image, layer in zip(images, layers, strict=True):
                seen, unseen = self.encode_image(image, device, 1, not isinstance(layer, ImageProjection))
                pairs.append((seen[None], unseen[None]))
        else:
            for given in ip_adapter_image_embeds:
                halves = given.chunk(2) if do_classifier_free_guidance else (given,)
                pairs.append((halves[-1], halves[0]))
        found = []
        for shown, none in pairs:
            parts = [none, shown] if do_classifier_free_guidance else [shown]
            found.append(torch.cat([torch.cat([one] * num_images_per_prompt) for one in parts]).to(device))
        return found


def _and_none(image: Tensor) -> tuple[Tensor, Tensor]:
    return image, torch.zeros_like(image)


def _parts(source: Any, subfolder: str, weight_name: str | None, where: Mapping[str, Any]) -> dict[str, Any]:
    """Return an adapter's two dictionaries of tensors."""
    held = source
    if not isinstance(source, Mapping):
        usual = ("ip-adapter_sd15.safetensors", "ip-adapter_sd15.bin")
        place = {**where, "subfolder": subfolder} if subfolder else dict(where)
        held = read_object(find_weights_file(os.fspath(source), weight_name, usual, place))
    if not {"image_proj", "ip_adapter"} <= {*held}:
        parts: dict[str, dict[str, Tensor]] = {"image_proj": {}, "ip_adapter": {}}
        for key, tensor in held.items():
            part, _, name = key.partition(".")
            if part in parts:
                parts[part][name] = tensor
        held = parts
    if not held["image_proj"] or not held["ip_adapter"]:
        raise PipelineError("this is no adapter for pictures: expected 'image_proj' and 'ip_adapter'")
    return dict(held)


def _projection(state: Mapping[str, Tensor]) -> nn.Module:
    """Return the layer that makes tokens of embeddings, filled."""
    if "proj.weight" in state:
        width, given = state["norm.weight"].shape[0], state["proj.weight"]
        made: nn.Module = ImageProjection(given.shape[1], width, given.shape[0] // width)
        rows = PLAIN
    elif "proj.3.weight" in state:
        made = FullImageProjection(state["proj.0.weight"].shape[0], state["proj.3.weight"].shape[0])
        rows = FULL
    elif {"latents", "layers.0.0.to_q.weight"} <= {*state}:
        made, rows = Resampler.of(state), {}
    else:
        raise PipelineError(
            f"an adapter's projection of another kind, with {', '.join(sorted(state)[:4])}, …; known are those with "
            "one linear layer (IP-Adapter), with two (full face) and with learned tokens (plus)"
        )
    renamed = {}
    for key, tensor in state.items():
        old = next((old for old in rows if key.startswith(old)), "")
        renamed[rows.get(old, "") + key.removeprefix(old)] = tensor
    made.load_state_dict(renamed)
    return made


def _processors(unet: Any, states: list[Mapping[str, Tensor]]) -> dict[str, IPAdapterAttnProcessor]:
    """Return attention's name → its processor, filled; number 1 is the first attention to the text, 3 the next."""
    crossing = [(name, attn) for name, attn in unet._attentions() if name.endswith("attn2.processor")]
    crossing.sort(key=lambda pair: ORDER[pair[0].partition(".")[0]])
    found, wrong = {}, []
    for number, (name, attn) in enumerate(crossing):
        inner, width = attn.to_k.out_features, attn.to_k.in_features
        made = IPAdapterAttnProcessor(inner, width, len(states))
        for i, state in enumerate(states):
            for part, layers in (("to_k_ip", made.to_k_ip), ("to_v_ip", made.to_v_ip)):
                key = f"{2 * number + 1}.{part}.weight"
                layer: Any = layers[i]
                if key not in state:
                    wrong.append(f"ip_adapter.{key}: not in the file")
                elif state[key].shape != layer.weight.shape:
                    shapes = f"{tuple(state[key].shape)} in the file, {tuple(layer.weight.shape)} in the model"
                    wrong.append(f"ip_adapter.{key}: {shapes}")
                else:
                    layer.weight.data = state[key].detach().clone()
        found[name] = made.requires_grad_(False)
    if wrong:
        raise PipelineError("the adapter is for another base model:\n  " + "\n  ".join(wrong))
    return found
