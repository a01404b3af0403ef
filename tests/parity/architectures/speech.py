"""Tiny models that hear samples: wav2vec 2.0 and HuBERT."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from parity.architectures.harness import Case

BASE: dict[str, Any] = {
    "vocab_size": 21,
    "hidden_size": 36,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 37,
    "conv_dim": [16, 24, 24],
    "conv_stride": [4, 3, 2],
    "conv_kernel": [8, 3, 3],
    "num_conv_pos_embeddings": 6,
    "num_conv_pos_embedding_groups": 2,
    "classifier_proj_size": 15,
    "num_codevectors_per_group": 9,
    "codevector_dim": 16,
    "proj_codevector_dim": 11,
    "tdnn_dim": [12, 12, 14],
    "tdnn_kernel": [3, 2, 1],
    "tdnn_dilation": [1, 2, 1],
    "xvector_output_dim": 10,
}
STABLE = {**BASE, "feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
LAST = "hidden_states/2$"  # normalised as in v4, with which mixtures of layers were trained
HUBERT = {key: value for key, value in BASE.items() if "code" not in key and "tdnn" not in key and "xvector" not in key}


def sounds(kind: str = "") -> Callable[[str], dict[str, Any]]:
    """Return a function from where padding is to three recordings with labels of a kind."""

    def inputs(padding: str) -> dict[str, Any]:
        import torch

        draw = torch.Generator().manual_seed(7)
        samples = torch.randn(3, 700, generator=draw)
        given: dict[str, Any] = {"input_values": samples}
        if padding == "right":
            mask = torch.ones(3, 700, dtype=torch.long)
            mask[1, 500:] = 0
            mask[2, 321:] = 0
            given |= {"input_values": samples * mask, "attention_mask": mask}
        frames = 28  # what three convolutions make of 700 samples
        if kind == "class":
            given["labels"] = torch.tensor([0, 2, 1])
        elif kind == "letters":
            given["labels"] = torch.tensor([[3, 4, 5, 5], [6, 7, -100, -100], [8, -100, -100, -100]])
        elif kind == "frames":
            classes = torch.randint(0, 3, (3, frames), generator=draw)
            given["labels"] = torch.nn.functional.one_hot(classes, 3).float()
        elif kind == "hidden":
            hidden = torch.zeros(3, frames, dtype=torch.bool)
            hidden[:, 2:9] = True
            given["mask_time_indices"] = hidden
            others = torch.randint(2, 9, (3, frames, 5), generator=draw)
            given["sampled_negative_indices"] = others + torch.arange(3)[:, None, None] * frames
        return given

    return inputs


CASES: dict[str, Case] = {
    "wav2vec2": Case("Wav2Vec2Model", BASE, sounds()),
    "wav2vec2-stable": Case("Wav2Vec2Model", {**STABLE, "adapter_attn_dim": 7}, sounds(), apart=LAST),
    "wav2vec2-shorter": Case(
        "Wav2Vec2Model", {**BASE, "add_adapter": True, "output_hidden_size": 20, "num_adapter_layers": 2}, sounds()
    ),
    "wav2vec2-unmasked": Case("Wav2Vec2Model", {**BASE, "mask_time_prob": 0.0}, sounds()),
    "wav2vec2-letters": Case("Wav2Vec2ForCTC", BASE, sounds("letters")),
    "wav2vec2-letters-stable": Case(
        "Wav2Vec2ForCTC",
        {**STABLE, "ctc_loss_reduction": "mean", "ctc_zero_infinity": True},
        sounds("letters"),
        apart=LAST,
    ),
    "wav2vec2-class": Case("Wav2Vec2ForSequenceClassification", {**BASE, "num_labels": 3}, sounds("class")),
    "wav2vec2-class-mixed": Case(
        "Wav2Vec2ForSequenceClassification", {**BASE, "num_labels": 3, "use_weighted_layer_sum": True}, sounds("class")
    ),
    "wav2vec2-frames": Case("Wav2Vec2ForAudioFrameClassification", {**BASE, "num_labels": 3}, sounds("frames")),
    "wav2vec2-voices": Case("Wav2Vec2ForXVector", {**BASE, "num_labels": 10}, sounds("class")),
    "wav2vec2-pretraining": Case("Wav2Vec2ForPreTraining", BASE, sounds("hidden")),
    "hubert": Case("HubertModel", HUBERT, sounds()),
    "hubert-batch": Case(
        "HubertModel", {**HUBERT, "conv_pos_batch_norm": True, "feat_proj_layer_norm": False}, sounds()
    ),
    "hubert-letters": Case("HubertForCTC", {**HUBERT, "num_conv_pos_embeddings": 5}, sounds("letters")),
    "hubert-class": Case(
        "HubertForSequenceClassification", {**HUBERT, "num_labels": 3, "use_weighted_layer_sum": True}, sounds("class")
    ),
}
