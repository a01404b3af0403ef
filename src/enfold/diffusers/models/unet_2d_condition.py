"""UNet2DConditionModel: the network of Stable Diffusion and SDXL (Rombach et al., 2022, https://arxiv.org/abs/2112.10752)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from enfold.diffusers.configuration import register_to_config
from enfold.diffusers.models.adapters import weighed_by_scale
from enfold.diffusers.models.conditions import ConditionedModel, ImageProjection, additive, spread
from enfold.diffusers.models.freeu import FreeU
from enfold.diffusers.models.unet_blocks import Conditions, DownBlock, Level, MidBlock, UpBlock
from enfold.nn.activations import activation
from enfold.nn.outputs import ModelOutput

__all__ = ["UNet2DConditionModel", "UNet2DConditionOutput"]


@dataclass
class UNet2DConditionOutput(ModelOutput):
    """What the model predicts, (B, out_channels, H, W)."""

    sample: Tensor | None = None


class UNet2DConditionModel(ConditionedModel):
    """A UNet that looks at a text.

    Args:
        sample_size: height and width of the latents, for pipelines.
        in_channels: channels of the input; 9 for inpainting.
        out_channels: channels of the output.
        down_block_types: the levels on the way down: "CrossAttnDownBlock2D", "DownBlock2D", ….
        mid_block_type: "UNetMidBlock2DCrossAttn", "UNetMidBlock2D" or None.
        up_block_types: the levels on the way up: "CrossAttnUpBlock2D", "UpBlock2D", ….
        only_cross_attention: both attentions of a block are to the text, for all levels or each.
        block_out_channels: channels of each level.
        layers_per_block: residual blocks, of all levels or each (one more on the way up).
        cross_attention_dim: width of the text's states, for all levels or each.
        transformer_layers_per_block: blocks of each attention, for all levels or each (SDXL: 1, 2, 10).
        reverse_transformer_layers_per_block: the same for the way up, where it is not the reverse.
        encoder_hid_dim: width of the text's states before a projection to ``cross_attention_dim``.
        encoder_hid_dim_type: what is projected: "text_proj", "image_proj" or (set by an adapter) "ip_image_proj".
        attention_head_dim: how many heads an attention to the text has — the name is older than its meaning.
        use_linear_projection: see ``Transformer2DModel``.
        class_embed_type: None, "timestep", "identity", "projection" or "simple_projection".
        addition_embed_type: None, "text" or "text_time" (SDXL: the pooled text and six sizes).
        addition_time_embed_dim: width of each size's embedding.
        num_class_embeds: how many classes.
        upcast_attention: accepted; attention is computed precisely enough as it is.
        time_cond_proj_dim: width of a condition of the embedding of time (guidance of distilled models).
        projection_class_embeddings_input_dim: width of what ``class_embed_type`` or ``addition_embed_type`` embeds.

    The others are those of ``UNet2DModel``.

    Example:
        >>> import torch
        >>> model = UNet2DConditionModel(
        ...     block_out_channels=(8, 16), norm_num_groups=4, cross_attention_dim=8, attention_head_dim=2,
        ...     down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        ...     up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"))
        >>> model(torch.zeros(1, 4, 8, 8), 10, torch.zeros(1, 5, 8)).sample.shape
        torch.Size([1, 4, 8, 8])
    """

    _no_split_modules = ["BasicTransformerBlock", "ResnetBlock2D"]

    @register_to_config
    def __init__(
        self,
        sample_size: int | tuple[int, int] | None = None,
        in_channels: int = 4,
        out_channels: int = 4,
        center_input_sample: bool = False,
        flip_sin_to_cos: bool = True,
        freq_shift: int = 0,
        down_block_types: tuple[str, ...] = (
            "CrossAttnDownBlock2D",
            "CrossAttnDownBlock2D",
            "CrossAttnDownBlock2D",
            "DownBlock2D",
        ),
        mid_block_type: str | None = "UNetMidBlock2DCrossAttn",
        up_block_types: tuple[str, ...] = (
            "UpBlock2D",
            "CrossAttnUpBlock2D",
            "CrossAttnUpBlock2D",
            "CrossAttnUpBlock2D",
        ),
        only_cross_attention: bool | tuple[bool, ...] = False,
        block_out_channels: tuple[int, ...] = (320, 640, 1280, 1280),
        layers_per_block: int | tuple[int, ...] = 2,
        downsample_padding: int = 1,
        mid_block_scale_factor: float = 1,
        dropout: float = 0.0,
        act_fn: str = "silu",
        norm_num_groups: int | None = 32,
        norm_eps: float = 1e-5,
        cross_attention_dim: int | tuple[int, ...] = 1280,
        transformer_layers_per_block: int | tuple[Any, ...] = 1,
        reverse_transformer_layers_per_block: tuple[Any, ...] | None = None,
        encoder_hid_dim: int | None = None,
        encoder_hid_dim_type: str | None = None,
        attention_head_dim: int | tuple[int, ...] = 8,
        num_attention_heads: int | tuple[int, ...] | None = None,
        dual_cross_attention: bool = False,
        use_linear_projection: bool = False,
        class_embed_type: str | None = None,
        addition_embed_type: str | None = None,
        addition_time_embed_dim: int | None = None,
        num_class_embeds: int | None = None,
        upcast_attention: bool = False,
        resnet_time_scale_shift: str = "default",
        resnet_skip_time_act: bool = False,
        resnet_out_scale_factor: float = 1.0,
        time_embedding_type: str = "positional",
        time_embedding_dim: int | None = None,
        time_embedding_act_fn: str | None = None,
        timestep_post_act: str | None = None,
        time_cond_proj_dim: int | None = None,
        conv_in_kernel: int = 3,
        conv_out_kernel: int = 3,
        projection_class_embeddings_input_dim: int | None = None,
        attention_type: str = "default",
        class_embeddings_concat: bool = False,
        mid_block_only_cross_attention: bool | None = None,
        cross_attention_norm: str | None = None,
        addition_embed_type_num_heads: int = 64,
    ) -> None:
        super().__init__()
        if num_attention_heads is not None:
            raise ValueError("num_attention_heads is not for this model: how many heads is said by attention_head_dim")
        for name in ("dual_cross_attention", "cross_attention_norm"):
            if self.config[name]:
                raise ValueError(f"{name} is {self.config[name]!r}; such models are not built here")
        if attention_type != "default":
            raise ValueError(f"attention_type is {attention_type!r}; expected 'default'")
        count = len(block_out_channels)
        if not len(down_block_types) == len(up_block_types) == count:
            raise ValueError(
                f"{len(down_block_types)} down_block_types, {len(up_block_types)} up_block_types and {count} "
                "block_out_channels; expected as many of each"
            )
        first = block_out_channels[0]
        self.conv_in = nn.Conv2d(in_channels, first, conv_in_kernel, padding=(conv_in_kernel - 1) // 2)
        known, width = self._embed_time(
            time_embedding_type,
            first,
            time_embedding_dim,
            flip_sin_to_cos,
            freq_shift,
            act_fn=act_fn,
            post_act_fn=timestep_post_act,
            cond_proj_dim=time_cond_proj_dim,
        )
        texts = spread(cross_attention_dim, count, "cross_attention_dim")
        self._project_states(encoder_hid_dim_type, encoder_hid_dim, texts[0])
        given = projection_class_embeddings_input_dim
        self._embed_classes(class_embed_type, num_class_embeds, known, width, given)
        text = encoder_hid_dim or texts[0]
        self._embed_more(
            addition_embed_type, width, text, addition_time_embed_dim, given, addition_embed_type_num_heads
        )
        self.time_embed_act = activation(time_embedding_act_fn) if time_embedding_act_fn else None

        heads = spread(attention_head_dim, count, "attention_head_dim")
        layers = spread(layers_per_block, count, "layers_per_block")
        depths = spread(transformer_layers_per_block, count, "transformer_layers_per_block")
        only = spread(only_cross_attention, count, "only_cross_attention")
        up_depths = list(reverse_transformer_layers_per_block or reversed(depths))

        def level(kind: str, at: int, number: int, depth: Any, **more: Any) -> Level:
            fields: dict[str, Any] = {
                "eps": norm_eps,
                "groups": norm_num_groups,
                "attention_groups": norm_num_groups,
                "act_fn": act_fn,
                "dropout": dropout,
                "scale_shift": resnet_time_scale_shift,
                "skip_time_act": resnet_skip_time_act if kind.startswith("Resnet") else False,
                "scale": resnet_out_scale_factor if kind.startswith("Resnet") else 1.0,
                "head_dim": heads[at],
                "heads": heads[at],
                "cross": texts[at],
                "linear": use_linear_projection,
                "only_cross": only[at],
                "padding": downsample_padding,
            }
            return Level(kind, number, width * (2 if class_embeddings_concat else 1), depth=depth, **fields | more)

        self.down_blocks = nn.ModuleList()
        before, passed, last = first, [first], count - 1
        for i, (kind, after) in enumerate(zip(down_block_types, block_out_channels, strict=True)):
            built = level(kind, i, layers[i], depths[i])
            self.down_blocks.append(DownBlock(built, before, after, shrink=i != last))
            passed += [after] * (layers[i] + (i != last))
            before = after
        self.mid_block: MidBlock | None = None
        if mid_block_type is not None:
            number = 1 if mid_block_type == "UNetMidBlock2DCrossAttn" else 0
            depth = depths[-1][0] if isinstance(depths[-1], list | tuple) else depths[-1]
            lowest = level(mid_block_type, last, number, depth, scale=mid_block_scale_factor, only_cross=False)
            self.mid_block = MidBlock(lowest, before)
        self.up_blocks: Any = nn.ModuleList()
        for i, (kind, after) in enumerate(zip(up_block_types, reversed(block_out_channels), strict=True)):
            skips = [passed.pop() for _ in range(layers[last - i] + 1)]
            built = level(kind, last - i, layers[last - i] + 1, up_depths[i])
            self.up_blocks.append(UpBlock(built, before, after, skips, grow=i != last))
            before = after
        self.conv_norm_out = nn.GroupNorm(norm_num_groups, first, eps=norm_eps) if norm_num_groups else None
        self.conv_act = activation(act_fn)
        self.conv_out = nn.Conv2d(first, out_channels, conv_out_kernel, padding=(conv_out_kernel - 1) // 2)

    def _project_states(self, kind: str | None, given: int | None, text: int) -> None:
        """Make ``encoder_hid_proj``."""
        if kind is None and given is not None:
            kind = "text_proj"
            self.register_to_config(encoder_hid_dim_type=kind)
        if kind is not None and given is None:
            raise ValueError(f"encoder_hid_dim_type {kind!r} needs encoder_hid_dim")
        self.encoder_hid_proj: nn.Module | None = None
        if kind == "text_proj":
            self.encoder_hid_proj = nn.Linear(given or 0, text)
        elif kind == "image_proj":
            self.encoder_hid_proj = ImageProjection(given or 0, text)
        elif kind is not None:
            raise ValueError(f"encoder_hid_dim_type is {kind!r}; expected 'text_proj' or 'image_proj'")

    def _states(self, text: Tensor, added: dict[str, Any] | None) -> Any:
        """Return what attentions to the text look at; with an adapter for pictures, a pair."""
        if self.encoder_hid_proj is None:
            return text
        kind = self.config["encoder_hid_dim_type"]
        if kind == "text_proj":
            return self.encoder_hid_proj(text)
        if "image_embeds" not in (added or {}):
            raise ValueError("this model looks at a picture: added_cond_kwargs needs image_embeds")
        assert added is not None
        images = self.encoder_hid_proj(added["image_embeds"])
        return images if kind == "image_proj" else (text, images)

    def enable_freeu(self, s1: float, s2: float, b1: float, b2: float) -> None:
        """Weigh the states of the two lowest levels on the way up (Si et al., 2023, https://arxiv.org/abs/2309.11497).

        Args:
            s1: factor of the slow waves in what the lowest level is passed.
            s2: in the next.
            b1: factor of half the channels of the lowest level's states.
            b2: of the next.
        """
        for block, backbone, skip in zip(self.up_blocks, (b1, b2), (s1, s2), strict=False):
            block.freeu = FreeU(backbone, skip)

    def disable_freeu(self) -> None:
        """Weigh nothing again."""
        for block in self.up_blocks:
            block.freeu = None

    @weighed_by_scale
    def forward(
        self,
        sample: Tensor,
        timestep: Tensor | float,
        encoder_hidden_states: Tensor,
        class_labels: Tensor | None = None,
        timestep_cond: Tensor | None = None,
        attention_mask: Tensor | None = None,
        cross_attention_kwargs: dict[str, Any] | None = None,
        added_cond_kwargs: dict[str, Any] | None = None,
        down_block_additional_residuals: Any = None,
        mid_block_additional_residual: Tensor | None = None,
        down_intrablock_additional_residuals: Any = None,
        encoder_attention_mask: Tensor | None = None,
        return_dict: bool = True,
    ) -> Any:
        """Predict from noisy latents.

        Args:
            sample: (B, in_channels, H, W).
            timestep: one for all, or shape (B,).
            encoder_hidden_states: states of the text, (B, S, cross_attention_dim).
            class_labels: shape (B,) or (B, width), for a model of classes.
            timestep_cond: (B, time_cond_proj_dim).
            attention_mask: ones and zeros over the places, (B, H·W).
            cross_attention_kwargs: for the attention's processors.
            added_cond_kwargs: ``text_embeds`` and ``time_ids`` (SDXL), ``image_embeds``.
            down_block_additional_residuals: from a ControlNet, one for each state of the way down.
            mid_block_additional_residual: from a ControlNet.
            down_intrablock_additional_residuals: from a T2I adapter, one for each level.
            encoder_attention_mask: ones and zeros over the text, (B, S).
            return_dict: return a ``UNet2DConditionOutput`` instead of a tuple.
        """
        if self.config["center_input_sample"]:
            sample = 2 * sample - 1.0
        emb = self._embedding(sample, timestep, encoder_hidden_states, class_labels, timestep_cond, added_cond_kwargs)
        if self.time_embed_act is not None:
            emb = self.time_embed_act(emb)
        given = Conditions(
            emb,
            self._states(encoder_hidden_states, added_cond_kwargs),
            additive(attention_mask, sample.dtype),
            additive(encoder_attention_mask, sample.dtype),
            cross_attention_kwargs,
        )
        controlled = mid_block_additional_residual is not None and down_block_additional_residuals is not None
        inside = [*(down_intrablock_additional_residuals or ())]
        # Where halving rounds up, the way up must be told the sizes.
        uneven = any(side % 2 ** (len(self.up_blocks) - 1) for side in sample.shape[-2:])

        sample = self.conv_in(sample)
        passed = [sample]
        for block in self.down_blocks:
            crossing = block.has_cross_attention
            sample, states = block(sample, given, inside.pop(0) if inside and crossing else None)
            if inside and not crossing:
                sample = sample + inside.pop(0)
                states = [*states[:-1], sample]
            passed += states
        if controlled:
            passed = [state + more for state, more in zip(passed, down_block_additional_residuals, strict=True)]
        if self.mid_block is not None:
            sample = self.mid_block(sample, given)
            if inside and inside[0].shape == sample.shape:
                sample = sample + inside.pop(0)
        if controlled and mid_block_additional_residual is not None:
            sample = sample + mid_block_additional_residual
        for i, block in enumerate(self.up_blocks):
            rest = len(passed) - len(block.resnets) - 1
            size = passed[rest].shape[2:] if uneven and i < len(self.up_blocks) - 1 else None
            sample = block(sample, given, passed, size)
        if self.conv_norm_out is not None:
            sample = self.conv_act(self.conv_norm_out(sample))
        sample = self.conv_out(sample)
        return UNet2DConditionOutput(sample) if return_dict else (sample,)
