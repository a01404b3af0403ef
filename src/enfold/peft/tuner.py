"""Putting adapters into a model and taking them out again."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from enfold.errors import nearest
from enfold.log import get_logger
from enfold.peft.config import LoraConfig, PeftConfig, UnsupportedPeftFeature
from enfold.peft.lora import LoraLayer, is_conv1d, lora_layer, rank_and_alpha
from enfold.peft.targets import matches, resolve_targets
from enfold.peft.whole import ModulesToSaveWrapper, wrap_whole_modules
from enfold.progress import track

__all__ = ["LoraModel", "inject_adapter_in_model"]

logger = get_logger(__name__)


class LoraModel(nn.Module):
    """A model with low-rank adapters in its layers.

    Args:
        model: the model; its targeted layers are replaced in place and all other parameters are frozen.
        config: one configuration, or adapter name → configuration.
        adapter_name: name of the first adapter.

    Attributes:
        model: the model.
        peft_config: adapter name → configuration.
    """

    prefix = "lora_"

    def __init__(
        self,
        model: nn.Module,
        config: PeftConfig | dict[str, PeftConfig],
        adapter_name: str = "default",
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self.model = model
        self.peft_config: dict[str, PeftConfig] = {}
        self.active_adapters: list[str] = []
        given = config if isinstance(config, dict) else {adapter_name: config}
        for name, value in given.items():
            self.add_adapter(name, value)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "model":
                raise
            return getattr(self.model, name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.model(*args, **kwargs)

    @property
    def active_adapter(self) -> str | list[str]:
        """The adapter in use, or the list when there are several."""
        return self.active_adapters[0] if len(self.active_adapters) == 1 else self.active_adapters

    def _places(self) -> Iterator[LoraLayer | ModulesToSaveWrapper]:
        """Yield every place of the model that an adapter can be in."""
        for module in self.model.modules():
            if isinstance(module, (LoraLayer, ModulesToSaveWrapper)):
                yield module

    def add_adapter(self, name: str, config: PeftConfig, autocast_adapter_dtype: bool = True) -> None:
        """Put another adapter into the model; the first one is made active.

        Raises:
            ValueError: no layer fits ``target_modules``, the name is taken or has a dot in it.
            UnsupportedPeftFeature: the configuration asks for something that is not implemented.
        """
        if not isinstance(config, LoraConfig):
            raise UnsupportedPeftFeature(
                f"{type(config).__name__} is not a LoraConfig; only LoRA adapters are supported"
            )
        if name in self.peft_config:
            raise ValueError(f"there is already an adapter named {name!r}")
        if "." in name or not name:
            raise ValueError(f"an adapter's name may not be empty or contain a dot: {name!r}")
        config.check_supported()
        if config.bias != "none" and any(
            getattr(other, "bias", "none") != "none" for other in self.peft_config.values()
        ):
            raise ValueError("only one adapter of a model can train biases: set bias='none'")
        resolve_targets(config, self.model)
        found = self._targets(config)
        self.peft_config[name] = config
        if len(self.peft_config) == 1:
            self.model.requires_grad_(False)
        for key, module in found:
            if not isinstance(module, LoraLayer):
                config.fan_in_fan_out = config.fan_in_fan_out or is_conv1d(module)
                training = module.training
                module = lora_layer(module, key, config).train(training)
                parent, _, last = key.rpartition(".")
                setattr(self.model.get_submodule(parent), last, module)
            module.add_adapter(name, config, *rank_and_alpha(config, key))
            if not autocast_adapter_dtype:
                for factor in module.factors(name):
                    factor.data = factor.data.to(module.weight.dtype)
        if config.modules_to_save:
            wrap_whole_modules(self.model, list(config.modules_to_save), name)
        if not self.active_adapters:
            self.set_adapter(name, inference_mode=config.inference_mode)
        else:
            self.set_adapter(self.active_adapters)

    def _targets(self, config: LoraConfig) -> list[tuple[str, nn.Module]]:
        found: list[tuple[str, nn.Module]] = []
        wrapped = ""
        for key, module in self.model.named_modules():
            if wrapped and key.startswith(wrapped):
                continue
            if isinstance(module, (LoraLayer, ModulesToSaveWrapper)):
                wrapped = f"{key}."  # what is inside a wrapper is ours, not the model's
            if isinstance(module, ModulesToSaveWrapper) or not matches(config, key):
                continue
            if not isinstance(module, LoraLayer):
                lora_layer(module, key, config)  # refuses kinds that take no adapter before anything has changed
            found.append((key, module))
        if not found:
            names = {key.rpartition(".")[2] for key, _ in self.model.named_modules() if key}
            wanted = config.target_modules
            hint = nearest(wanted if isinstance(wanted, str) else next(iter(wanted or [""])), names)
            raise ValueError(f"no module of the model fits target_modules={wanted!r}{hint}")
        return found

    def set_adapter(self, adapter_name: str | list[str], inference_mode: bool = False) -> None:
        """Use one adapter (or several, added up) from now on, and make it trainable unless ``inference_mode``."""
        names = [adapter_name] if isinstance(adapter_name, str) else list(adapter_name)
        for name in names:
            if name not in self.peft_config:
                raise ValueError(f"there is no adapter named {name!r}{nearest(name, self.peft_config)}")
        if (
            any(layer.merged_adapters for layer in self._places() if isinstance(layer, LoraLayer))
            and names != self.active_adapters
        ):
            logger.warning("adapters are merged into the weights; they are taken out before another is set")
            self.unmerge_adapter()
        for layer in self._places():
            layer.set_adapter(names, trainable=not inference_mode)
        self.active_adapters = names
        self._set_bias_training(names, trainable=not inference_mode)

    def _set_bias_training(self, names: list[str], trainable: bool) -> None:
        kinds = {getattr(self.peft_config[name], "bias", "none") for name in names}
        if "all" in kinds:
            for key, parameter in self.model.named_parameters():
                if key.endswith("bias") and "lora_" not in key and ".original_module." not in key:
                    parameter.requires_grad_(trainable)
        elif "lora_only" in kinds:
            for layer in self._places():
                if isinstance(layer, LoraLayer) and layer.bias is not None:
                    layer.bias.requires_grad_(trainable)

    def delete_adapter(self, adapter_name: str) -> None:
        """Remove an adapter; when it was the only active one, the first of those left becomes active."""
        if adapter_name not in self.peft_config:
            raise ValueError(f"there is no adapter named {adapter_name!r}{nearest(adapter_name, self.peft_config)}")
        for layer in self._places():
            if isinstance(layer, ModulesToSaveWrapper) or layer.has_adapter(adapter_name):
                layer.delete_adapter(adapter_name)
        del self.peft_config[adapter_name]
        left = [name for name in self.active_adapters if name != adapter_name] or list(self.peft_config)[:1]
        self.active_adapters = []
        if left:
            self.set_adapter(left)

    def enable_adapter_layers(self) -> None:
        """Let adapters take part in the forward pass."""
        self._switch(False)

    def disable_adapter_layers(self) -> None:
        """Compute as the base model does, adapters aside."""
        self._switch(True)

    def _switch(self, off: bool) -> None:
        for layer in self._places():
            layer.disable_adapters = off

    def merge_adapter(self, adapter_names: list[str] | None = None, safe_merge: bool = False) -> None:
        """Add adapters into the weights, for speed; :meth:`unmerge_adapter` takes them out again."""
        self._check_names(adapter_names)
        for layer in self._places():
            if isinstance(layer, LoraLayer):
                layer.merge(adapter_names, safe=safe_merge)

    def unmerge_adapter(self) -> None:
        """Take every merged adapter out of the weights."""
        for layer in self._places():
            if isinstance(layer, LoraLayer):
                layer.unmerge()

    def merge_and_unload(
        self, progressbar: bool = False, safe_merge: bool = False, adapter_names: list[str] | None = None
    ) -> nn.Module:
        """Add adapters into the weights and return the plain model without any wrapper.

        Args:
            progressbar: show a bar.
            safe_merge: refuse, before anything changes, when a merged weight is not finite.
            adapter_names: which adapters; None for the active ones.

        Returns:
            The base model, its weights changed.
        """
        self._check_names(adapter_names)
        if safe_merge:
            self._check_finite(adapter_names)
        return self._unload(merge=True, progressbar=progressbar, names=adapter_names)

    def unload(self) -> nn.Module:
        """Return the plain model without adapters and without their changes."""
        return self._unload(merge=False, progressbar=False, names=None)

    def _check_names(self, names: list[str] | None) -> None:
        for name in names or ():
            if name not in self.peft_config:
                raise ValueError(f"there is no adapter named {name!r}{nearest(name, self.peft_config)}")

    @torch.no_grad()
    def _check_finite(self, names: list[str] | None) -> None:
        for key, layer in self.model.named_modules():
            if isinstance(layer, LoraLayer):
                for name in layer.active_adapters if names is None else names:
                    if layer.has_adapter(name) and not torch.isfinite(layer.weight + layer.delta(name)).all():
                        raise ValueError(f"merging adapter {name!r} into {key} gives weights that are not finite")

    def _unload(self, merge: bool, progressbar: bool, names: list[str] | None) -> nn.Module:
        places = [
            (key, layer)
            for key, layer in self.model.named_modules()
            if isinstance(layer, (LoraLayer, ModulesToSaveWrapper))
        ]
        for key, layer in track(places, "merging adapters" if merge else "unloading adapters", quiet=not progressbar):
            parent, _, last = key.rpartition(".")
            plain: nn.Module
            if isinstance(layer, LoraLayer):
                if merge:
                    layer.merge(names)
                else:
                    layer.unmerge()
                plain = layer.base_layer
            elif merge:
                chosen = [name for name in (names or layer.active_adapters) if name in layer.modules_to_save]
                plain = copy.deepcopy(layer.modules_to_save[chosen[-1]]) if chosen else layer.original_module
            else:
                plain = layer.original_module
            setattr(self.model.get_submodule(parent), last, plain)
        return self.model


def inject_adapter_in_model(
    peft_config: PeftConfig, model: nn.Module, adapter_name: str = "default", **kwargs: Any
) -> nn.Module:
    """Put adapters into ``model`` itself, without a wrapper around it.

    Args:
        peft_config: the adapter's configuration.
        model: the model, changed in place.
        adapter_name: name of the adapter.

    Returns:
        ``model``, whose targeted layers are :class:`LoraLayer` now; only the adapters train.
    """
    if "peft_config" in vars(model):
        raise ValueError("the model has adapters already; add another with add_adapter")
    LoraModel(model, peft_config, adapter_name)
    return model
