"""What the arguments of all alignment trainings share: their defaults, and the older names of their own."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from enfold.transformers.trainer.arguments import TrainingArguments
from enfold.transformers.trainer.spellings import Spelling, spelled

__all__ = ["AlignmentConfig", "settings"]

ALIASES: dict[str, Spelling] = {
    "max_seq_length": Spelling("max_length"),
    "max_seq_len": Spelling("max_length"),
    "max_new_tokens": Spelling("max_completion_length"),
    "response_length": Spelling("max_completion_length"),
    "num_sample_generations": Spelling("num_completions_to_print"),
    "reference_free_loss": Spelling("reference_free"),
    "model_adapter_name": Spelling("policy_adapter"),
    "ref_adapter_name": Spelling("reference_adapter"),
    "rloo_k": Spelling("num_generations"),
    "cliprange": Spelling("epsilon"),
    "kl_coef": Spelling("beta"),
    "non_eos_penalty": Spelling("missing_eos_penalty"),
    "use_num_logits_to_keep": Spelling("use_logits_to_keep"),
}
# Accepted without effect: they steer a vLLM server, or kernels and caches that there are none of here.
IGNORED: dict[str, Any] = {
    "use_vllm": False,
    "vllm_mode": "colocate",
    "vllm_model_impl": "vllm",
    "vllm_enable_sleep_mode": False,
    "vllm_structured_outputs_regex": None,
    "vllm_guided_decoding_regex": None,
    "vllm_server_base_url": None,
    "vllm_server_host": "0.0.0.0",
    "vllm_server_port": 8000,
    "vllm_server_timeout": 240.0,
    "vllm_group_port": 51216,
    "vllm_gpu_memory_utilization": 0.3,
    "vllm_max_model_length": None,
    "vllm_tensor_parallel_size": 1,
    "vllm_importance_sampling_correction": True,
    "vllm_importance_sampling_mode": "sequence_mask",
    "vllm_importance_sampling_cap": None,
    "vllm_importance_sampling_clip_max": 3.0,
    "vllm_importance_sampling_clip_min": None,
    "ds3_gather_for_generation": True,
    "use_transformers_paged": False,
    "use_transformers_continuous_batching": False,
    "transformers_continuous_batching_config": None,
    "cache_implementation": None,
    "cast_lm_head_to_fp32": False,
    "use_liger_loss": False,
    "activation_offloading": False,
    "dataset_batch_size": None,
    "num_of_sequences": None,
    "chars_per_token": None,
    "use_logits_to_keep": False,
    "label_pad_token_id": -100,
    "is_encoder_decoder": None,
    "force_use_ref_model": False,
    "model_init_dtype": None,
    "log_multimodal": True,
    "router_aux_loss_coef": None,
}
_JSON = ("model_init_kwargs", "ref_model_init_kwargs", "dataset_kwargs", "generation_kwargs", "chat_template_kwargs")


def settings(cls: type[Any]) -> type[Any]:
    """Make a dataclass of training arguments whose older names are accepted, as far as it has the newer ones."""
    made = dataclass(cls)
    fields = made.__dataclass_fields__
    aliases = {old: row for old, row in ALIASES.items() if row.field in fields and old not in fields}
    ignored = {name: value for name, value in IGNORED.items() if name not in fields}
    return spelled(made, aliases=aliases, ignored=ignored)  # type: ignore[no-any-return]


@functools.cache
def _computes_in_bf16() -> bool:
    """Whether bfloat16 is fast here: on a GPU that has it, or a processor with instructions for it."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    asked: list[Callable[[], bool]] = [
        getattr(torch.cpu, name, bool) for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    ]
    return any(ask() for ask in asked)


@settings
class AlignmentConfig(TrainingArguments):
    """Training arguments with alignment's defaults.

    Args:
        bf16: by default True where the machine computes in bfloat16 natively, and ``fp16`` is not set.
        gradient_checkpointing: off by default: activations are recomputed where memory asks for it.
        model_init_kwargs: for ``from_pretrained``, where the model is given by name; float32 unless it says ``dtype``.
        trust_remote_code: let a repository's own code run.
        dataset_num_proc: processes that prepare the data.
        disable_dropout: train without dropout.
        pad_to_multiple_of: width of batches is a multiple of this.
        pad_token, eos_token: tokens to use instead of the tokenizer's.
        logging_steps: 10.
    """

    logging_steps: float = 10
    bf16: bool | None = None  # type: ignore[assignment]
    model_init_kwargs: dict[str, Any] | str | None = None
    trust_remote_code: bool = False
    dataset_num_proc: int | None = None
    disable_dropout: bool = True
    max_length: int | None = 1024
    truncation_mode: str = "keep_start"
    pad_to_multiple_of: int | str | None = None
    pad_token: str | None = None
    eos_token: str | None = None
    chat_template_path: str | None = None

    def __post_init__(self) -> None:
        if self.bf16 is None:
            self.bf16 = not self.fp16 and _computes_in_bf16()
        for name in _JSON:
            value = getattr(self, name, None)
            if isinstance(value, str):
                setattr(self, name, json.loads(value))
        if isinstance(self.pad_to_multiple_of, str):
            named = self.pad_to_multiple_of.lower()
            self.pad_to_multiple_of = None if named in ("auto", "none", "null") else int(named)
        if self.truncation_mode not in ("keep_start", "keep_end"):
            raise ValueError(f"truncation_mode is 'keep_start' or 'keep_end', not {self.truncation_mode!r}")
        super().__post_init__()
