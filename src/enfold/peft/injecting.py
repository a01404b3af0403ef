"""Adapters in a model itself, without a wrapper around it."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor, nn

from enfold.peft.config import PeftConfig, UnsupportedPeftFeature
from enfold.peft.tuner import layer_class, tuner_class

__all__ = ["inject_adapter_in_model"]


def inject_adapter_in_model(
    peft_config: PeftConfig,
    model: nn.Module,
    adapter_name: str = "default",
    low_cpu_mem_usage: bool = False,
    state_dict: dict[str, Tensor] | None = None,
    **kwargs: Any,
) -> nn.Module:
    """Put adapters into ``model`` itself, without a wrapper around it.

    Args:
        peft_config: the adapter's configuration.
        model: the model, changed in place.
        adapter_name: name of the adapter.
        low_cpu_mem_usage: leave the adapter on the meta device until ``set_peft_model_state_dict`` fills it.
        state_dict: an adapter's weights by file key: they go into the modules that these keys name, whatever
            ``target_modules`` says. The numbers are not read.

    Raises:
        UnsupportedPeftFeature: adapters of this kind are not in layers alone.
        ValueError: ``state_dict`` has nothing of this kind of adapter.

    Returns:
        ``model``, whose targeted layers are :class:`AdapterLayer` now; only the adapters train.
    """
    if peft_config.is_prompt_learning:
        raise UnsupportedPeftFeature("a learnt prompt is not part of any layer: use get_peft_model")
    if tuner_class(peft_config).uses_shared_state:
        raise UnsupportedPeftFeature(
            f"{peft_config.kind} layers have shared state, which is beside the model: use get_peft_model"
        )
    if state_dict is not None:
        peft_config = _targeting(peft_config, state_dict)
    held = vars(model).get("_tuner")
    if held is not None:
        held[0].add_adapter(adapter_name, peft_config, low_cpu_mem_usage=low_cpu_mem_usage)
    else:
        tuner = tuner_class(peft_config)(model, peft_config, adapter_name, low_cpu_mem_usage)
        model.__dict__["_tuner"] = (tuner,)  # a tuple, so that the model does not become its own grandchild
        model.__dict__["peft_config"] = tuner.peft_config
    return model


def _targeting(config: Any, tensors: dict[str, Tensor]) -> PeftConfig:
    """Return a configuration whose targets are the modules that an adapter's file keys name."""
    mark = f".{layer_class(config).prefix}"
    paths = {key.partition(mark)[0].removeprefix("base_model.model.") for key in tensors if mark in key}
    if not paths:
        raise ValueError(f"state_dict has no weights of {config.kind} adapters, whose names hold {mark[1:]!r}")
    made = copy.copy(config)
    made.target_modules, made.exclude_modules = paths, None
    if hasattr(made, "layers_to_transform"):
        made.layers_to_transform = made.layers_pattern = None
    return made  # type: ignore[no-any-return]
