"""Models with adapters of several kinds at once."""

from __future__ import annotations

from typing import Any

from torch import nn

from enfold.peft.config import PeftConfig, UnsupportedPeftFeature
from enfold.peft.model import PeftModel
from enfold.peft.tuner import Tuner

__all__ = ["MixedModel", "PeftMixedModel"]


class MixedModel(Tuner):
    """A model whose layers may hold adapters of several kinds, one on top of another."""

    mixed = True


class PeftMixedModel(PeftModel):
    """A model with adapters of several kinds, which are used together.

    Args:
        model: any module.
        peft_config: the first adapter's configuration.
        adapter_name: its name.

    Example:
        >>> from enfold.peft import IA3Config, LoraConfig, get_peft_model
        >>> model = get_peft_model(nn.Sequential(nn.Linear(4, 4)), LoraConfig(r=2, target_modules=["0"]), mixed=True)
        >>> model.add_adapter("scales", IA3Config(target_modules=["0"], feedforward_modules=[]))
        >>> model.set_adapter(["default", "scales"])
        >>> model.active_adapters
        ['default', 'scales']
    """

    _tuner_class = MixedModel

    def __init__(self, model: nn.Module, peft_config: PeftConfig, adapter_name: str = "default", **kwargs: Any) -> None:
        if peft_config.is_prompt_learning:
            raise UnsupportedPeftFeature("a learnt prompt is no part of any layer, and does not mix with what is")
        super().__init__(model, peft_config, adapter_name, **kwargs)

    def save_pretrained(self, *args: Any, **kwargs: Any) -> None:
        """Refuse: files hold adapters of one kind."""
        raise UnsupportedPeftFeature("files hold adapters of one kind: save them from models of their own")
