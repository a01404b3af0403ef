"""Calls of the audio pipelines that both sides make, on the same tiny models."""

from __future__ import annotations

from typing import Any

RATE = 16000
BASE = {
    "vocab_size": 32,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 37,
    "conv_dim": [16, 24, 24],
    "conv_stride": [8, 5, 4],
    "conv_kernel": [10, 5, 4],
    "num_conv_pos_embeddings": 6,
    "num_conv_pos_embedding_groups": 2,
    "classifier_proj_size": 15,
}
STABLE = {**BASE, "feat_extract_norm": "layer", "do_stable_layer_norm": True}
LETTERS = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLUMWCFGYPBVK'XJQZ"]

# folder → (class, configuration, settings of the feature extractor)
MODELS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "labels": ("Wav2Vec2ForSequenceClassification", {**BASE, "num_labels": 7}, {}),
    "mixed": (
        "HubertForSequenceClassification",
        {**BASE, "num_labels": 3, "use_weighted_layer_sum": True},
        {"return_attention_mask": True},
    ),
    "letters": ("Wav2Vec2ForCTC", BASE, {}),
    "letters-stable": ("Wav2Vec2ForCTC", STABLE, {"return_attention_mask": True}),
}

# name → (task, folder, arguments of the call)
RUNS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "labels": ("audio-classification", "labels", {}),
    "labels-two": ("audio-classification", "labels", {"top_k": 2}),
    "labels-all": ("audio-classification", "labels", {"top_k": None, "function_to_apply": "sigmoid"}),
    "labels-raw": ("audio-classification", "mixed", {"function_to_apply": "none"}),
    "letters": ("automatic-speech-recognition", "letters", {}),
    "letters-times": ("automatic-speech-recognition", "letters", {"return_timestamps": "char"}),
    "letters-words": ("automatic-speech-recognition", "letters-stable", {"return_timestamps": "word"}),
    "letters-pieces": (
        "automatic-speech-recognition",
        "letters-stable",
        {"chunk_length_s": 0.3, "return_timestamps": "char"},
    ),
    "letters-uneven": (
        "automatic-speech-recognition",
        "letters",
        {"chunk_length_s": 0.25, "stride_length_s": [0.05, 0.02]},
    ),
}


def sounds() -> list[Any]:
    """Return what people pass: arrays of several lengths, and dictionaries."""
    import numpy as np

    draw = np.random.default_rng(2)
    rows = [
        np.sin(np.arange(n) * 0.02 * (i + 1)) + 0.1 * draw.standard_normal(n) for i, n in enumerate((9000, 16000, 4100))
    ]
    rows = [row.astype("float32") for row in rows]
    return [
        rows[0],
        {"raw": rows[1].copy(), "sampling_rate": RATE},
        {"array": rows[2].copy(), "sampling_rate": RATE, "path": "somewhere.wav"},
        rows[1],
    ]


def answers(library: Any, root: Any) -> dict[str, Any]:
    """Return the answers of every call, one by one and as a list."""
    found = {}
    for name, (task, folder, options) in RUNS.items():
        pipe = library.pipeline(task, model=str(root / folder), device=-1)
        found[name] = [pipe(sound, **options) for sound in sounds()]
        found[f"{name}-list"] = pipe(sounds(), **options)
        found[f"{name}-same"] = pipe([sounds()[3], sounds()[3]], batch_size=2, **options)
    return found
