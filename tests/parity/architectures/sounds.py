"""Tiny models of sound: EnCodec and MusicGen, which turn it into codes and back, and CLAP, which holds texts to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from parity.architectures.harness import Case

ENCODEC: dict[str, Any] = {
    "sampling_rate": 2400,
    "hidden_size": 16,
    "num_filters": 4,
    "upsampling_ratios": [4, 3],
    "codebook_size": 16,
    "target_bandwidths": [0.8, 2.4, 4.0],
    "num_lstm_layers": 1,
}
CHUNKS = {**ENCODEC, "audio_channels": 2, "normalize": True, "chunk_length_s": 0.1, "overlap": 0.1}
CHUNKS |= {"norm_type": "time_group_norm", "use_causal_conv": False}

T5 = {"vocab_size": 99, "d_model": 24, "d_kv": 8, "d_ff": 37, "num_layers": 2, "num_heads": 3, "model_type": "t5"}
CODES: dict[str, Any] = {
    "vocab_size": 16,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "ffn_dim": 37,
    "num_codebooks": 4,
    "pad_token_id": 16,
    "bos_token_id": 16,
    "decoder_start_token_id": 16,
}


WORDS: dict[str, Any] = {
    "vocab_size": 99,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 37,
    "max_position_embeddings": 40,
}
HEARD: dict[str, Any] = {
    "window_size": 4,
    "num_mel_bins": 16,
    "spec_size": 32,
    "patch_size": 2,
    "patch_stride": 2,
    "depths": [2, 2],
    "num_attention_heads": [2, 4],
    "patch_embeds_hidden_size": 16,
    "hidden_size": 32,
}
FUSED = {**HEARD, "enable_fusion": True, "patch_size": 4, "spec_size": 64, "fusion_type": "aff_2d"}
NARROW = {**HEARD, "window_size": 3, "enable_patch_layer_norm": False, "qkv_bias": False}


def clap(audio: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration of texts and sounds."""
    return {"text_config": {**WORDS, "projection_dim": 20}, "audio_config": audio, "projection_dim": 20}


def musicgen(**decoder: Any) -> Callable[[Any], Any]:
    """Return what makes the configuration of a library."""

    def made(library: Any) -> Any:
        parts = {"text_encoder": library.T5Config(**{k: v for k, v in T5.items() if k != "model_type"})}
        parts["audio_encoder"] = library.EncodecConfig(**{**ENCODEC, "target_bandwidths": [3.2]})
        return library.MusicgenConfig(**parts, decoder=library.MusicgenDecoderConfig(**{**CODES, **decoder}))

    return made


def songs(labels: bool = False) -> Callable[[str], dict[str, Any]]:
    """Return a function from where padding is to two texts with four streams of codes each."""

    def inputs(padding: str) -> dict[str, Any]:
        import torch

        draw = torch.Generator().manual_seed(7)
        ids, mask = torch.randint(1, 90, (2, 7), generator=draw), torch.ones(2, 7, dtype=torch.long)
        if padding == "right":
            mask[1, 4:], ids[1, 4:] = 0, 0
        given: dict[str, Any] = {"input_ids": ids, "attention_mask": mask}
        codes = torch.randint(0, 16, (2, 9, 4), generator=draw)
        if labels:
            codes[1, 6:] = -100
            return given | {"labels": codes}
        return given | {"decoder_input_ids": codes.transpose(1, 2).reshape(8, 9)}

    return inputs


def streams(labels: bool = False) -> Callable[[str], dict[str, Any]]:
    """Return the codes alone."""

    def inputs(padding: str) -> dict[str, Any]:
        given = songs(labels)("")
        return {"labels": given["labels"]} if labels else {"input_ids": given["decoder_input_ids"]}

    return inputs


def recordings(channels: int = 1, samples: int = 601, **extra: Any) -> Callable[[str], dict[str, Any]]:
    """Return a function from where padding is to two recordings."""

    def inputs(padding: str) -> dict[str, Any]:
        import torch

        sound = torch.randn(2, channels, samples, generator=torch.Generator().manual_seed(7))
        given: dict[str, Any] = {"input_values": sound}
        if padding == "right":
            mask = torch.ones(2, samples, dtype=torch.long)
            mask[1, 400:] = 0
            given["padding_mask"] = mask
        return given | extra

    return inputs


def heard(texts: bool = True, sounds: bool = True, channels: int = 1, **extra: Any) -> Callable[[str], dict[str, Any]]:
    """Return a function from where padding is to three texts and three spectrograms."""

    def inputs(padding: str) -> dict[str, Any]:
        import torch

        draw = torch.Generator().manual_seed(7)
        given: dict[str, Any] = {}
        if texts:
            ids, mask = torch.randint(3, 99, (3, 9), generator=draw), torch.ones(3, 9, dtype=torch.long)
            if padding == "right":
                mask[1, 6:], ids[1, 6:] = 0, 1
            given |= {"input_ids": ids, "attention_mask": mask}
        if sounds:
            given["input_features"] = torch.randn(3, channels, 61, 16, generator=draw)
            if channels > 1:
                given["is_longer"] = torch.tensor([[True], [False], [True]])
        return given | extra

    return inputs


CASES: dict[str, Case] = {
    "clap": Case("ClapModel", clap(HEARD), heard(return_loss=True)),
    "clap-fused": Case("ClapModel", clap(FUSED), heard(channels=4), ("",)),
    "clap-text": Case("ClapTextModelWithProjection", WORDS, heard(sounds=False)),
    "clap-audio": Case("ClapAudioModelWithProjection", HEARD, heard(False), ("",)),
    "clap-audio-narrow": Case("ClapAudioModel", NARROW, heard(False), ("",)),
    "encodec": Case("EncodecModel", ENCODEC, recordings(), explicit=False),
    "encodec-wide": Case("EncodecModel", ENCODEC, recordings(bandwidth=2.4), explicit=False),
    "encodec-constant": Case(
        "EncodecModel",
        {
            **ENCODEC,
            "pad_mode": "constant",
            "use_conv_shortcut": False,
            "num_residual_layers": 2,
            "trim_right_ratio": 0.5,
        },
        recordings(samples=5),
        ("",),
        explicit=False,
    ),
    "encodec-chunks": Case("EncodecModel", CHUNKS, recordings(2), explicit=False),
    "musicgen": Case("MusicgenForConditionalGeneration", musicgen(), songs()),
    "musicgen-learns": Case("MusicgenForConditionalGeneration", musicgen(), songs(True)),
    "musicgen-equally-wide": Case(
        "MusicgenForConditionalGeneration", musicgen(hidden_size=24, num_attention_heads=3), songs()
    ),
    "musicgen-codes": Case("MusicgenForCausalLM", CODES, streams(True), ("",)),
    "musicgen-states": Case("MusicgenModel", CODES, streams(), ("",)),
}

# name → arguments of generate; "sound" is gone on from
PIECES: dict[str, dict[str, Any]] = {
    "greedy": {"max_new_tokens": 10},
    "guided": {"max_new_tokens": 10, "guidance_scale": 3.0},
    "sampled": {"max_new_tokens": 12, "do_sample": True, "guidance_scale": 2.0, "top_k": 7},
    "continued": {"max_new_tokens": 8, "sound": True},
}


def music(library: Any, folder: str, options: dict[str, Any]) -> Any:
    """Return what the model in a folder makes of two texts."""
    import torch

    model = library.MusicgenForConditionalGeneration.from_pretrained(folder).eval()
    given, options = songs()("right"), dict(options)
    inputs = {name: given[name] for name in ("input_ids", "attention_mask")}
    if options.pop("sound", False):
        inputs["input_values"] = recordings(samples=60)("")["input_values"]
    torch.manual_seed(3)
    choices = {"do_sample": False, "guidance_scale": 1.0, "pad_token_id": 16, "decoder_start_token_id": 16}
    with torch.no_grad():
        return model.generate(**inputs, **{**choices, **options}).numpy()
