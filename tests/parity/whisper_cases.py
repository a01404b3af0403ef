"""What both sides write about the same sound with a tiny Whisper."""

from __future__ import annotations

from typing import Any

CONFIG: dict[str, Any] = {
    "vocab_size": 90,
    "num_mel_bins": 7,
    "d_model": 36,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_ffn_dim": 37,
    "decoder_ffn_dim": 41,
    "encoder_attention_heads": 3,
    "decoder_attention_heads": 4,
    "max_source_positions": 15,
    "max_target_positions": 40,
    "pad_token_id": 60,
    "bos_token_id": 60,
    "eos_token_id": 60,
    "decoder_start_token_id": 61,
    "begin_suppress_tokens": None,
    "median_filter_width": 3,
}
SETTINGS: dict[str, Any] = {
    "is_multilingual": True,
    "lang_to_id": {"<|en|>": 62, "<|de|>": 63},
    "task_to_id": {"translate": 64, "transcribe": 65},
    "prev_sot_token_id": 67,
    "no_timestamps_token_id": 69,
    "alignment_heads": [[0, 1], [1, 0], [1, 3]],
    "max_initial_timestamp_index": 8,
    "suppress_tokens": [1, 2, 61, 62, 63, 64, 65, 66, 67, 68],
    "begin_suppress_tokens": [3, 60],
    "pad_token_id": 60,
    "bos_token_id": 60,
    "eos_token_id": 60,
    "decoder_start_token_id": 61,
    "max_length": 12,
}

# name → arguments of generate; "long" gives several windows, "settings" changes the generation configuration
RUNS: dict[str, dict[str, Any]] = {
    "plain": {},
    "english": {"language": "en", "task": "transcribe"},
    "languages": {"language": ["german", "<|en|>", "de"], "task": "translate"},
    "new": {"max_new_tokens": 5},
    "stamps": {"return_timestamps": True},
    "stamps-beams": {"return_timestamps": True, "num_beams": 3},
    "beams": {"num_beams": 3, "language": "en"},
    "segments": {"return_timestamps": True, "return_segments": True, "language": "de"},
    "prompt": {"prompt_ids": [67, 5, 9, 11], "language": "en"},
    "forced": {"settings": {"forced_decoder_ids": [[1, 63], [2, 64]]}},
    "forced-open": {"settings": {"forced_decoder_ids": [[1, None], [2, 65]]}},
    "old": {"settings": {"lang_to_id": None, "task_to_id": None, "forced_decoder_ids": [[1, 62], [2, 65], [3, 69]]}},
    "english-only": {
        "settings": {"is_multilingual": False, "lang_to_id": None, "task_to_id": None, "suppress_tokens": None}
    },
    "words": {"return_token_timestamps": True, "language": "en"},
    "words-stamps": {"return_token_timestamps": True, "return_timestamps": True, "language": "en"},
    "words-ends": {"return_token_timestamps": True, "language": "en", "ends": [30, 14, 22]},
    "words-beams": {"return_token_timestamps": True, "language": "en", "num_beams": 2},
    "output": {"return_dict_in_generate": True, "output_scores": True, "language": "en"},
    "long": {"long": True},
    "long-segments": {"long": True, "return_segments": True, "language": "en"},
    "long-led": {"long": True, "condition_on_prev_tokens": True, "language": "en", "return_segments": True},
    "long-prompt": {"long": True, "prompt_ids": [67, 5, 9, 11], "language": "en", "condition_on_prev_tokens": True},
    "long-prompts": {
        "long": True,
        "prompt_ids": [67, 5, 9, 11],
        "language": "en",
        "condition_on_prev_tokens": True,
        "prompt_condition_type": "all-segments",
    },
    "long-beams": {"long": True, "num_beams": 2, "language": "en"},
    "long-words": {"long": True, "return_token_timestamps": True, "return_segments": True, "language": "en"},
    "long-thresholds": {
        "long": True,
        "language": "en",
        "temperature": [0.0],
        "logprob_threshold": -1.0,
        "compression_ratio_threshold": 1.35,
        "no_speech_threshold": 0.01,
        "return_segments": True,
    },
    "fallback": {"language": "en", "temperature": [0.0, 0.4, 0.8], "logprob_threshold": -3.0, "long": True},
    "many": {"num_return_sequences": 2, "do_sample": True, "temperature": 0.7, "language": "en"},
}


def written(library: Any, folder: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Return what ``generate`` returns, as arrays by name."""
    import copy

    import torch

    options = copy.deepcopy(options)
    model = library.WhisperForConditionalGeneration.from_pretrained(folder)
    for name, value in options.pop("settings", {}).items():
        if value is None and name in ("lang_to_id", "task_to_id"):
            delattr(model.generation_config, name)
        else:
            setattr(model.generation_config, name, value)
    draw = torch.Generator().manual_seed(21)
    length = 75 if options.pop("long", False) else 30
    sound = torch.randn(3, 7, length, generator=draw)
    ends = options.pop("ends", None) or ([75, 47, 62] if length == 75 else None)
    if ends is not None:
        options["attention_mask"] = (torch.arange(length) < torch.tensor(ends)[:, None]).long()
    if "prompt_ids" in options:
        options["prompt_ids"] = torch.tensor(options["prompt_ids"])
    if "temperature" in options and isinstance(options["temperature"], list):
        options["temperature"] = tuple(options["temperature"])
    torch.manual_seed(123)
    output = model.generate(sound, **options)
    if isinstance(output, torch.Tensor):
        return {"sequences": output.numpy()}
    found = {name: value.numpy() for name, value in output.items() if isinstance(value, torch.Tensor)}
    for row, segments in enumerate(output.get("segments") or ()):
        found[f"segments/{row}"] = torch.tensor([len(segments)]).numpy()
        for index, segment in enumerate(segments):
            for name in ("start", "end", "tokens", "token_timestamps"):
                if name in segment:
                    found[f"segments/{row}/{index}/{name}"] = torch.as_tensor(segment[name]).double().numpy()
    return found
