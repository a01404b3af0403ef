"""Adaption prompts: learnt tokens that the upper layers' attention may look at, through a gate that begins shut.

Source: Zhang et al., 2023, "LLaMA-Adapter: Efficient Fine-tuning of Language Models with Zero-init Attention",
https://arxiv.org/abs/2303.16199
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from enfold.nn.attention import merge_heads, split_heads
from enfold.peft.config import PeftConfig, UnsupportedPeftFeature, spelled
from enfold.peft.layer import AdapterLayer

__all__ = ["AdaptedAttention", "AdaptionPromptConfig"]


@spelled({})
@dataclass
class AdaptionPromptConfig(PeftConfig):
    """How prompts are put into the attention of a model's upper layers (Llama, Mistral and GPT-2).

    Args:
        target_modules: name of the attention modules; ``"self_attn"`` or ``"attn"``, as the model has it.
        adapter_len: number of tokens.
        adapter_layers: number of layers, from the top.
    """

    kind: ClassVar[str | None] = "ADAPTION_PROMPT"
    # what other kinds may ask for besides, and this one does not
    modules_to_save: ClassVar[None] = None
    exclude_modules: ClassVar[None] = None

    target_modules: str | None = None
    adapter_len: int | None = None
    adapter_layers: int | None = None

    @property
    def is_adaption_prompt(self) -> bool:
        return True

    def check_supported(self) -> None:
        """Raise where a number is missing."""
        for name in ("adapter_len", "adapter_layers"):
            if not getattr(self, name):
                raise ValueError(f"AdaptionPromptConfig needs {name}")


class AdaptedAttention(AdapterLayer):
    """An attention module whose queries also look at learnt tokens."""

    kind: ClassVar[str] = "ADAPTION_PROMPT"
    holders = ("adaption_prompt", "adaption_gate")
    additive = False

    def check(self, plain: nn.Module) -> None:
        if not (hasattr(plain, "place") and hasattr(plain, "o_proj")) and not hasattr(plain, "c_attn"):
            raise UnsupportedPeftFeature(
                f"prompts go into Llama's and GPT-2's attention, not into a {type(plain).__name__}"
            )

    def make(self, name: str, config: Any, key: str) -> None:
        plain: Any = self.get_base_layer()
        first: Any = plain.q_proj if hasattr(plain, "q_proj") else plain.c_attn
        first = first.get_base_layer() if isinstance(first, AdapterLayer) else first
        width = first.in_features if hasattr(first, "in_features") else first.weight.shape[0]
        self.hold(
            name, adaption_prompt=torch.empty(1, config.adapter_len, width).normal_(), adaption_gate=torch.zeros(1)
        )
        self.settings[name] = config

    def _through(self, names: Sequence[str], x: Tensor, *args: Any, **kwargs: Any) -> Any:
        plain: Any = self.get_base_layer()
        output, shares = self.base_layer(x, *args, **kwargs)
        for name in names:
            prompt = self.adaption_prompt[name].to(x.dtype)  # (1, L, D)
            if hasattr(plain, "place"):
                q, k, _ = plain.project(x)
                q, _ = plain.place(q, k, args[0] if args else kwargs["angles"])
                keys, values = (split_heads(part(prompt), plain.head_dim) for part in (plain.k_proj, plain.v_proj))
                keys, values = (part.repeat_interleave(q.shape[1] // part.shape[1], 1) for part in (keys, values))
                looked = plain.o_proj(merge_heads(self._look(name, q, keys, values, plain.head_dim)))
            else:
                q = split_heads(plain.c_attn(x).chunk(3, dim=-1)[0], plain.head_dim)
                _, keys, values = (split_heads(part, plain.head_dim) for part in plain.c_attn(prompt).chunk(3, dim=-1))
                looked = merge_heads(self._look(name, q, keys, values, plain.head_dim))
            output = output + looked.to(output.dtype)
        return output, shares

    def _look(self, name: str, q: Tensor, keys: Tensor, values: Tensor, dim: int) -> Tensor:
        """Return (B, H, T, d): what queries (B, H, T, d) find among the tokens (1, H, L, d), times the gate."""
        shares = (q @ keys.mT / math.sqrt(dim)).float().softmax(-1).to(q.dtype)
        return (self.adaption_gate[name].to(q.dtype) * shares) @ values

    def merged_with(self, names: Sequence[str]) -> Any:
        raise UnsupportedPeftFeature("a prompt cannot be merged into a weight: use unload() to take it out")
