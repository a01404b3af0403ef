"""Recordings that both sides turn into features, and how."""

from __future__ import annotations

from typing import Any

SHORT, MIDDLE, LONG = 3000, 7001, 12345


def recordings(*lengths: int) -> Any:
    """Return recordings of the given numbers of samples, tones under noise."""
    import numpy as np

    draw = np.random.default_rng(5)
    return [
        (0.5 * np.sin(np.arange(n) * 0.05 * (i + 1)) + 0.1 * draw.standard_normal(n) + 0.02).astype(np.float32)
        for i, n in enumerate(lengths)
    ]


# name → (class, settings, arguments of the call, lengths of the recordings)
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any], tuple[int, ...]]] = {
    "wav2vec2": ("Wav2Vec2FeatureExtractor", {}, {"padding": True}, (SHORT, MIDDLE)),
    "wav2vec2-one": ("Wav2Vec2FeatureExtractor", {}, {}, (SHORT,)),
    "wav2vec2-mask": (
        "Wav2Vec2FeatureExtractor",
        {"return_attention_mask": True, "padding_value": -1.0},
        {"padding": "longest", "pad_to_multiple_of": 64},
        (SHORT, MIDDLE, LONG),
    ),
    "wav2vec2-cut": (
        "Wav2Vec2FeatureExtractor",
        {"do_normalize": False, "padding_side": "left"},
        {"padding": "max_length", "max_length": 5000, "truncation": True, "return_attention_mask": True},
        (SHORT, MIDDLE),
    ),
    "whisper": ("WhisperFeatureExtractor", {}, {}, (LONG,)),
    "whisper-large": ("WhisperFeatureExtractor", {"feature_size": 128, "chunk_length": 2}, {}, (SHORT, LONG)),
    "whisper-mask": (
        "WhisperFeatureExtractor",
        {},
        {"padding": "longest", "truncation": False, "return_attention_mask": True},
        (MIDDLE, LONG),
    ),
    "whisper-standardized": (
        "WhisperFeatureExtractor",
        {"chunk_length": 1},
        {"do_normalize": True, "return_attention_mask": True},
        (SHORT, LONG),
    ),
    "encodec": ("EncodecFeatureExtractor", {}, {}, (SHORT, MIDDLE)),
    "encodec-cut": (
        "EncodecFeatureExtractor",
        {},
        {"truncation": True, "padding": False, "max_length": 2500},
        (SHORT,),
    ),
    "encodec-chunks": ("EncodecFeatureExtractor", {"chunk_length_s": 0.1, "overlap": 0.01}, {}, (SHORT, MIDDLE)),
    "clap-short": ("ClapFeatureExtractor", {"max_length_s": 1}, {}, (SHORT, MIDDLE)),
    "clap-long": (
        "ClapFeatureExtractor",
        {"max_length_s": 1, "sampling_rate": 8000, "frequency_max": 4000},
        {},
        (LONG,),
    ),
    "clap-cut": (
        "ClapFeatureExtractor",
        {"max_length_s": 1, "sampling_rate": 8000, "frequency_max": 4000, "truncation": "rand_trunc"},
        {},
        (LONG, SHORT),
    ),
    "clap-repeat": (
        "ClapFeatureExtractor",
        {"max_length_s": 1, "truncation": "rand_trunc"},
        {"padding": "repeat"},
        (SHORT,),
    ),
    "clap-pad": ("ClapFeatureExtractor", {"max_length_s": 1}, {"padding": "pad"}, (SHORT,)),
}

# name → arguments of audio_utils.spectrogram
SPECTRA: dict[str, dict[str, Any]] = {
    "amplitudes": {"frame_length": 400, "hop_length": 160},
    "powers": {"frame_length": 400, "hop_length": 160, "fft_length": 512, "power": 2.0, "pad_mode": "constant"},
    "kaldi": {
        "frame_length": 400,
        "hop_length": 160,
        "fft_length": 512,
        "power": 2.0,
        "center": False,
        "preemphasis": 0.97,
        "remove_dc_offset": True,
        "log_mel": "log",
    },
    "decibels": {"frame_length": 400, "hop_length": 100, "power": 1.0, "log_mel": "dB", "db_range": 60.0},
    "complex": {"frame_length": 400, "hop_length": 300, "power": None},
    "both-sides": {"frame_length": 256, "hop_length": 64, "onesided": False},
}
FILTERS: dict[str, dict[str, Any]] = {
    "htk": {"mel_scale": "htk"},
    "slaney": {"mel_scale": "slaney", "norm": "slaney"},
    "kaldi": {"mel_scale": "kaldi", "triangularize_in_mel_space": True, "min_frequency": 20},
}


def features(library: Any, name: str) -> dict[str, Any]:
    """Return what an extractor of ``library`` makes of a case's recordings, as arrays by name."""
    import numpy as np

    kind, settings, options, lengths = CASES[name]
    extractor = getattr(library, kind)(**settings)
    given = recordings(*lengths)
    np.random.seed(3)
    made = extractor(
        given if len(given) > 1 else given[0], sampling_rate=extractor.sampling_rate, return_tensors="np", **options
    )
    return {key: np.asarray(value) for key, value in made.items()}


def spectra(module: Any) -> dict[str, Any]:
    """Return every spectrogram and filter bank of ``module``, by name."""
    wave = recordings(MIDDLE)[0]
    found = {}
    for name, options in SPECTRA.items():
        size = options["frame_length"]
        found[name] = module.spectrogram(wave, module.window_function(size, "hann"), **options)
    for name, options in FILTERS.items():
        found[f"filters-{name}"] = module.mel_filter_bank(
            **{"num_frequency_bins": 257, "num_mel_filters": 40, "min_frequency": 0.0, "max_frequency": 8000.0}
            | {"sampling_rate": 16000}
            | options
        )
    for name in ("hann", "hamming", "povey", "boxcar"):
        found[f"window-{name}"] = module.window_function(25, name, periodic=name != "povey", frame_length=32)
    return found
