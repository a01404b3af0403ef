"""What both sides write for texts that they read."""

from __future__ import annotations

from typing import Any

MODELS = {
    "t5-gated": "T5ForConditionalGeneration",
    "bart-shifts": "BartForConditionalGeneration",
    "m2m-writes": "M2M100ForConditionalGeneration",
    "marian-writes": "MarianMTModel",
}
ENDS = list(range(3, 30))

# name → arguments of generate; "padded" pads what is read, "begun" gives the decoder tokens to begin with
RUNS: dict[str, dict[str, Any]] = {
    "greedy": {"max_new_tokens": 12},
    "default-length": {},
    "greedy-padded": {"max_new_tokens": 12, "padded": True},
    "greedy-no-cache": {"max_new_tokens": 8, "use_cache": False, "padded": True},
    "greedy-begun": {"max_new_tokens": 8, "begun": True},
    "greedy-begun-padded": {"max_new_tokens": 8, "begun": True, "begun_padded": True, "padded": True},
    "greedy-starts": {"max_new_tokens": 8, "decoder_start_token_id": [7, 9, 11]},
    "language": {"max_new_tokens": 8, "forced_bos_token_id": 33},
    "forced-end": {"max_new_tokens": 6, "forced_eos_token_id": 5},
    "repetition": {"max_new_tokens": 12, "repetition_penalty": 1.7},
    "source-repetition": {"max_new_tokens": 12, "encoder_repetition_penalty": 1.8},
    "source-ngrams": {"max_new_tokens": 12, "encoder_no_repeat_ngram_size": 1, "padded": True},
    "ngrams": {"max_new_tokens": 14, "no_repeat_ngram_size": 2},
    "scores": {"max_new_tokens": 6, "return_dict_in_generate": True, "output_scores": True, "output_logits": True},
    "recorded": {
        "max_new_tokens": 4,
        "return_dict_in_generate": True,
        "output_attentions": True,
        "output_hidden_states": True,
        "padded": True,
    },
    "beams-recorded": {
        "max_new_tokens": 4,
        "num_beams": 2,
        "return_dict_in_generate": True,
        "output_scores": True,
        "output_logits": True,
        "output_attentions": True,
        "output_hidden_states": True,
        "eos_token_id": ENDS,
    },
    "sample": {"max_new_tokens": 12, "do_sample": True},
    "sample-many": {"max_new_tokens": 8, "do_sample": True, "num_return_sequences": 3, "padded": True, "top_p": 0.9},
    "beams": {"max_new_tokens": 10, "num_beams": 4, "padded": True},
    "beams-ends": {"max_new_tokens": 12, "num_beams": 3, "eos_token_id": ENDS, "length_penalty": 2.0},
    "beams-early": {"max_new_tokens": 12, "num_beams": 3, "early_stopping": True, "eos_token_id": ENDS},
    "beams-never": {"max_new_tokens": 12, "num_beams": 3, "early_stopping": "never", "eos_token_id": ENDS},
    "beams-scores": {
        "max_new_tokens": 6,
        "num_beams": 3,
        "num_return_sequences": 2,
        "return_dict_in_generate": True,
        "output_scores": True,
        "eos_token_id": ENDS,
    },
    "beams-program": {
        "max_length": 16,
        "min_length": 5,
        "num_beams": 4,
        "length_penalty": 2.0,
        "early_stopping": True,
        "no_repeat_ngram_size": 3,
        "forced_bos_token_id": 0,
        "eos_token_id": ENDS,
        "padded": True,
    },
    "beams-sample": {"max_new_tokens": 8, "num_beams": 3, "do_sample": True, "top_k": 30, "padded": True},
    "beams-source": {
        "max_new_tokens": 8,
        "num_beams": 2,
        "encoder_no_repeat_ngram_size": 1,
        "encoder_repetition_penalty": 0.7,
    },
}


def generated(model: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Return what ``generate`` returns, as arrays by name."""
    import torch

    options = dict(options)
    draw = torch.Generator().manual_seed(5)
    ids = torch.randint(1, 90, (3, 8), generator=draw)
    mask = torch.ones_like(ids)
    if options.pop("padded", False):
        mask[0, 5:] = mask[2, 3:] = 0
        ids = ids * mask
    if options.pop("begun", False):
        options["decoder_input_ids"] = torch.randint(1, 90, (3, 3), generator=draw)
    if options.pop("begun_padded", False):
        options["decoder_attention_mask"] = torch.tensor([[0, 1, 1], [1, 1, 1], [0, 0, 1]])
    if isinstance(options.get("decoder_start_token_id"), list):
        options["decoder_start_token_id"] = torch.tensor(options["decoder_start_token_id"])
    # The peer fills beams with the end token where the padding token is 0, so it is another one here.
    options = {"eos_token_id": 98, "pad_token_id": 2, "forced_eos_token_id": None, **options}
    model.set_attn_implementation("eager" if options.get("output_attentions") else "sdpa")
    torch.manual_seed(123)
    with torch.no_grad():
        output = model.generate(ids, attention_mask=mask, **options)
    if isinstance(output, torch.Tensor):
        return {"sequences": output.numpy()}
    found = {}
    for name, value in output.items():
        if isinstance(value, torch.Tensor):
            found[name] = value.numpy()
        elif name != "past_key_values":
            parts = [part for step in value for part in (step if isinstance(step, tuple) else (step,))]
            found |= {f"{name}/{index}": part.numpy() for index, part in enumerate(parts)}
    return found
