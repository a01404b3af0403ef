"""What adapters a model has, and which of them are in use, train, or are merged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import nn

from enfold.peft.layer import AdapterLayer

__all__ = ["TunerLayerStatus", "TunerModelStatus", "get_layer_status", "get_model_status"]


@dataclass
class TunerLayerStatus:
    """What one layer has: its name and class, whether adapters are on, and for each of them whether it trains.

    A value is ``"irregular"`` where the parts of an adapter disagree.
    """

    name: str
    module_type: str
    enabled: bool
    active_adapters: list[str]
    merged_adapters: list[str]
    requires_grad: dict[str, bool | str]
    available_adapters: list[str]
    devices: dict[str, list[str]]


@dataclass
class TunerModelStatus:
    """What a model has as a whole; ``"irregular"`` where its layers disagree."""

    base_model_type: str
    adapter_model_type: str
    peft_types: dict[str, str]
    trainable_params: int
    total_params: int
    num_adapter_layers: int
    enabled: bool | str
    active_adapters: list[str] | str
    merged_adapters: list[str] | str
    requires_grad: dict[str, bool | str]
    available_adapters: list[str]
    devices: dict[str, list[str]] = field(default_factory=dict)


def _one(values: list[Any]) -> Any:
    return values[0] if all(value == values[0] for value in values) else "irregular"


def get_layer_status(model: nn.Module) -> list[TunerLayerStatus]:
    """Return the status of each adapted layer of a model.

    Args:
        model: a model with adapters in its layers.

    Raises:
        ValueError: there are none.
    """
    found = []
    root = model.get_base_model() if hasattr(model, "get_base_model") else model  # type: ignore[operator]
    for name, layer in root.named_modules():
        if not isinstance(layer, AdapterLayer):
            continue
        trains: dict[str, bool | str] = {}
        devices: dict[str, list[str]] = {}
        for adapter in layer.names():
            parts = list(layer.parts(adapter))
            if parts:
                trains[adapter] = _one([part.requires_grad for part in parts])
                devices[adapter] = sorted({part.device.type for part in parts})
        found.append(
            TunerLayerStatus(
                name=name,
                module_type=layer._get_name(),
                enabled=not layer.disable_adapters,
                active_adapters=list(layer.active_adapters),
                merged_adapters=list(layer.merged_adapters),
                requires_grad=trains,
                available_adapters=sorted(layer.names()),
                devices=devices,
            )
        )
    if not found:
        raise ValueError("the model has no layers with adapters")
    return found


def get_model_status(model: nn.Module) -> TunerModelStatus:
    """Return the status of a model's adapters as a whole.

    Args:
        model: a model with adapters in its layers.

    Raises:
        ValueError: there are none.

    Example:
        >>> from enfold.peft import LoraConfig, get_model_status, get_peft_model
        >>> status = get_model_status(get_peft_model(nn.Sequential(nn.Linear(4, 4)), LoraConfig(target_modules=["0"])))
        >>> status.active_adapters, status.num_adapter_layers, status.enabled
        (['default'], 1, True)
    """
    layers = get_layer_status(model)
    root: Any = model.get_base_model() if hasattr(model, "get_base_model") else model  # type: ignore[operator]
    configs: dict[str, Any] = getattr(model, "peft_config", {})
    adapters = sorted({name for layer in layers for name in layer.available_adapters})
    trains: dict[str, bool | str] = {}
    devices: dict[str, list[str]] = {}
    for adapter in adapters:
        trains[adapter] = _one([layer.requires_grad[adapter] for layer in layers if adapter in layer.requires_grad])
        devices[adapter] = sorted({device for layer in layers for device in layer.devices.get(adapter, ())})
    parameters = list(model.parameters())
    # A layer may lack an adapter that is in use elsewhere; it has the others.
    active = [sorted(layer.active_adapters) for layer in layers]
    widest = max(active, key=len)
    irregular = any(not set(names) <= set(widest) for names in active)
    merged = [sorted(layer.merged_adapters) for layer in layers]
    tuner = getattr(model, "base_model", None)
    return TunerModelStatus(
        base_model_type=type(root).__name__,
        adapter_model_type=type(tuner).__name__ if isinstance(tuner, nn.Module) else "None",
        peft_types={name: str(config.kind) for name, config in configs.items()},
        trainable_params=sum(part.numel() for part in parameters if part.requires_grad),
        total_params=sum(part.numel() for part in parameters),
        num_adapter_layers=len(layers),
        enabled=_one([layer.enabled for layer in layers]),
        active_adapters="irregular" if irregular else widest,
        merged_adapters=_one(merged),
        requires_grad=trains,
        available_adapters=adapters,
        devices=devices,
    )
