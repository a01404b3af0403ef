"""One layer with adapters beside it: what every kind of adapter shares.

A kind says which tensors it trains and what they do, in one of three ways: a change that is added to the weight
(``delta``), a change of the input or output (``before``, ``after``), or both. Merging, switching, mixing rows of
several adapters in one batch, files and counting follow from that.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.nn.linear import project
from enfold.peft.config import PeftConfig, UnsupportedPeftFeature

__all__ = [
    "BASE",
    "Adapted",
    "AdapterLayer",
    "AuxiliaryTrainingWrapper",
    "is_conv1d",
    "is_linear",
    "layer_shape",
    "plain_shape",
]

BASE = "__base__"  # the name that asks for no adapter in a mixed batch
_CONVOLUTIONS = {nn.Conv1d: F.conv1d, nn.Conv2d: F.conv2d, nn.Conv3d: F.conv3d}


def is_conv1d(module: nn.Module) -> bool:
    """Say whether ``module`` is GPT-2's linear layer, whose weight is (in, out)."""
    return type(module).__name__ == "Conv1D" and getattr(module, "weight", torch.empty(0)).ndim == 2


def is_quantized(module: nn.Module) -> bool:
    """Say whether ``module`` is a linear layer of quantised weights, which can tell what they stand for."""
    return hasattr(module, "dequantize") and hasattr(module, "in_features")


def is_linear(module: nn.Module) -> bool:
    """Say whether ``module`` multiplies by a matrix: ``nn.Linear``, GPT-2's Conv1D, or one of quantised weights."""
    return isinstance(module, nn.Linear) or is_conv1d(module) or is_quantized(module)


def layer_shape(module: nn.Module) -> tuple[int, ...]:
    """Return the shape of a layer's weight with outputs first, whichever way it is stored."""
    if is_quantized(module):
        return (int(module.out_features), int(module.in_features))  # type: ignore[arg-type]
    shape = tuple(module.weight.shape)  # type: ignore[union-attr,arg-type]
    return shape[::-1] if is_turned(module) else shape


def plain_shape(module: nn.Module) -> tuple[int, ...]:
    """Return :func:`layer_shape` of a layer, or of the one that wrappers are around."""
    return layer_shape(module.get_base_layer() if isinstance(module, AdapterLayer) else module)


def is_turned(module: nn.Module) -> bool:
    """Say whether a layer stores its weight with inputs first: GPT-2's Conv1D, and embeddings (tokens are inputs)."""
    return is_conv1d(module) or isinstance(module, nn.Embedding)


def _is_meta(part: Any) -> bool:
    tensors = part.parameters() if isinstance(part, nn.Module) else [part]
    return any(tensor.is_meta for tensor in tensors)


class Adapted(nn.Module):
    """A place in a model that holds something of adapters: what switching needs to know of it."""

    def __init__(self) -> None:
        super().__init__()
        self.active_adapters: list[str] = []
        self.disable_adapters = False
        self.resting: list[nn.Parameter] = []  # what trained before adapters were left aside

    def names(self) -> list[str]:
        """Return the adapters that have something here."""
        raise NotImplementedError

    def parts(self, name: str) -> Iterator[nn.Parameter]:
        """Yield the trained tensors of an adapter."""
        raise NotImplementedError

    def delete_adapter(self, name: str) -> None:
        """Remove an adapter."""
        raise NotImplementedError

    def saved_names(self, name: str) -> dict[str, str]:
        """Return file key → state-dict key of an adapter's tensors, relative to this place."""
        raise NotImplementedError

    def has_adapter(self, name: str) -> bool:
        """Say whether this place has the adapter ``name``."""
        return name in self.names()

    def enable_adapters(self, enabled: bool) -> None:
        """Let adapters take part in the forward pass here, or leave them aside; meanwhile they do not train."""
        if enabled != self.disable_adapters:
            return
        self.disable_adapters = not enabled
        if not enabled:
            parts = (part for name in self.names() for part in self.parts(name))
            self.resting = [part for part in parts if part.requires_grad]
        for part in self.resting:
            part.requires_grad_(enabled)

    def set_adapter(self, names: Sequence[str], trainable: bool = True) -> None:
        """Use these adapters from now on; those of them that are here become trainable, those that were, not."""
        own = self.names()
        self.resting = []
        before = self.active_adapters
        self.active_adapters = [name for name in names if name in own]
        for name in dict.fromkeys([*before, *self.active_adapters]):
            if name in own:
                for part in self.parts(name):
                    part.requires_grad_(trainable and name in self.active_adapters)


class AuxiliaryTrainingWrapper:
    """Marks what trains beside the adapters proper: whole modules, and single tokens."""


class AdapterLayer(Adapted):
    """A layer with any number of adapters of one kind beside it.

    Attributes:
        base_layer: the wrapped layer, under the name that adapter files expect; itself wrapped in mixed models.
        settings: adapter → what its kind keeps besides tensors.
        merged_adapters: names whose change is in the weight of ``base_layer``.
        batch: the adapter of each row of the next batch, or None where all rows use the active ones.
    """

    kind: ClassVar[str] = ""
    holders: ClassVar[tuple[str, ...]] = ()  # attributes that hold the tensors of each adapter, by name
    untrained: ClassVar[frozenset[str]] = frozenset()  # holders whose tensors neither train nor go into files
    additive: ClassVar[bool] = True  # the adapter is a change added to the weight
    bare: ClassVar[bool] = False  # its tensors can be made without memory, to be filled from a file
    prefix: ClassVar[str] = ""  # what the names of its trained tensors begin with

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.holders and "prefix" not in vars(cls):
            cls.prefix = cls.holders[0].partition("_")[0] + "_"

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Holders are attributes that the kind names."""

    def __init__(self, base_layer: nn.Module, config: PeftConfig) -> None:
        super().__init__()
        self.base_layer = base_layer
        plain = self.get_base_layer()
        self.fan_in_fan_out = is_turned(plain)
        self.check(plain)
        if hasattr(plain, "weight") or is_quantized(plain):
            shape = layer_shape(plain)
            self.out_features, self.in_features = shape[0], shape[-1] if len(shape) < 3 else shape[1]
        for holder in self.holders:
            setattr(self, holder, nn.ParameterDict())
        self.settings: dict[str, Any] = {}
        self.merged_adapters: list[str] = []
        self.batch: list[str] | None = None

    @classmethod
    def wrap(cls, module: nn.Module, config: Any) -> AdapterLayer:
        """Return ``module`` wrapped, without an adapter yet.

        Raises:
            UnsupportedPeftFeature: the module is of a sort that takes no adapter of this kind.
        """
        return cls(module, config)

    # --- what a kind says ---------------------------------------------------------------------------------------------

    def check(self, plain: nn.Module) -> None:
        """Raise :class:`UnsupportedPeftFeature` where this kind of adapter cannot go on the layer ``plain``."""
        if not is_linear(plain):
            raise UnsupportedPeftFeature(f"{self.kind} adapters go on linear layers, not on a {type(plain).__name__}")

    def make(self, name: str, config: Any, key: str) -> None:
        """Make the tensors of a new adapter, on the processor, and keep its settings.

        Args:
            name: of the adapter.
            config: its configuration.
            key: the layer's name in the model.
        """
        raise NotImplementedError

    def delta(self, name: str) -> Tensor:
        """Return what the adapter adds to the weight, outputs first, in the adapter's type."""
        raise NotImplementedError

    def before(self, name: str, x: Tensor) -> Tensor:
        """Return the input that the base layer gets instead of ``x``."""
        return x

    def after(self, name: str, x: Tensor, y: Tensor) -> Tensor:
        """Return the output instead of the base layer's ``y`` for ``x``."""
        return y + self.through(self.cast(x, name), self.delta(name)) if self.additive else y

    def fold(self, name: str, sign: float) -> bool:
        """Add the adapter to the weight in place, or take it off again with a ``sign`` of -1, where that is exact.

        Returns:
            Whether that was done; False leaves it to ``changed`` and ``restored``.
        """
        return False

    def changed(self, name: str, weight: Tensor) -> Tensor:
        """Return the weight, outputs first, with the adapter in it."""
        return weight + self.delta(name).to(weight.dtype)

    def restored(self, name: str, weight: Tensor) -> Tensor:
        """Return the weight, outputs first, without the adapter."""
        return weight - self.delta(name).to(weight.dtype)

    def changed_bias(self, name: str, bias: Tensor) -> Tensor:
        """Return the bias with the adapter in it."""
        return bias

    def restored_bias(self, name: str, bias: Tensor) -> Tensor:
        """Return the bias without the adapter."""
        return bias

    def _get_name(self) -> str:
        plain = self.get_base_layer()
        return f"{self.kind.lower()}.{'Linear' if is_linear(plain) else type(plain).__name__}"

    @property
    def adapter_layer_names(self) -> tuple[str, ...]:
        """The attributes that hold, by adapter, what trains."""
        return tuple(holder for holder in self.holders if holder not in self.untrained)

    # --- the layer below ----------------------------------------------------------------------------------------------

    def get_base_layer(self) -> nn.Module:
        """Return the wrapped layer, through other kinds of adapters."""
        layer = self.base_layer
        while isinstance(layer, AdapterLayer):
            layer = layer.base_layer
        return layer

    @property
    def weight(self) -> Tensor:
        """The wrapped layer's weight, as it is stored."""
        return self.get_base_layer().weight  # type: ignore[return-value]

    @property
    def bias(self) -> Tensor | None:
        """The wrapped layer's bias."""
        return getattr(self.get_base_layer(), "bias", None)

    @property
    def merged(self) -> bool:
        """Whether some adapter is in the weight."""
        return bool(self.merged_adapters)

    @property
    def active_adapter(self) -> list[str]:
        """The adapters in use."""
        return self.active_adapters

    def get_weight(self) -> Tensor:
        """Return the wrapped layer's weight with outputs first, quantised ones as what they stand for."""
        plain = self.get_base_layer()
        if is_quantized(plain):
            return plain.dequantize()  # type: ignore[operator,no-any-return]
        return self.weight.T if self.fan_in_fan_out else self.weight

    def set_weight(self, weight: Tensor) -> None:
        """Write a weight with outputs first into the wrapped layer."""
        plain = self.get_base_layer()
        if is_quantized(plain):
            plain.requantize(weight)  # type: ignore[operator]
        else:
            self.weight.copy_(weight.T if self.fan_in_fan_out else weight)

    def through(self, x: Tensor, weight: Tensor) -> Tensor:
        """Return ``x`` through a weight of the layer's shape, as the layer itself would, without bias."""
        plain: Any = self.get_base_layer()
        for kind, convolve in _CONVOLUTIONS.items():
            if isinstance(plain, kind):
                return convolve(x, weight, None, plain.stride, plain.padding, plain.dilation, plain.groups)
        return F.linear(x, weight)

    def cast(self, x: Tensor, name: str) -> Tensor:
        """Return ``x`` in the adapter's type, which is wider than the model's where that is halved."""
        part = next(self.parts(name))
        return x if x.dtype == part.dtype or torch.is_autocast_enabled(x.device.type) else x.to(part.dtype)

    # --- adapters -----------------------------------------------------------------------------------------------------

    def names(self) -> list[str]:
        return list(self.settings)

    def parts(self, name: str) -> Iterator[nn.Parameter]:
        for holder in self.holders:
            held = getattr(self, holder)
            if holder not in self.untrained and name in held:
                part = held[name]
                if isinstance(part, nn.Module):
                    yield from part.parameters()
                else:
                    yield part

    def add_adapter(self, name: str, config: Any, key: str = "") -> None:
        """Put a new adapter beside the layer, initialised as ``config`` says, on the layer's device."""
        self.settings[name] = None
        try:
            self.make(name, config, key)
        except Exception:
            self.delete_adapter(name)
            raise
        plain = self.get_base_layer()
        tensor = next(itertools.chain(plain.parameters(), plain.buffers()), None)
        if tensor is not None and tensor.device.type != "cpu":
            for holder in self.holders:
                held = getattr(self, holder)
                if name in held and not _is_meta(held[name]):
                    held[name] = held[name].to(tensor.device)
        for part in self.parts(name):
            part.requires_grad_(name in self.active_adapters)

    def hold(self, name: str, **tensors: Tensor) -> None:
        """Keep tensors as an adapter's trained ones, by holder."""
        for holder, tensor in tensors.items():
            getattr(self, holder)[name] = nn.Parameter(tensor)

    def release(self, name: str) -> None:
        """Give up the memory of an adapter's trained tensors, which are about to be read from a file."""
        for holder in self.holders:
            held = getattr(self, holder)
            if holder in self.untrained or name not in held:
                continue
            part = held[name]
            if isinstance(part, nn.Module):
                part.to("meta")
            elif isinstance(part, nn.Parameter):
                held[name] = nn.Parameter(part.detach().to("meta"), requires_grad=part.requires_grad)

    def delete_adapter(self, name: str) -> None:
        """Remove an adapter, taking it out of the weight first if it is merged."""
        if name in self.merged_adapters:
            self.unmerge([name])
        self.settings.pop(name, None)
        for holder in self.holders:
            held = getattr(self, holder)
            if name in held:
                del held[name]
        self.active_adapters = [active for active in self.active_adapters if active != name]

    def saved_names(self, name: str) -> dict[str, str]:
        found = {}
        for holder in self.holders:
            held = getattr(self, holder)
            if holder in self.untrained or name not in held:
                continue
            part = held[name]
            tails = [f".{tail}" for tail in part.state_dict()] if isinstance(part, nn.Module) else [""]
            found.update({f"{holder}{tail}": f"{holder}.{name}{tail}" for tail in tails})
        return found

    # --- merging ------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def merged_with(self, names: Sequence[str]) -> tuple[Tensor, Tensor | None]:
        """Return weight (outputs first, float32 or wider) and bias as merging these adapters would leave them."""
        weight = self.get_weight()
        weight = weight.to(torch.promote_types(weight.dtype, torch.float32))
        bias: Tensor | None = self.bias
        for name in names:
            weight = self.changed(name, weight)
            bias = bias if bias is None else self.changed_bias(name, bias)
        return weight, bias

    @torch.no_grad()
    def merge(self, safe_merge: bool = False, adapter_names: Sequence[str] | None = None) -> None:
        """Put adapters into the weight.

        Args:
            safe_merge: compute the new weight aside and refuse it when it is not finite.
            adapter_names: which adapters; None for the active ones.

        Raises:
            ValueError: ``safe_merge`` and a merged weight holds NaN or infinity.
        """
        wanted = self.active_adapters if adapter_names is None else adapter_names
        for name in wanted:
            if name not in self.settings or name in self.merged_adapters:
                continue
            if not safe_merge and self.fold(name, 1.0):
                self.merged_adapters.append(name)
                continue
            # The sum is made in the wider of the two types, so that a halved base loses nothing on the way.
            weight, bias = self.merged_with([name])
            if safe_merge and not (torch.isfinite(weight).all() and (bias is None or torch.isfinite(bias).all())):
                raise ValueError(f"merging adapter {name!r} gives weights that are not finite; nothing was changed")
            self.set_weight(weight)
            if bias is not None and self.bias is not None:
                self.bias.copy_(bias)
            self.merged_adapters.append(name)

    @torch.no_grad()
    def unmerge(self, names: Sequence[str] | None = None) -> None:
        """Take merged adapters out of the weight again."""
        for name in reversed(list(self.merged_adapters)):
            if names is None or name in names:
                if self.fold(name, -1.0):
                    self.merged_adapters.remove(name)
                    continue
                weight = self.get_weight()
                wide = weight.to(torch.promote_types(weight.dtype, torch.float32))
                self.set_weight(self.restored(name, wide))
                if self.bias is not None:
                    self.bias.copy_(self.restored_bias(name, self.bias))
                self.merged_adapters.remove(name)

    # --- computing ----------------------------------------------------------------------------------------------------

    def in_use(self) -> list[str]:
        """Return the adapters that the next forward pass computes beside the layer."""
        if self.disable_adapters:
            if self.merged_adapters:
                self.unmerge()
            return []
        return [] if self.merged_adapters else self.active_adapters

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        names = self.in_use()
        if self.batch is not None and not self.disable_adapters:
            return self._mixed(x, *args, **kwargs)
        return self._through(names, x, *args, **kwargs) if names else self._plain(x, *args, **kwargs)

    def _plain(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Compute without adapters, as ``enfold.nn.linear`` knows how."""
        return self.base_layer(x, *args, **kwargs) if args or kwargs else project(self.base_layer, x)

    def _through(self, names: Sequence[str], x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        given = x
        for name in names:
            x = self.before(name, x)
        y = self._plain(x if x.dtype == given.dtype else x.to(given.dtype), *args, **kwargs)
        dtype = y.dtype
        for name in names:
            y = self.after(name, given, y)
        return y if y.dtype == dtype else y.to(dtype)

    def _mixed(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Compute each row with its own adapter; rows that were repeated for beams keep their row's."""
        assert self.batch is not None
        if self.merged_adapters:
            raise ValueError(
                "rows with adapters of their own need adapters that are not merged: unmerge_adapter() first"
            )
        repeats, left = divmod(x.shape[0], len(self.batch))
        if left:
            raise ValueError(f"adapter_names has {len(self.batch)} names for {x.shape[0]} rows")
        places: dict[str, list[int]] = {}
        for row in range(x.shape[0]):
            places.setdefault(self.batch[row // repeats], []).append(row)
        if type(self).before is AdapterLayer.before and type(self)._through is AdapterLayer._through:
            y = self._plain(x, *args, **kwargs)  # which no adapter changes: once for all rows
            parts = {
                name: self.after(name, x[rows], y[rows]) if name in self.settings else y[rows]
                for name, rows in places.items()
            }
        else:
            parts = {
                name: self._through([name], x[rows], *args, **kwargs)
                if name in self.settings
                else self._plain(x[rows], *args, **kwargs)
                for name, rows in places.items()
            }
        order = torch.tensor([row for rows in places.values() for row in rows], device=x.device)
        back = torch.empty_like(order)
        back[order] = torch.arange(len(order), device=x.device)
        out = torch.cat([part.to(next(iter(parts.values())).dtype) for part in parts.values()])[back]
        return out if out.dtype == x.dtype or not x.is_floating_point() else out.to(x.dtype)
