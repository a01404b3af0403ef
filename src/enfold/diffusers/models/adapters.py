"""Adapters in a model's layers: which are in use, and how much each weighs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn

__all__ = ["AdaptersMixin", "block_scales", "tuner_of", "weighed", "weighed_by_scale"]


def tuner_of(model: Any) -> Any:
    """Return what holds the adapters that were put into a model, or None."""
    held = vars(model).get("_tuner") if model is not None else None
    return held[0] if held else None


@contextmanager
def weighed(model: nn.Module, scale: float) -> Iterator[None]:
    """Let the adapters in use weigh ``scale`` times as much, for the length of a ``with`` block."""
    tuner = tuner_of(model)
    layers = [] if tuner is None or scale == 1 else list(tuner.layers_with_adapters.values())
    before = [dict(layer.scaling) for layer in layers]
    for layer in layers:
        layer.scale_layer(scale)
    try:
        yield
    finally:
        for layer, scaling in zip(layers, before, strict=True):
            layer.scaling.update(scaling)


def weighed_by_scale(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Let a model's adapters weigh ``cross_attention_kwargs["scale"]`` times as much in its forward pass.

    A transformer's argument of that kind is ``joint_attention_kwargs``.
    """

    @functools.wraps(forward)
    def scaled(self: Any, *args: Any, **kwargs: Any) -> Any:
        given = kwargs.get("cross_attention_kwargs") or kwargs.get("joint_attention_kwargs") or {}
        scale = given.get("scale")
        if scale is None or tuner_of(self) is None:
            return forward(self, *args, **kwargs)
        with weighed(self, float(scale)):
            return forward(self, *args, **kwargs)

    return scaled


def block_scales(model: Any, scale: Any, otherwise: float) -> Any:
    """Return a number as it is, and numbers for parts of a UNet as beginning of a layer's name → number.

    Args:
        model: the UNet.
        scale: a number, or {"down": …, "mid": …, "up": …}; each a number, or {"block_1": …}; each of these a number,
            or a list with one for each attention.
        otherwise: for parts that are not named.

    Raises:
        ValueError: there is no such part, or a list has another length.
    """
    if not isinstance(scale, Mapping):
        return scale
    unknown = [name for name in scale if name not in ("down", "mid", "up")]
    if unknown:
        raise ValueError(f"there is no part {unknown[0]!r} of a UNet; expected 'down', 'mid' or 'up'")
    middle = scale.get("mid", otherwise)
    found = {"mid_block.attentions.0": middle[0] if isinstance(middle, list) else middle}
    for part, blocks in (("down", model.down_blocks), ("up", model.up_blocks)):
        given = scale.get(part, otherwise)
        attended = {f"block_{i}": block for i, block in enumerate(blocks) if hasattr(block, "attentions")}
        if isinstance(given, Mapping):
            absent = [name for name in given if name not in attended]
            if absent:
                raise ValueError(f"{part!r} has no {absent[0]!r} with attentions; there are {', '.join(attended)}")
        for name, block in attended.items():
            one = given.get(name, otherwise) if isinstance(given, Mapping) else given
            count = len(block.attentions)
            listed = one if isinstance(one, list) else [one]
            if len(listed) not in (1, count):
                raise ValueError(f"{part}.{name} has {count} attentions and {len(listed)} scales; expected as many")
            for j, value in enumerate(listed * (count if len(listed) == 1 else 1)):
                for kind in ("attentions", "resnets"):  # the residual block before it weighs as much
                    found[f"{part}_blocks.{name.removeprefix('block_')}.{kind}.{j}"] = value
    return found


def set_scales(model: Any, names: list[str], scales: list[Any]) -> None:
    """Use adapters together, each as strong as its scale says: a number, or numbers for parts of a UNet."""
    tuner = tuner_of(model)
    spread = [block_scales(model, 1.0 if scale is None else scale, 1.0) for scale in scales]
    present = [name for name in names if name in tuner.peft_config]
    tuner.set_adapter(present, inference_mode=True)
    for path, layer in tuner.layers_with_adapters.items():
        for name, scale in zip(names, spread, strict=True):
            value = scale
            if isinstance(scale, Mapping):
                value = next((one for lead, one in scale.items() if path.startswith(f"{lead}.")), 1.0)
            layer.set_scale(name, float(value))


class AdaptersMixin:
    """Adapters of a model itself, by name; :mod:`enfold.peft` says what they are."""

    def _adapters(self) -> Any:
        tuner = tuner_of(self)
        if tuner is None:
            raise ValueError(f"this {type(self).__name__} has no adapters; call add_adapter or load_lora_weights first")
        return tuner

    def add_adapter(self, adapter_config: Any, adapter_name: str = "default") -> None:
        """Put a new adapter into the layers; from then on only adapters train.

        Args:
            adapter_config: a ``LoraConfig`` or another of :mod:`enfold.peft`.
            adapter_name: its name.
        """
        from enfold.peft import inject_adapter_in_model

        inject_adapter_in_model(adapter_config, self, adapter_name)  # type: ignore[arg-type]
        self.set_adapter(adapter_name)

    def set_adapter(self, adapter_name: str | list[str]) -> None:
        """Use one adapter, or several added up, and let it train."""
        self._adapters().set_adapter(adapter_name)

    def set_adapters(self, adapter_names: str | list[str], weights: Any = None) -> None:
        """Use adapters together.

        Args:
            adapter_names: one or several.
            weights: how much they weigh, one for all or each; 1 by default, or numbers for parts as in
                ``block_scales``.
        """
        names = [adapter_names] if isinstance(adapter_names, str) else list(adapter_names)
        scales = list(weights) if isinstance(weights, list) else [weights] * len(names)
        if len(scales) != len(names):
            raise ValueError(f"{len(names)} adapters and {len(scales)} weights; expected one, or one for each")
        self._adapters()._check_names(names)
        set_scales(self, names, scales)

    def active_adapters(self) -> list[str]:
        """Return the names of the adapters in use."""
        return list(self._adapters().active_adapters)

    def disable_adapters(self) -> None:
        """Compute without adapters."""
        self._adapters().disable_adapter_layers()

    def enable_adapters(self) -> None:
        """Compute with adapters again."""
        self._adapters().enable_adapter_layers()

    disable_lora, enable_lora = disable_adapters, enable_adapters

    def delete_adapters(self, adapter_names: str | list[str]) -> None:
        """Remove adapters."""
        for name in [adapter_names] if isinstance(adapter_names, str) else adapter_names:
            self._adapters().delete_adapter(name)
