"""VB-LoRA: the factors of all layers are mixed from one bank of short vectors.

Source: Li et al., 2024, "VB-LoRA: Extreme Parameter Efficient Fine-Tuning with Vector Banks",
https://arxiv.org/abs/2405.15179
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.peft.config import LayeredConfig, UnsupportedPeftFeature, spelled
from enfold.peft.layer import AdapterLayer
from enfold.peft.tuner import Shared, Tuner

__all__ = ["VBLoRAConfig", "VBLoRALayer", "VBLoRAModel"]


@spelled({})
@dataclass
class VBLoRAConfig(LayeredConfig):
    """How factors mixed from a bank are put into a model.

    Args:
        target_modules, exclude_modules, modules_to_save, layers_to_transform, layers_pattern: which modules.
        r: rank.
        num_vectors, vector_length: size of the bank; the length divides every layer's inputs and outputs.
        topk: how many vectors are mixed for a piece.
        save_only_topk_weights: refused: such files cannot be trained on.
        vblora_dropout: dropout on the adapter's input.
        init_vector_bank_bound, init_logits_std: how bank and choices begin.
        fan_in_fan_out: weights are stored as (in, out); set by itself.
        bias: which biases train.
    """

    kind: ClassVar[str | None] = "VBLORA"

    r: int = 4
    num_vectors: int = 256
    vector_length: int = 256
    topk: int = 2
    save_only_topk_weights: bool = False
    vblora_dropout: float = 0.0
    fan_in_fan_out: bool = False
    bias: str = "none"
    init_vector_bank_bound: float = 0.02
    init_logits_std: float = 0.1

    def check_supported(self) -> None:
        if self.save_only_topk_weights:
            raise UnsupportedPeftFeature("VBLoRAConfig.save_only_topk_weights is not supported; leave it at False")


class VBLoRAModel(Tuner):
    """A model with factors that are mixed from a bank of vectors."""

    uses_shared_state = True

    def prepare(self, name: str, config: Any, found: list[tuple[str, nn.Module]]) -> None:
        if "vblora_vector_bank" not in self._modules:
            self.vblora_vector_bank = Shared(trained=True)
        self._init_vblora_vector_bank(config, name)
        config.shared = self.vblora_vector_bank

    def _init_vblora_vector_bank(self, config: Any, adapter_name: str) -> None:
        """Draw the vectors of an adapter."""
        bank = torch.empty(config.num_vectors, config.vector_length)
        bound = config.init_vector_bank_bound
        self.vblora_vector_bank[adapter_name] = bank.uniform_(-bound, bound)


class VBLoRALayer(AdapterLayer):
    """A linear layer with the change B A, both made of vectors of the bank."""

    kind: ClassVar[str] = "VBLORA"
    holders = ("vblora_logits_A", "vblora_logits_B")

    def __init__(self, base_layer: nn.Module, config: Any) -> None:
        super().__init__(base_layer, config)
        self.vblora_dropout = nn.ModuleDict()

    def make(self, name: str, config: Any, key: str) -> None:
        length = config.vector_length
        if self.in_features % length or self.out_features % length:
            sizes = f"{self.in_features} inputs and {self.out_features} outputs"
            raise ValueError(f"{key} has {sizes}, which vector_length={length} does not divide")
        self.vblora_dropout[name] = nn.Dropout(config.vblora_dropout) if config.vblora_dropout else nn.Identity()
        first = torch.empty(config.r, self.in_features // length, config.num_vectors)
        second = torch.empty(self.out_features // length, config.r, config.num_vectors)
        std = config.init_logits_std
        self.hold(name, vblora_logits_A=first.normal_(std=std), vblora_logits_B=second.normal_(std=std))
        self.settings[name] = (config.shared, config.topk)

    @property
    def vblora_vector_bank(self) -> Any:
        """Adapter → the vectors that all layers share, (num_vectors, vector_length)."""
        return next(iter(self.settings.values()))[0]

    def _mixed_vectors(self, name: str, logits: Tensor) -> Tensor:
        """Return (…, length): for each piece the best vectors, weighed by their softmax."""
        bank, count = self.settings[name]
        best, places = logits.topk(count, dim=-1)
        return (best.softmax(-1)[..., None] * bank[name][places]).sum(-2)

    def _factors(self, name: str) -> tuple[Tensor, Tensor]:
        first = self._mixed_vectors(name, self.vblora_logits_A[name]).flatten(1)  # (r, I)
        second = self._mixed_vectors(name, self.vblora_logits_B[name]).mT  # (O / length, length, r)
        return first, second.flatten(0, 1)

    def delta(self, name: str) -> Tensor:
        first, second = self._factors(name)
        return second @ first

    def after(self, name: str, x: Tensor, y: Tensor) -> Tensor:
        first, second = self._factors(name)
        return y + F.linear(F.linear(self.vblora_dropout[name](self.cast(x, name)), first), second)
