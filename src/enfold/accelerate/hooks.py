"""What runs before and after a module's forward: bringing its weights where they compute, and taking them away."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from enfold.accelerate.offload import PrefixedDataset
from enfold.accelerate.operations import find_device, send_to_device
from enfold.accelerate.sizes import Place, named_module_tensors, set_module_tensor_to_device

__all__ = [
    "AlignDevicesHook",
    "CpuOffload",
    "LayerwiseCastingHook",
    "ModelHook",
    "SequentialHook",
    "UserCpuOffloadHook",
    "add_hook_to_module",
    "align_module_device",
    "attach_align_device_hook",
    "attach_align_device_hook_on_blocks",
    "attach_execution_device_hook",
    "has_offloaded_params",
    "remove_hook_from_module",
    "remove_hook_from_submodules",
]


class ModelHook:
    """What happens around a module's forward; every method may be overridden.

    Attributes:
        no_grad: run the forward without gradients.
    """

    no_grad = False

    def init_hook(self, module: nn.Module) -> nn.Module:
        """Act once, when the hook is added; return the module."""
        return module

    def pre_forward(self, module: nn.Module, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Act before the forward; return its arguments."""
        return args, kwargs

    def post_forward(self, module: nn.Module, output: Any) -> Any:
        """Act after the forward; return its output."""
        return output

    def detach_hook(self, module: nn.Module) -> nn.Module:
        """Undo what the hook did, when it is removed; return the module."""
        return module


class SequentialHook(ModelHook):
    """Several hooks, one after the other."""

    def __init__(self, *hooks: ModelHook) -> None:
        self.hooks = hooks

    def init_hook(self, module: nn.Module) -> nn.Module:
        """Add each."""
        return functools.reduce(lambda inner, hook: hook.init_hook(inner), self.hooks, module)

    def pre_forward(self, module: nn.Module, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Pass the arguments through each."""
        for hook in self.hooks:
            args, kwargs = hook.pre_forward(module, *args, **kwargs)
        return args, kwargs

    def post_forward(self, module: nn.Module, output: Any) -> Any:
        """Pass the output through each."""
        return functools.reduce(lambda value, hook: hook.post_forward(module, value), self.hooks, output)

    def detach_hook(self, module: nn.Module) -> nn.Module:
        """Remove each."""
        return functools.reduce(lambda inner, hook: hook.detach_hook(inner), self.hooks, module)


def add_hook_to_module(module: nn.Module, hook: ModelHook, append: bool = False) -> nn.Module:
    """Let a hook act around a module's forward.

    Args:
        module: the module, changed in place.
        hook: the hook.
        append: keep a hook that is already there, and act after it; otherwise it is replaced.

    Example:
        >>> class Double(ModelHook):
        ...     def post_forward(self, module, output):
        ...         return output * 2
        >>> layer = add_hook_to_module(nn.Identity(), Double())
        >>> layer(torch.ones(1))
        tensor([2.])
    """
    known = vars(module).get("_hf_hook")
    if append and known is not None:
        hook = SequentialHook(known, hook)
        known = None
        remove_hook_from_module(module, detach=False)
    if known is not None:
        remove_hook_from_module(module, detach=False)
    plain = module.forward
    vars(module)["_had_own_forward"] = "forward" in vars(module)
    vars(module)["_old_forward"] = plain
    vars(module)["_hf_hook"] = hook
    module = hook.init_hook(module)

    @functools.wraps(plain)
    def forward(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = hook.pre_forward(module, *args, **kwargs)
        with torch.no_grad() if hook.no_grad else contextlib.nullcontext():
            output = vars(module)["_old_forward"](*args, **kwargs)
        return hook.post_forward(module, output)

    module.forward = forward  # type: ignore[method-assign]
    return module


def remove_hook_from_module(module: nn.Module, recurse: bool = False, *, detach: bool = True) -> nn.Module:
    """Take a module's hook away and give it its own forward back.

    Args:
        module: the module, changed in place.
        recurse: submodules too.
        detach: let the hook undo what it did.
    """
    own = vars(module)
    if "_hf_hook" in own:
        if detach:
            own["_hf_hook"].detach_hook(module)
        del own["_hf_hook"]
        plain = own.pop("_old_forward")
        if own.pop("_had_own_forward"):
            module.forward = plain  # type: ignore[method-assign]
        else:
            own.pop("forward", None)
    if recurse:
        for child in module.children():
            remove_hook_from_module(child, recurse=True, detach=detach)
    return module


def remove_hook_from_submodules(module: nn.Module) -> None:
    """Take the hooks of a module and of everything in it away."""
    remove_hook_from_module(module, recurse=True)


class AlignDevicesHook(ModelHook):
    """Bring a module's inputs, and weights that are kept elsewhere, to the device it computes on.

    Args:
        execution_device: where it computes; None leaves its weights where they are.
        offload: keep the weights away between two forwards.
        io_same_device: put the output where the input was.
        weights_map: where the weights are kept; by default in memory.
        offload_buffers: keep buffers away too.
        place_submodules: act for everything in the module, not for its own tensors alone.
        skip_keys: keyword arguments that stay where they are, such as a cache.
        tied_params_map: accepted for the ecosystem's callers; tied weights are found in ``weights_map``.
    """

    def __init__(
        self,
        execution_device: Place | None = None,
        offload: bool = False,
        io_same_device: bool = False,
        weights_map: Mapping[str, Tensor] | None = None,
        offload_buffers: bool = False,
        place_submodules: bool = False,
        skip_keys: str | list[str] | None = None,
        tied_params_map: Any = None,
    ) -> None:
        self.execution_device, self.offload, self.io_same_device = execution_device, offload, io_same_device
        self.weights_map, self.offload_buffers, self.place_submodules = weights_map, offload_buffers, place_submodules
        self.skip_keys = skip_keys
        self.input_device: torch.device | None = None
        self.original_devices: dict[str, torch.device] = {}

    def _tensors(self, module: nn.Module, buffers: bool, away: bool = False) -> list[tuple[str, Tensor]]:
        return list(named_module_tensors(module, buffers, recurse=self.place_submodules, remove_non_persistent=away))

    def init_hook(self, module: nn.Module) -> nn.Module:
        """Put the weights where they compute, or away."""
        if self.execution_device is None:
            return module
        if not self.offload:
            for name, tensor in self._tensors(module, True):
                if not tensor.is_meta:
                    set_module_tensor_to_device(module, name, self.execution_device)
            return module
        self.original_devices = {name: tensor.device for name, tensor in self._tensors(module, True)}
        kept = self._tensors(module, self.offload_buffers, away=True)
        if self.weights_map is None:
            self.weights_map = {name: tensor.detach().to("cpu") for name, tensor in kept}
        for name, _ in kept:
            set_module_tensor_to_device(module, name, "meta")
        for name, tensor in self._tensors(module, True):
            if not tensor.is_meta:  # what is not kept away stays at hand
                set_module_tensor_to_device(module, name, self.execution_device)
        return module

    def pre_forward(self, module: nn.Module, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Bring weights and inputs."""
        if self.io_same_device:
            self.input_device = find_device([args, kwargs])
        if self.execution_device is None:
            return args, kwargs
        if self.offload:
            assert self.weights_map is not None
            for name, _ in self._tensors(module, self.offload_buffers, away=True):
                set_module_tensor_to_device(module, name, self.execution_device, value=self.weights_map[name])
        device = torch.device(self.execution_device)
        return send_to_device(args, device), send_to_device(kwargs, device, skip_keys=self.skip_keys)

    def post_forward(self, module: nn.Module, output: Any) -> Any:
        """Take the weights away, and the output back."""
        if self.offload:
            for name, _ in self._tensors(module, self.offload_buffers, away=True):
                set_module_tensor_to_device(module, name, "meta")
        if self.io_same_device and self.input_device is not None:
            output = send_to_device(output, self.input_device, skip_keys=self.skip_keys)
        return output

    def detach_hook(self, module: nn.Module) -> nn.Module:
        """Give the module its weights back, on the devices where they were."""
        if self.offload and self.weights_map is not None:
            for name, device in self.original_devices.items():
                if device.type != "meta" and name in self.weights_map:
                    set_module_tensor_to_device(module, name, device, value=self.weights_map[name])
        return module


def attach_execution_device_hook(
    module: nn.Module,
    execution_device: Place,
    skip_keys: str | list[str] | None = None,
    preload_module_classes: list[str] | None = None,
) -> None:
    """Let everything in a module that has weights, and no hook yet, compute on one device."""
    if "_hf_hook" not in vars(module) and len(module.state_dict()) > 0:
        add_hook_to_module(module, AlignDevicesHook(execution_device, skip_keys=skip_keys))
    if type(module).__name__ in (preload_module_classes or []):
        return
    for child in module.children():
        attach_execution_device_hook(child, execution_device, skip_keys, preload_module_classes)


def attach_align_device_hook(
    module: nn.Module,
    execution_device: Place | None = None,
    offload: bool = False,
    weights_map: Mapping[str, Tensor] | None = None,
    offload_buffers: bool = False,
    module_name: str = "",
    skip_keys: str | list[str] | None = None,
    preload_module_classes: list[str] | None = None,
    tied_params_map: Any = None,
) -> None:
    """Let every submodule that has tensors of its own bring them, and its inputs, when it computes.

    Args:
        module, module_name: the module, and the name of it that ``weights_map`` knows.
        execution_device: where it computes.
        offload: keep the weights away between two forwards, in ``weights_map``.
        offload_buffers: keep buffers away too.
        skip_keys: keyword arguments that stay where they are.
        preload_module_classes: names of classes whose weights are brought all at once.
        tied_params_map: accepted for the ecosystem's callers.
    """
    whole = offload and type(module).__name__ in (preload_module_classes or [])
    if whole or next(named_module_tensors(module), None) is not None:
        prefix = f"{module_name}." if module_name else ""
        kept = None if weights_map is None else PrefixedDataset(weights_map, prefix)
        hook = AlignDevicesHook(
            execution_device,
            offload=offload,
            weights_map=kept,
            offload_buffers=offload_buffers,
            place_submodules=whole,
            skip_keys=skip_keys,
        )
        add_hook_to_module(module, hook, append=True)
    if whole:
        return
    for name, child in module.named_children():
        attach_align_device_hook(
            child,
            execution_device,
            offload,
            weights_map,
            offload_buffers,
            f"{module_name}.{name}" if module_name else name,
            skip_keys,
            preload_module_classes,
        )


def attach_align_device_hook_on_blocks(
    module: nn.Module,
    execution_device: Place | dict[str, Any] | None = None,
    offload: bool | dict[str, bool] = False,
    weights_map: Mapping[str, Tensor] | None = None,
    offload_buffers: bool = False,
    module_name: str = "",
    skip_keys: str | list[str] | None = None,
    preload_module_classes: list[str] | None = None,
    tied_params_map: Any = None,
) -> None:
    """Let the modules that a device map names compute where it says.

    Args:
        module, module_name: the module, and its name.
        execution_device: name → where it computes, or one device for all.
        offload: name → whether its weights are kept away between two forwards.
        weights_map, offload_buffers, skip_keys, preload_module_classes, tied_params_map: as in
            :func:`attach_align_device_hook`.
    """
    places = execution_device if isinstance(execution_device, dict) else {"": execution_device}
    away = offload if isinstance(offload, dict) else {name: bool(offload) for name in places}
    top = module_name == ""
    if module_name in places:
        place = places[module_name]
        if away.get(module_name, False):
            attach_align_device_hook(
                module, place, True, weights_map, offload_buffers, module_name, skip_keys, preload_module_classes
            )
            if "_hf_hook" not in vars(module):
                add_hook_to_module(module, AlignDevicesHook(place, io_same_device=top, skip_keys=skip_keys))
        else:
            hook = AlignDevicesHook(place, io_same_device=top, place_submodules=True, skip_keys=skip_keys)
            add_hook_to_module(module, hook, append=True)
        if place is not None:
            attach_execution_device_hook(module, place, skip_keys, preload_module_classes)
    elif top:
        add_hook_to_module(module, AlignDevicesHook(io_same_device=True, skip_keys=skip_keys), append=True)
    for name, child in module.named_children():
        attach_align_device_hook_on_blocks(
            child,
            places,
            away,
            weights_map,
            offload_buffers,
            f"{module_name}.{name}" if module_name else name,
            skip_keys,
            preload_module_classes,
        )


class CpuOffload(ModelHook):
    """Keep a whole model on the processor until its forward, then let it stay on its device.

    Args:
        execution_device: where it computes; by default the first GPU, or the processor.
        prev_module_hook: the model that ran before in a pipeline, sent back when this one comes.
    """

    def __init__(
        self, execution_device: Place | None = None, prev_module_hook: UserCpuOffloadHook | None = None
    ) -> None:
        default = "cuda" if torch.cuda.is_available() else "cpu"
        self.execution_device = torch.device(default if execution_device is None else execution_device)
        self.prev_module_hook = prev_module_hook

    def init_hook(self, module: nn.Module) -> nn.Module:
        """Put the model on the processor."""
        return module.to("cpu")

    def pre_forward(self, module: nn.Module, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Bring the model and its inputs."""
        if self.prev_module_hook is not None:
            self.prev_module_hook.offload()
        module.to(self.execution_device)
        return send_to_device(args, self.execution_device), send_to_device(kwargs, self.execution_device)


class UserCpuOffloadHook:
    """A model and its :class:`CpuOffload`, in the hands of whoever sends it back."""

    def __init__(self, model: nn.Module, hook: CpuOffload) -> None:
        self.model, self.hook = model, hook

    def offload(self) -> None:
        """Send the model back to the processor."""
        self.hook.init_hook(self.model)

    def remove(self) -> None:
        """Take the hook away."""
        remove_hook_from_module(self.model)


class LayerwiseCastingHook(ModelHook):
    """Keep a module's weights in one type and compute in another.

    Args:
        storage_dtype: type between two forwards, such as ``torch.float8_e4m3fn``.
        compute_dtype: type during a forward.
        non_blocking: do not wait for copies.
    """

    def __init__(self, storage_dtype: torch.dtype, compute_dtype: torch.dtype, non_blocking: bool = False) -> None:
        self.storage_dtype, self.compute_dtype, self.non_blocking = storage_dtype, compute_dtype, non_blocking

    def init_hook(self, module: nn.Module) -> nn.Module:
        """Store the weights in the storage type."""
        return module.to(dtype=self.storage_dtype, non_blocking=self.non_blocking)

    def pre_forward(self, module: nn.Module, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Turn the weights into the type to compute in."""
        module.to(dtype=self.compute_dtype, non_blocking=self.non_blocking)
        return args, kwargs

    def post_forward(self, module: nn.Module, output: Any) -> Any:
        """Turn them back."""
        module.to(dtype=self.storage_dtype, non_blocking=self.non_blocking)
        return output


def has_offloaded_params(module: nn.Module) -> bool:
    """Return whether a module's weights are kept away between two forwards."""
    hook = vars(module).get("_hf_hook")
    return isinstance(hook, AlignDevicesHook) and hook.offload


@contextlib.contextmanager
def align_module_device(module: nn.Module, execution_device: Place | None = None) -> Iterator[None]:
    """Have a module's own weights at hand for the length of a ``with`` block, wherever they are kept.

    Changes to weights that are kept away are lost at its end.

    Args:
        module: the module.
        execution_device: where its weights go; by default where its hook has it compute.
    """
    if has_offloaded_params(module):
        hook = vars(module)["_hf_hook"]
        usual = hook.execution_device
        if execution_device is not None:
            hook.execution_device = execution_device
        try:
            hook.pre_forward(module)
            yield
        finally:
            hook.post_forward(module, None)
            hook.execution_device = usual
        return
    before = {name: parameter.device for name, parameter in module.named_parameters(recurse=False)}
    try:
        if execution_device is not None:
            for name in before:
                set_module_tensor_to_device(module, name, execution_device)
        yield
    finally:
        if execution_device is not None:
            for name, device in before.items():
                set_module_tensor_to_device(module, name, device)
