"""What both sides generate with, and the processors they are asked for."""

from __future__ import annotations

from typing import Any

MODELS = {"gpt2-causal": "GPT2LMHeadModel", "llama-causal": "LlamaForCausalLM", "llama-dynamic": "LlamaForCausalLM"}
# The families that are built on Llama, and Falcon: case → class. "phi3-long" outgrows its trained length on the way.
FAMILIES = {
    "mistral-causal": "MistralForCausalLM",
    "mistral-yarn": "MistralForCausalLM",
    "mixtral-causal": "MixtralForCausalLM",
    "qwen2-causal": "Qwen2ForCausalLM",
    "qwen3-causal": "Qwen3ForCausalLM",
    "gemma2-causal": "Gemma2ForCausalLM",
    "gemma3-causal": "Gemma3ForCausalLM",
    "phi3-partial": "Phi3ForCausalLM",
    "phi3-long": "Phi3ForCausalLM",
    "smollm3-causal": "SmolLM3ForCausalLM",
    "falcon-causal": "FalconForCausalLM",
    "falcon-old": "FalconForCausalLM",
}
# Runs of theirs; the options of ``RUNS`` under the same names, and what depends on their caches.
FAMILY_RUNS: dict[str, dict[str, Any]] = {
    "greedy-long": {"max_new_tokens": 16, "eos_token_id": None},
    "greedy-padded": {"max_new_tokens": 12, "padded": True},
    "no-cache": {"max_new_tokens": 8, "use_cache": False},
    "static": {"max_new_tokens": 8, "cache_implementation": "static", "disable_compile": True, "padded": True},
    "chunks": {"max_new_tokens": 8, "prefill_chunk_size": 4},
    "sample": {"max_new_tokens": 12, "do_sample": True, "temperature": 0.8, "top_p": 0.9, "padded": True},
    "beams": {"max_new_tokens": 10, "num_beams": 3, "num_return_sequences": 2, "eos_token_id": list(range(3, 30))},
    "beams-padded": {"max_new_tokens": 10, "num_beams": 4, "padded": True, "eos_token_id": None},
}
# What transformers cannot do itself: its alibi looks at masks of two dimensions only.
UNKNOWN = {("falcon-old", "static")}
END = 5  # an end token that these models do produce

# name → arguments of generate; "padded" pads the prompt on the left
RUNS: dict[str, dict[str, Any]] = {
    "greedy": {"max_new_tokens": 12},
    "greedy-long": {"max_new_tokens": 30, "eos_token_id": None},
    "greedy-padded": {"max_new_tokens": 12, "padded": True},
    "greedy-no-cache": {"max_new_tokens": 8, "use_cache": False},
    "greedy-scores": {
        "max_new_tokens": 6,
        "return_dict_in_generate": True,
        "output_scores": True,
        "output_logits": True,
    },
    "recorded": {
        "max_new_tokens": 4,
        "return_dict_in_generate": True,
        "output_attentions": True,
        "output_hidden_states": True,
        "padded": True,
    },
    "beams-recorded": {
        "max_new_tokens": 4,
        "num_beams": 3,
        "return_dict_in_generate": True,
        "output_scores": True,
        "output_logits": True,
        "output_attentions": True,
        "output_hidden_states": True,
        "eos_token_id": list(range(3, 30)),
    },
    "sample-scores": {
        "max_new_tokens": 6,
        "do_sample": True,
        "top_k": 12,
        "return_dict_in_generate": True,
        "output_scores": True,
        "output_logits": True,
    },
    "embedded": {"max_new_tokens": 8, "embedded": True},
    "embedded-padded": {"max_new_tokens": 8, "embedded": True, "padded": True},
    "embedded-beams": {"max_new_tokens": 8, "embedded": True, "num_beams": 3, "eos_token_id": None},
    "embedded-sample": {"max_new_tokens": 8, "embedded": True, "do_sample": True, "padded": True},
    "default-length": {},
    "max-length": {"max_length": 15},
    "ends": {"max_new_tokens": 12, "eos_token_id": [END, 7, 11, 30, 31, 32, 33, 34, 35, 36, 37, 38]},
    "min-new": {"max_new_tokens": 8, "min_new_tokens": 5, "eos_token_id": list(range(3, 60))},
    "min-length": {"max_new_tokens": 8, "min_length": 10, "eos_token_id": list(range(3, 60))},
    "repetition": {"max_new_tokens": 12, "repetition_penalty": 1.7},
    "repetition-padded": {"max_new_tokens": 12, "repetition_penalty": 1.7, "padded": True},
    "ngrams": {"max_new_tokens": 14, "no_repeat_ngram_size": 2},
    "bad-words": {"max_new_tokens": 12, "bad_words_ids": [[3], [4, 9], [98]]},
    "bias": {"max_new_tokens": 8, "sequence_bias": [[[7], 9.0], [[7, 8], 30.0]]},
    "forced-end": {"max_new_tokens": 6, "forced_eos_token_id": END},
    "suppress": {"max_new_tokens": 6, "suppress_tokens": [1, 2, 60], "begin_suppress_tokens": [70]},
    "decay": {"max_new_tokens": 10, "exponential_decay_length_penalty": (2, 1.5), "eos_token_id": END},
    "sample": {"max_new_tokens": 12, "do_sample": True},
    "sample-plain": {"max_new_tokens": 12, "do_sample": True, "top_k": 0},
    "sample-program": {"max_new_tokens": 12, "do_sample": True, "temperature": 0.8, "top_p": 0.9},
    "sample-all": {
        "max_new_tokens": 12,
        "do_sample": True,
        "temperature": 1.5,
        "top_k": 20,
        "top_p": 0.95,
        "min_p": 0.01,
        "typical_p": 0.95,
        "repetition_penalty": 1.2,
        "no_repeat_ngram_size": 3,
    },
    "sample-cutoffs": {"max_new_tokens": 8, "do_sample": True, "epsilon_cutoff": 3e-3, "eta_cutoff": 2e-3},
    "sample-many": {"max_new_tokens": 8, "do_sample": True, "num_return_sequences": 3, "padded": True},
    "sample-normal": {
        "max_new_tokens": 8,
        "do_sample": True,
        "renormalize_logits": True,
        "remove_invalid_values": True,
    },
    "sample-top-h": {"max_new_tokens": 12, "do_sample": True, "top_h": 0.5, "top_k": 0},
    "guided": {"max_new_tokens": 10, "guidance_scale": 1.7},
    "guided-no-cache": {"max_new_tokens": 6, "guidance_scale": 1.7, "use_cache": False},
    "guided-from": {"max_new_tokens": 10, "guidance_scale": 2.5, "negative_prompt_ids": [[4, 9, 2], [3, 8, 11]]},
    "guided-sample": {"max_new_tokens": 8, "guidance_scale": 1.5, "do_sample": True, "padded": True},
    "marked": {
        "max_new_tokens": 12,
        "do_sample": True,
        "watermarking_config": {"synthid": {"ngram_len": 3, "keys": [654, 400, 836], "context_history_size": 4}},
        "padded": True,
    },
    "looked-up": {"max_new_tokens": 12, "prompt_lookup_num_tokens": 3, "first": True, "eos_token_id": None},
    "beams": {"max_new_tokens": 10, "num_beams": 4},
    "beams-ends": {"max_new_tokens": 12, "num_beams": 3, "eos_token_id": list(range(3, 30))},
    "beams-short": {"max_new_tokens": 12, "num_beams": 3, "length_penalty": -1.0, "eos_token_id": list(range(3, 30))},
    "beams-early": {"max_new_tokens": 12, "num_beams": 3, "early_stopping": True, "eos_token_id": list(range(3, 30))},
    "beams-never": {
        "max_new_tokens": 12,
        "num_beams": 3,
        "early_stopping": "never",
        "length_penalty": 2.0,
        "eos_token_id": list(range(3, 30)),
    },
    "beams-padded": {"max_new_tokens": 10, "num_beams": 3, "num_return_sequences": 2, "padded": True},
    "beams-scores": {
        "max_new_tokens": 6,
        "num_beams": 2,
        "num_return_sequences": 2,
        "return_dict_in_generate": True,
        "output_scores": True,
        "eos_token_id": list(range(3, 30)),
    },
    "beams-sample": {"max_new_tokens": 8, "num_beams": 3, "do_sample": True, "top_k": 30},
    "beams-program": {
        "max_new_tokens": 12,
        "min_new_tokens": 3,
        "do_sample": True,
        "temperature": 0.7,
        "top_k": 50,
        "top_p": 0.9,
        "repetition_penalty": 1.1,
        "no_repeat_ngram_size": 3,
        "num_beams": 5,
        "num_return_sequences": 3,
        "eos_token_id": END,
        "pad_token_id": END,
    },
}

# class → arguments
PROCESSORS: dict[str, dict[str, Any]] = {
    "MinLengthLogitsProcessor": {"min_length": 10, "eos_token_id": [3, 4]},
    "MinNewTokensLengthLogitsProcessor": {"prompt_length_to_skip": 4, "min_new_tokens": 5, "eos_token_id": 3},
    "TemperatureLogitsWarper": {"temperature": 0.7},
    "RepetitionPenaltyLogitsProcessor": {"penalty": 1.3},
    "TopPLogitsWarper": {"top_p": 0.8},
    "TopKLogitsWarper": {"top_k": 7},
    "TopHLogitsWarper": {"top_h": 0.6},
    "WatermarkLogitsProcessor": {"vocab_size": 30, "device": "cpu", "bias": 3.0},
    "SynthIDTextWatermarkLogitsProcessor": {
        "ngram_len": 3,
        "keys": [654, 400, 836],
        "sampling_table_size": 64,
        "sampling_table_seed": 3,
        "context_history_size": 2,
        "device": "cpu",
    },
    "MinPLogitsWarper": {"min_p": 0.05},
    "TypicalLogitsWarper": {"mass": 0.8},
    "EpsilonLogitsWarper": {"epsilon": 0.01},
    "EtaLogitsWarper": {"epsilon": 0.02},
    "NoRepeatNGramLogitsProcessor": {"ngram_size": 2},
    "SequenceBiasLogitsProcessor": {"sequence_bias": {(3,): 1.5, (1, 2): -4.0, (2, 1): float("-inf")}},
    "NoBadWordsLogitsProcessor": {"bad_words_ids": [[3], [2, 1], [9]], "eos_token_id": 9},
    "ForcedBOSTokenLogitsProcessor": {"bos_token_id": 3},
    "ForcedEOSTokenLogitsProcessor": {"max_length": 9, "eos_token_id": [3, 5]},
    "InfNanRemoveLogitsProcessor": {},
    "ExponentialDecayLengthPenalty": {
        "exponential_decay_length_penalty": (2, 1.2),
        "eos_token_id": 3,
        "input_ids_seq_length": 4,
    },
    "LogitNormalization": {},
    "SuppressTokensLogitsProcessor": {"suppress_tokens": [3, 8]},
    "SuppressTokensAtBeginLogitsProcessor": {"begin_suppress_tokens": [3, 8], "begin_index": 8},
}


def processed(library: Any, name: str, options: dict[str, Any]) -> Any:
    """Return random scores after a processor, for one and for eight ids."""
    import torch

    draw = torch.Generator().manual_seed(3)
    scores = 3 * torch.randn(4, 30, generator=draw)
    ids = torch.randint(0, 4, (4, 8), generator=draw)
    kind = getattr(library, name)
    long = kind(**options)(ids, scores.clone())
    if name == "InfNanRemoveLogitsProcessor":
        scores[0, 0], scores[1, 1], scores[2, 2] = float("nan"), float("inf"), float("-inf")
    short = kind(**options)(ids[:, :1], scores.clone())
    return torch.stack((long, short)).numpy()


def generated(model: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Return what ``generate`` returns, as arrays by name."""
    import torch

    options = dict(options)
    ids = torch.randint(1, 90, (2, 6), generator=torch.Generator().manual_seed(5))
    mask = torch.ones_like(ids)
    if options.pop("padded", False):
        mask[1, :3] = 0
        ids = ids * mask
    if options.pop("first", False):
        ids, mask = ids[:1], mask[:1]
    if "negative_prompt_ids" in options:
        options["negative_prompt_ids"] = torch.tensor(options["negative_prompt_ids"])
    # The peer fills beams with the end token where the padding token is 0, so it is another one here.
    options = {"eos_token_id": 98, "pad_token_id": 2, **options}
    if "watermarking_config" in options:
        import importlib

        library = importlib.import_module(type(model).__module__.split(".models.")[0])
        kind = library.generation.SynthIDTextWatermarkingConfig
        options["watermarking_config"] = kind(**options["watermarking_config"]["synthid"])
    prompt = {"inputs": ids}
    if options.pop("embedded", False):
        prompt = {"inputs_embeds": model.get_input_embeddings()(ids)}
    if options.get("output_attentions"):
        model.set_attn_implementation("eager")
    torch.manual_seed(123)
    with torch.no_grad():
        output = model.generate(**prompt, attention_mask=mask, **options)
    if options.get("output_attentions"):
        model.set_attn_implementation("sdpa")
    if isinstance(output, torch.Tensor):
        return {"sequences": output.numpy()}
    found = {"sequences": output.sequences.numpy()}
    for name in ("attentions", "hidden_states"):
        for index, step in enumerate(output.get(name) or ()):
            found |= {f"{name}/{index}/{layer}": part.numpy() for layer, part in enumerate(step)}
    for name in ("scores", "logits"):
        if output.get(name) is not None:
            found[name] = torch.stack(output[name]).numpy()
    if output.get("beam_indices") is not None:
        found["beam_indices"] = output.beam_indices.numpy()
        found["sequences_scores"] = output.sequences_scores.numpy()
        found["transitions"] = model.compute_transition_scores(
            output.sequences, output.scores, output.beam_indices
        ).numpy()
    elif output.get("scores") is not None:
        found["transitions"] = model.compute_transition_scores(
            output.sequences, output.scores, normalize_logits=True
        ).numpy()
    return found
