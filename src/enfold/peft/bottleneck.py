"""Bottleneck adapters: a small network after a layer, or beside it.

Source: Houlsby et al., 2019, "Parameter-Efficient Transfer Learning for NLP", https://arxiv.org/abs/1902.00751; beside
the layer: He et al., 2022, https://arxiv.org/abs/2110.04366. The fields are those of LLM-Adapters (Hu et al., 2023,
https://arxiv.org/abs/2304.01933).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.errors import nearest
from enfold.peft.config import LayeredConfig, UnsupportedPeftFeature, spelled
from enfold.peft.layer import AdapterLayer
from enfold.peft.loha import uniform

__all__ = ["BottleneckConfig", "BottleneckLayer"]

_ACTIVATIONS: dict[str, Any] = {
    "relu": F.relu,
    "tanh": torch.tanh,
    "gelu": F.gelu,
    "silu": F.silu,
    "swish": F.silu,
    "sigmoid": torch.sigmoid,
}
_STARTS = ("bert", "lora", "mam_adapter")


@spelled({})
@dataclass
class BottleneckConfig(LayeredConfig):
    """How small networks are put into a model.

    Args:
        target_modules, exclude_modules, modules_to_save, layers_to_transform, layers_pattern: which modules; by default
            the layers that end attention and feed-forward, with ``use_adapterp`` the latter only (Pfeiffer et al.).
        bottleneck_size: width of the network's middle.
        non_linearity: "tanh", "relu", "gelu", "silu" or "sigmoid".
        adapter_dropout: dropout of its output.
        use_parallel_adapter: it reads the layer's input and its output is added; after the layer otherwise.
        use_adapterp: see above.
        scaling: what its output is multiplied by; ``"learnable"`` trains that number.
        bias: which biases of the model train.
        init_weights: ``"bert"`` for small normal numbers, ``"lora"`` or ``"mam_adapter"`` for a start without a change.
    """

    kind: ClassVar[str | None] = "BOTTLENECK"

    bottleneck_size: int = 256
    non_linearity: str = "tanh"
    adapter_dropout: float = 0.0
    use_parallel_adapter: bool = False
    use_adapterp: bool = False
    scaling: float | str = 1.0
    bias: str = "none"
    init_weights: str = "bert"

    @property
    def prefix(self) -> str:
        """What names of this kind begin with."""
        return "adapter"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in (("non_linearity", _ACTIVATIONS), ("init_weights", _STARTS)):
            given = getattr(self, name)
            if given not in known:
                raise ValueError(f"{name}={given!r} is unknown{nearest(given, known)}; there are {', '.join(known)}")
        if self.use_parallel_adapter and self.use_adapterp:
            raise ValueError("use_adapterp puts adapters after layers, use_parallel_adapter beside them: choose one")


class BottleneckLayer(AdapterLayer):
    """A layer with small networks after it, or beside it."""

    kind: ClassVar[str] = "BOTTLENECK"
    holders = ("adapter_down", "adapter_up", "adapter_scaling")
    additive = False

    def __init__(self, base_layer: nn.Module, config: Any) -> None:
        super().__init__(base_layer, config)
        self.adapter_down, self.adapter_up = nn.ModuleDict(), nn.ModuleDict()

    def make(self, name: str, config: Any, key: str) -> None:
        middle = config.bottleneck_size
        inputs = self.in_features if config.use_parallel_adapter else self.out_features
        down, up = nn.Linear(inputs, middle, bias=False), nn.Linear(middle, self.out_features, bias=False)
        with torch.no_grad():
            if config.init_weights == "bert":
                down.weight.normal_(0.0, 0.02)
                up.weight.normal_(0.0, 0.02)
            else:
                down.weight.copy_(uniform(middle, inputs))
                up.weight.zero_()
        self.adapter_down[name], self.adapter_up[name] = down, up
        if config.scaling == "learnable":
            self.hold(name, adapter_scaling=torch.ones(1))
        self.settings[name] = config

    def after(self, name: str, x: Tensor, y: Tensor) -> Tensor:
        config = self.settings[name]
        given = self.cast(x if config.use_parallel_adapter else y, name)
        small = _ACTIVATIONS[config.non_linearity](self.adapter_down[name](given))
        change = F.dropout(self.adapter_up[name](small), config.adapter_dropout, self.training)
        return y + change * (config.scaling if config.scaling != "learnable" else self.adapter_scaling[name])

    def merged_with(self, names: Sequence[str]) -> Any:
        raise UnsupportedPeftFeature(
            "a network with a bend cannot be merged into a weight: use unload() to take it out"
        )
