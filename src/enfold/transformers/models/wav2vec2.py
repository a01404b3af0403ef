"""wav2vec 2.0 (Baevski et al., 2020, "wav2vec 2.0: A Framework for Self-Supervised Learning of Speech
Representations").

Shapes: B rows, S samples, T frames, D width, C classes, N negatives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.errors import EnfoldError
from enfold.nn.losses import token_loss
from enfold.nn.outputs import ModelOutput
from enfold.transformers.configs.wav2vec2 import SpeechConfig, Wav2Vec2Config
from enfold.transformers.heads import as_asked
from enfold.transformers.models.speech import (
    LayerMix,
    SpeechForCTC,
    SpeechForSequenceClassification,
    SpeechModel,
    SpeechPreTrainedModel,
)
from enfold.transformers.outputs import TokenClassifierOutput

__all__ = [
    "Wav2Vec2Config",
    "Wav2Vec2ForAudioFrameClassification",
    "Wav2Vec2ForCTC",
    "Wav2Vec2ForMaskedLM",
    "Wav2Vec2ForPreTraining",
    "Wav2Vec2ForSequenceClassification",
    "Wav2Vec2ForXVector",
    "Wav2Vec2Model",
    "Wav2Vec2PreTrainedModel",
]


@dataclass
class Wav2Vec2BaseModelOutput(ModelOutput):
    """The encoder's states (B, T, D), and the convolutions' before it, normalised (B, T, channels)."""

    last_hidden_state: Tensor | None = None
    extract_features: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


@dataclass
class Wav2Vec2ForPreTrainingOutput(ModelOutput):
    """What was predicted and what it was to be (B, T, projected), with the two losses and how many code words are
    used."""

    loss: Tensor | None = None
    projected_states: Tensor | None = None
    projected_quantized_states: Tensor | None = None
    codevector_perplexity: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    contrastive_loss: Tensor | None = None
    diversity_loss: Tensor | None = None


@dataclass
class XVectorOutput(ModelOutput):
    """Logits and voice embeddings, (B, xvector_output_dim) each."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    embeddings: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class AdapterLayer(nn.Module):
    """A convolution that halves the number of frames."""

    def __init__(self, config: Wav2Vec2Config) -> None:
        super().__init__()
        width = config.output_hidden_size
        self.conv = nn.Conv1d(width, 2 * width, config.adapter_kernel_size, stride=config.adapter_stride, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, D, T') for (B, D, T)."""
        return F.glu(self.conv(x), dim=1)


class Adapter(nn.Module):
    """Shorter and narrower states, for a decoder that reads them."""

    def __init__(self, config: Wav2Vec2Config) -> None:
        super().__init__()
        narrower = config.output_hidden_size != config.hidden_size
        self.proj = nn.Linear(config.hidden_size, config.output_hidden_size) if narrower else None
        self.proj_layer_norm = nn.LayerNorm(config.output_hidden_size) if narrower else None
        self.layers = nn.ModuleList(AdapterLayer(config) for _ in range(config.num_adapter_layers))
        self.layerdrop = config.layerdrop

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T', output_hidden_size) for (B, T, D)."""
        if self.proj is not None and self.proj_layer_norm is not None:
            x = self.proj_layer_norm(self.proj(x))
        x = x.transpose(1, 2)
        for layer in self.layers:
            if not self.training or torch.rand(()) >= self.layerdrop:
                x = layer(x)
        return x.transpose(1, 2)


class Quantizer(nn.Module):
    """Code words for features: one of each group, chosen by Gumbel noise while training (Jang et al., 2016)."""

    def __init__(self, config: Wav2Vec2Config) -> None:
        super().__init__()
        groups, words = config.num_codevector_groups, config.num_codevectors_per_group
        if config.codevector_dim % groups:
            raise EnfoldError(f"codevector_dim {config.codevector_dim} is no multiple of its {groups} groups")
        self.codevectors = nn.Parameter(torch.empty(1, groups * words, config.codevector_dim // groups))
        self.weight_proj = nn.Linear(config.conv_dim[-1], groups * words)
        self.groups, self.words, self.temperature = groups, words, 2.0

    def forward(self, x: Tensor, hidden: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return code vectors (B, T, codevector_dim) and the number of words in use, for features (B, T, channels).

        ``hidden`` (B, T) says which frames count for the latter; None counts all.
        """
        scores = self.weight_proj(x).view(*x.shape[:2], self.groups, self.words)
        if self.training:
            chosen = F.gumbel_softmax(scores.float(), tau=self.temperature, hard=True).type_as(scores)
            spread = scores.float().softmax(-1)
        else:
            chosen = spread = F.one_hot(scores.argmax(-1), self.words).type_as(scores)
        counted = spread.flatten(0, 1) if hidden is None else spread[hidden]
        mean = counted.mean(0)
        used = torch.exp(-torch.xlogy(mean, mean).sum(-1)).sum()
        words = self.codevectors.view(self.groups, self.words, -1)
        return torch.einsum("btgw,gwd->btgd", chosen, words).flatten(2), used


class Wav2Vec2PreTrainedModel(SpeechPreTrainedModel):
    """What all wav2vec 2.0 models share."""

    config_class: ClassVar[Any] = Wav2Vec2Config
    base_model_prefix = "wav2vec2"

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, Quantizer):
            module.weight_proj.weight.normal_(0.0, 1.0)
            module.weight_proj.bias.zero_()
            module.codevectors.uniform_()
        elif isinstance(module, AMSoftmax):
            module.weight.normal_()
        elif isinstance(module, Wav2Vec2ForPreTraining):
            module.project_hid.reset_parameters()
            module.project_q.reset_parameters()


class Wav2Vec2Model(SpeechModel, Wav2Vec2PreTrainedModel):
    """wav2vec 2.0 without a head."""

    def make_adapter(self, config: SpeechConfig) -> nn.Module | None:
        """Return what makes the states shorter for a decoder."""
        assert isinstance(config, Wav2Vec2Config)
        return Adapter(config) if config.add_adapter else None

    def output(self, x: Tensor, features: Tensor, states: Any, attentions: Any) -> ModelOutput:
        """Return the output with the convolutions' features."""
        return Wav2Vec2BaseModelOutput(x, features, states, attentions)


class Wav2Vec2ForCTC(SpeechForCTC, Wav2Vec2PreTrainedModel):
    """wav2vec 2.0 that spells a recording."""

    base_class = Wav2Vec2Model


class Wav2Vec2ForMaskedLM(Wav2Vec2ForCTC):
    """``Wav2Vec2ForCTC`` by its first name."""


class Wav2Vec2ForSequenceClassification(SpeechForSequenceClassification, Wav2Vec2PreTrainedModel):
    """wav2vec 2.0 with one prediction a recording."""

    base_class = Wav2Vec2Model


class Wav2Vec2ForAudioFrameClassification(LayerMix, Wav2Vec2PreTrainedModel):
    """wav2vec 2.0 with predictions for every frame."""

    base_class = Wav2Vec2Model

    def __init__(self, config: Wav2Vec2Config) -> None:
        super().__init__(config)
        self.mixing(config)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.num_labels = config.num_labels
        self.post_init()

    def forward(
        self,
        input_values: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        return_dict: bool | None = None,
        **extra: Any,
    ) -> Any:
        """Return logits (B, T, C); ``labels`` (B, T, C) have a one for the class of each frame."""
        x, states = self.mixed(input_values, attention_mask, extra)
        logits = self.classifier(x)
        loss = None if labels is None else token_loss(logits, labels.argmax(-1))
        output = TokenClassifierOutput(loss, logits, states.hidden_states, states.attentions)
        return as_asked(output, return_dict, self.config.return_dict)


class TDNNLayer(nn.Module):
    """A convolution over time, kept as a linear layer (Snyder et al., 2018, "X-Vectors")."""

    def __init__(self, config: Wav2Vec2Config, index: int) -> None:
        super().__init__()
        before, width = config.tdnn_dim[max(index - 1, 0)], config.tdnn_dim[index]
        self.span, self.dilation = config.tdnn_kernel[index], config.tdnn_dilation[index]
        self.kernel = nn.Linear(before * self.span, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T', width) for (B, T, channels)."""
        weight = self.kernel.weight.view(self.kernel.out_features, self.span, -1).transpose(1, 2)
        x = F.conv1d(x.transpose(1, 2), weight, self.kernel.bias, dilation=self.dilation)
        return F.relu(x.transpose(1, 2))


class AMSoftmax(nn.Module):
    """A softmax over angles with a margin for the right class (Wang et al., 2018)."""

    def __init__(self, width: int, classes: int, scale: float = 30.0, margin: float = 0.4) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width, classes))
        self.scale, self.margin = scale, margin

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of embeddings (B, width) for classes (B,)."""
        angles = F.normalize(x, dim=1) @ F.normalize(self.weight, dim=0)
        right = F.one_hot(labels.flatten(), angles.shape[1])
        return F.cross_entropy(self.scale * (angles - self.margin * right), labels.flatten())


def _of_first(x: Tensor, lengths: Tensor) -> Tensor:
    """Return the mean and the deviation (B, 2 · D) over the first frames of each row of x (B, T, D); lengths are (B,)
    and end at T."""
    places = torch.arange(x.shape[1], device=x.device)
    counted = (places < lengths[:, None])[:, :, None]
    count = counted.sum(1).to(x.dtype)
    mean = x.masked_fill(~counted, 0).sum(1) / count
    spread = (x - mean[:, None]).masked_fill(~counted, 0).square().sum(1) / (count - 1)
    return torch.cat((mean, spread.sqrt()), 1)


class Wav2Vec2ForXVector(LayerMix, Wav2Vec2PreTrainedModel):
    """wav2vec 2.0 that embeds voices."""

    base_class = Wav2Vec2Model

    def __init__(self, config: Wav2Vec2Config) -> None:
        super().__init__(config)
        self.mixing(config)
        self.projector = nn.Linear(config.hidden_size, config.tdnn_dim[0])
        self.tdnn = nn.ModuleList(TDNNLayer(config, index) for index in range(len(config.tdnn_dim)))
        self.feature_extractor = nn.Linear(config.tdnn_dim[-1] * 2, config.xvector_output_dim)
        self.classifier = nn.Linear(config.xvector_output_dim, config.xvector_output_dim)
        self.objective = AMSoftmax(config.xvector_output_dim, config.num_labels)
        self.post_init()

    def forward(
        self,
        input_values: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        return_dict: bool | None = None,
        **extra: Any,
    ) -> Any:
        """Return embeddings (B, xvector_output_dim); ``labels`` (B,) are speakers."""
        x, states = self.mixed(input_values, attention_mask, extra)
        x = self.projector(x)
        for layer in self.tdnn:
            x = layer(x)
        pooled = torch.cat((x.mean(1), x.std(1)), 1)
        if attention_mask is not None:
            lengths = self.frames(attention_mask.sum(1))
            for span in self.config.tdnn_kernel:
                lengths = lengths - span + 1
            pooled = _of_first(x, torch.where(lengths < 0, lengths + x.shape[1], lengths))
        embeddings = self.feature_extractor(pooled)
        logits = self.classifier(embeddings)
        loss = None if labels is None else self.objective(logits, labels)
        output = XVectorOutput(loss, logits, embeddings, states.hidden_states, states.attentions)
        return as_asked(output, return_dict, self.config.return_dict)


class Wav2Vec2ForPreTraining(Wav2Vec2PreTrainedModel):
    """wav2vec 2.0 that tells a hidden frame's code words from those of other frames."""

    def __init__(self, config: Wav2Vec2Config) -> None:
        super().__init__(config)
        self.wav2vec2 = Wav2Vec2Model(config)
        self.dropout_features = nn.Dropout(config.feat_quantizer_dropout)
        self.quantizer = Quantizer(config)
        self.project_hid = nn.Linear(config.hidden_size, config.proj_codevector_dim)
        self.project_q = nn.Linear(config.codevector_dim, config.proj_codevector_dim)
        self.post_init()

    def set_gumbel_temperature(self, temperature: float) -> None:
        """Set how random the choice of code words is while training."""
        self.quantizer.temperature = temperature

    def forward(
        self,
        input_values: Tensor,
        attention_mask: Tensor | None = None,
        mask_time_indices: Tensor | None = None,
        sampled_negative_indices: Tensor | None = None,
        return_dict: bool | None = None,
        **extra: Any,
    ) -> Any:
        """Return predicted and true code vectors.

        Args:
            input_values: (B, S).
            attention_mask: (B, S).
            mask_time_indices: (B, T), True where a frame is hidden; see ``enfold.nn.spans.random_spans``.
            sampled_negative_indices: (B, T, N), places counted through all rows; they give a loss.
            return_dict: False returns a tuple.
            extra: as the base model's.
        """
        config = self.config
        hidden = None if mask_time_indices is None else mask_time_indices.bool()
        states = self.wav2vec2(
            input_values, attention_mask=attention_mask, mask_time_indices=hidden, return_dict=True, **extra
        )
        predicted = self.project_hid(states.last_hidden_state)
        words, used = self.quantizer(self.dropout_features(states.extract_features), hidden)
        true = self.project_q(words.to(self.project_q.weight.dtype))  # (B, T, P)
        loss = contrast = diversity = None
        if sampled_negative_indices is not None:
            if hidden is None:
                raise EnfoldError("sampled_negative_indices need mask_time_indices: only hidden frames are learnt from")
            others = true.flatten(0, 1)[sampled_negative_indices.long()]  # (B, T, N, P)
            targets = torch.cat((true[:, :, None], others), dim=2)
            scores = torch.cosine_similarity(predicted[:, :, None].float(), targets.float(), dim=-1)
            scores = scores / config.contrastive_logits_temperature  # (B, T, 1 + N), the right one first
            same = (others == true[:, :, None]).all(-1)
            scores = scores.masked_fill(F.pad(same, (1, 0)), float("-inf"))
            contrast = F.cross_entropy(scores[hidden], scores.new_zeros(int(hidden.sum())).long(), reduction="sum")
            total = config.num_codevectors_per_group * config.num_codevector_groups
            diversity = (total - used) / total * hidden.sum()
            loss = contrast + config.diversity_loss_weight * diversity
        output = Wav2Vec2ForPreTrainingOutput(
            loss, predicted, true, used, states.hidden_states, states.attentions, contrast, diversity
        )
        return as_asked(output, return_dict, config.return_dict)
