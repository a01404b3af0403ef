"""What wav2vec 2.0 and HuBERT share: samples through convolutions into an encoder, spelled out or classified.

Shapes: B rows, S samples, T frames, D width, C classes.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from enfold.checkpoints import CheckpointError, find_weights, read_state_dict
from enfold.errors import EnfoldError
from enfold.nn.losses import ctc_loss, token_loss
from enfold.nn.mask import encoder_mask, unpadded
from enfold.nn.outputs import ModelOutput
from enfold.nn.spans import random_spans
from enfold.transformers.configs.wav2vec2 import SpeechConfig
from enfold.transformers.heads import as_asked
from enfold.transformers.modeling import PreTrainedModel
from enfold.transformers.models.speech_parts import FeatureEncoder, FeatureProjection, PositionalConv, SpeechEncoder
from enfold.transformers.outputs import BaseModelOutput, CausalLMOutput, SequenceClassifierOutput

__all__ = ["LayerMix", "SpeechForCTC", "SpeechForSequenceClassification", "SpeechModel", "SpeechPreTrainedModel"]


class SpeechPreTrainedModel(PreTrainedModel):
    """What wav2vec 2.0 and HuBERT share."""

    main_input_name = "input_values"
    _supports_sdpa = True
    _no_split_modules = ["SpeechLayer", "StableSpeechLayer", "PositionalConv"]
    target_lang: str | None = None  # the language whose adapter is in place

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, PositionalConv):
            conv = module.conv
            drawn = torch.empty_like(conv.weight).normal_(
                0.0, 2 * math.sqrt(1 / (conv.kernel_size[0] * conv.in_channels))
            )
            conv.weight = drawn if module.batch_norm is None else nn.Parameter(drawn)
            assert conv.bias is not None
            conv.bias.zero_()
        elif isinstance(module, FeatureProjection):
            bound = math.sqrt(1 / module.projection.in_features)
            module.projection.weight.uniform_(-bound, bound)
            module.projection.bias.uniform_(-bound, bound)
        elif isinstance(module, nn.GroupNorm):
            module.weight.fill_(1.0)
            module.bias.zero_()
        elif isinstance(module, nn.Conv1d) and not hasattr(module, "parametrizations"):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                bound = math.sqrt(module.groups / (module.in_channels * module.kernel_size[0]))
                module.bias.uniform_(-bound, bound)
        elif isinstance(module, SpeechModel) and module.masked_spec_embed is not None:
            module.masked_spec_embed.uniform_()

    def frames(self, samples: Any, adapted: bool = True) -> Any:
        """Return how many frames the model makes of a number of samples, or of a tensor of them."""
        steps = list(zip(self.config.conv_kernel, self.config.conv_stride, strict=True))
        if adapted and getattr(self.config, "add_adapter", False):
            steps += [(1, self.config.adapter_stride)] * self.config.num_adapter_layers
        for kernel, stride in steps:
            samples = (samples - kernel) // stride + 1
        return samples

    _get_feat_extract_output_lengths = frames

    def frame_mask(self, length: int, attention_mask: Tensor, adapted: bool = True) -> Tensor:
        """Return (B, length), True for frames of real samples, for a mask of samples (B, S)."""
        real = self.frames(attention_mask.sum(-1), adapted)
        return torch.arange(length, device=attention_mask.device)[None] < real[:, None]

    def _get_feature_vector_attention_mask(
        self, feature_vector_length: int, attention_mask: Tensor, add_adapter: bool | None = None
    ) -> Tensor:
        return self.frame_mask(feature_vector_length, attention_mask, add_adapter is not False)

    def freeze_feature_encoder(self) -> None:
        """Leave the convolutions as they are while training."""
        self.base_model.get_submodule("feature_extractor").requires_grad_(False)

    freeze_feature_extractor = freeze_feature_encoder

    def freeze_base_model(self) -> None:
        """Train the head alone."""
        self.base_model.requires_grad_(False)

    def load_adapter(  # type: ignore[override]  # what speech models have meant by it since before adapters
        self, target_lang: str, force_load: bool = True, **kwargs: Any
    ) -> None:
        """Read one language's adapter layers and letters from ``adapter.<language>.safetensors`` (or ``.bin``).

        Args:
            target_lang: the language's code.
            force_load: read them even if they are there already.
            kwargs: where to look (cache_dir, revision, token, local_files_only …).

        Raises:
            CheckpointError: when the file is missing, or names other tensors than the model has.
        """
        if getattr(self.config, "adapter_attn_dim", None) is None:
            raise EnfoldError(f"{type(self).__name__} has no adapters of languages: config.adapter_attn_dim is None")
        if target_lang == self.target_lang and not force_load:
            return
        kwargs.pop("proxies", None)
        names = (f"adapter.{target_lang}.safetensors", f"adapter.{target_lang}.bin")
        state = read_state_dict(find_weights(self.config.name_or_path, names=names, **kwargs)[0])
        head = getattr(self, "lm_head", None)
        own = {name for name, _ in self.named_parameters() if ".adapter_layer." in name or name.startswith("lm_head.")}
        if set(state) != own:
            odd = sorted(set(state) ^ own)
            raise CheckpointError(f"the adapter of {target_lang!r} does not fit the model: {', '.join(odd[:5])}")
        if head is not None and len(state["lm_head.weight"]) != head.out_features:
            letters = len(state["lm_head.weight"])
            self.lm_head = nn.Linear(head.in_features, letters, device=self.device, dtype=self.dtype)
            self.config.vocab_size = letters
        self.load_state_dict({name: value.to(self.device, self.dtype) for name, value in state.items()}, strict=False)
        self.target_lang = target_lang


class SpeechModel(SpeechPreTrainedModel):
    """The model without a head.

    Args:
        config: its numbers.
    """

    def __init__(self, config: SpeechConfig) -> None:
        super().__init__(config)
        self.feature_extractor = FeatureEncoder(config)
        self.feature_projection = FeatureProjection(config)
        self.masked_spec_embed = None
        if config.mask_time_prob > 0.0 or config.mask_feature_prob > 0.0:
            self.masked_spec_embed = nn.Parameter(torch.empty(config.hidden_size))
        self.encoder = SpeechEncoder(config)
        self.adapter: nn.Module | None = self.make_adapter(config)
        self.post_init()

    def forward(
        self,
        input_values: Tensor,
        attention_mask: Tensor | None = None,
        mask_time_indices: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **_: Any,
    ) -> Any:
        """Return the states of every frame.

        Args:
            input_values: (B, S), samples.
            attention_mask: (B, S), 1 for a sample, 0 for padding.
            mask_time_indices: (B, T), True where a frame is hidden; drawn while training by default.
            output_attentions: return the attention weights.
            output_hidden_states: return the states between the layers.
            return_dict: False returns a tuple.
        """
        samples = input_values.shape[1]
        if self.frames(samples, adapted=False) < 1:
            raise EnfoldError(f"a recording of {samples} samples is too short for a single frame: pad it with silence")
        features = input_values[:, None]  # (B, 1, S)
        for conv in self.feature_extractor.conv_layers:
            features = self.through(conv, features)
        x, features = self.feature_projection(features.transpose(1, 2))
        mask = None
        if attention_mask is not None and not unpadded(attention_mask):
            mask = self.frame_mask(x.shape[1], attention_mask, adapted=False)
        x = self._hidden(x, mask_time_indices, mask)
        if mask is not None:
            x = x * mask[..., None]  # the positional convolution must not see padding
        record = self.recording(output_attentions, output_hidden_states)
        encoder, stable = self.encoder, self.config.do_stable_layer_norm
        x = x + encoder.pos_conv_embed(x)
        x = encoder.dropout(x if stable else encoder.layer_norm(x))
        x = self.encode(self._kept(encoder.layers), x, record, encoder_mask(mask))
        x = encoder.layer_norm(x) if stable else x
        record.finish(x)
        output = self.output(
            x if self.adapter is None else self.adapter(x), features, record.hidden_states, record.attentions
        )
        return as_asked(output, return_dict, self.config.return_dict)

    def make_adapter(self, config: SpeechConfig) -> nn.Module | None:
        """Return what makes the states shorter for a decoder, where the family has that."""
        return None

    def output(self, x: Tensor, features: Tensor, states: Any, attentions: Any) -> ModelOutput:
        """Return the output of the family's kind; ``features`` (B, T, channels) are the normalised convolutions'."""
        return BaseModelOutput(x, states, attentions)

    def _kept(self, layers: Any) -> Any:
        """Return the layers that this pass runs: all, or while training those that chance does not drop."""
        drop = self.config.layerdrop
        return [layer for layer in layers if torch.rand(()) >= drop] if self.training and drop > 0 else layers

    def _hidden(self, x: Tensor, hidden: Tensor | None, mask: Tensor | None) -> Tensor:
        """Return (B, T, D) with the frames hidden that are given, or while training with random spans hidden."""
        config = self.config
        if not config.apply_spec_augment or self.masked_spec_embed is None:
            return x
        if hidden is None and self.training and config.mask_time_prob > 0:
            lengths = None if mask is None else mask.sum(-1).tolist()
            spans = random_spans(
                (x.shape[0], x.shape[1]),
                config.mask_time_prob,
                config.mask_time_length,
                lengths=lengths,
                least=config.mask_time_min_masks,
            )
            hidden = torch.from_numpy(spans).to(x.device)
        if hidden is not None:
            x = torch.where(hidden.bool()[..., None], self.masked_spec_embed.to(x.dtype), x)
        if self.training and config.mask_feature_prob > 0:
            spans = random_spans(
                (x.shape[0], x.shape[2]),
                config.mask_feature_prob,
                config.mask_feature_length,
                least=config.mask_feature_min_masks,
            )
            x = x.masked_fill(torch.from_numpy(spans).to(x.device)[:, None], 0.0)
        return x


class SpeechForCTC(SpeechPreTrainedModel):
    """The model that spells a recording, a letter or nothing a frame (Graves et al., 2006).

    Args:
        config: its numbers.
        target_lang: the language whose adapter is read once the weights are.
    """

    base_class: ClassVar[Any]

    def __init__(self, config: SpeechConfig, target_lang: str | None = None) -> None:
        super().__init__(config)
        if config.vocab_size is None:
            raise EnfoldError(f"{type(self).__name__} needs config.vocab_size, the number of letters")
        self.add_module(self.base_model_prefix, self.base_class(config))
        self.dropout = nn.Dropout(config.final_dropout)
        width = config.output_hidden_size if getattr(config, "add_adapter", False) else config.hidden_size
        self.lm_head = nn.Linear(width, config.vocab_size)
        self.target_lang = target_lang
        self.post_init()

    def tie_weights(self, **options: Any) -> None:
        """Read the adapter of ``target_lang`` once the weights are there; nothing is shared."""
        if self.target_lang is not None and not any(parameter.is_meta for parameter in self.parameters()):
            self.load_adapter(self.target_lang)

    def forward(
        self,
        input_values: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        return_dict: bool | None = None,
        **extra: Any,
    ) -> Any:
        """Return logits (B, T, letters); ``labels`` (B, L) are letters, below zero where there is none."""
        if labels is not None and labels.max() >= self.config.vocab_size:
            raise ValueError(f"labels go up to {int(labels.max())}; there are {self.config.vocab_size} letters")
        states = self.base_model(input_values, attention_mask=attention_mask, return_dict=True, **extra)
        logits = self.lm_head(self.dropout(states.last_hidden_state))
        loss = None
        if labels is not None:
            real = torch.ones_like(input_values, dtype=torch.long) if attention_mask is None else attention_mask
            loss = ctc_loss(
                logits,
                labels,
                self.frames(real.sum(-1)),
                blank=self.config.pad_token_id,
                reduction=self.config.ctc_loss_reduction,
                zero_infinity=self.config.ctc_zero_infinity,
            )
        output = CausalLMOutput(loss, logits, states.hidden_states, states.attentions)
        return as_asked(output, return_dict, self.config.return_dict)


class LayerMix(SpeechPreTrainedModel):
    """A head that reads the last states, or a learned mixture of the states of all layers."""

    base_class: ClassVar[Any]

    def mixing(self, config: SpeechConfig) -> None:
        """Make the base model and, where wanted, a weight a layer."""
        self.add_module(self.base_model_prefix, self.base_class(config))
        if config.use_weighted_layer_sum:
            self.layer_weights = nn.Parameter(torch.full((config.num_hidden_layers + 1,), 1.0))
            self.layer_weights.data /= config.num_hidden_layers + 1

    def mixed(self, input_values: Tensor, attention_mask: Tensor | None, extra: dict[str, Any]) -> tuple[Tensor, Any]:
        """Return (B, T, D) to read, and the base model's output without states that nobody asked for."""
        mix = self.config.use_weighted_layer_sum
        asked = extra.pop("output_hidden_states", None)
        asked = self.config.output_hidden_states if asked is None else asked
        states = self.base_model(
            input_values, attention_mask=attention_mask, output_hidden_states=asked or mix, return_dict=True, **extra
        )
        if not mix:
            return states.last_hidden_state, states
        shares = self.layer_weights.softmax(-1).view(-1, 1, 1)
        x = (torch.stack(states.hidden_states, dim=1) * shares).sum(1)
        if not asked:
            states.hidden_states = None
        return x, states


class SpeechForSequenceClassification(LayerMix):
    """The model with one prediction a recording."""

    def __init__(self, config: SpeechConfig) -> None:
        super().__init__(config)
        self.mixing(config)
        self.projector = nn.Linear(config.hidden_size, config.classifier_proj_size)
        self.classifier = nn.Linear(config.classifier_proj_size, config.num_labels)
        self.post_init()

    def forward(
        self,
        input_values: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        return_dict: bool | None = None,
        **extra: Any,
    ) -> Any:
        """Return logits (B, C), of the mean over real frames; ``labels`` (B,) are classes."""
        x, states = self.mixed(input_values, attention_mask, extra)
        x = self.projector(x)
        if attention_mask is None:
            pooled = x.mean(1)
        else:
            real = self.frame_mask(x.shape[1], attention_mask)
            pooled = (x * real[..., None]).sum(1) / real.sum(1, keepdim=True)
        logits = self.classifier(pooled)
        loss = None if labels is None else token_loss(logits, labels)
        output = SequenceClassifierOutput(loss, logits, states.hidden_states, states.attentions)
        return as_asked(output, return_dict, self.config.return_dict)
