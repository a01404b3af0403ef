"""An ONNX Runtime session that takes and gives torch's tensors, sharing their memory."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from enfold.errors import EnfoldError, nearest, required
from enfold.optimum.runtimes.pages import LargePages

__all__ = ["ProviderError", "Session", "device_of", "providers_for"]

# What onnxruntime calls types → torch's.
TYPES = {
    "tensor(float)": torch.float32,
    "tensor(float16)": torch.float16,
    "tensor(bfloat16)": torch.bfloat16,
    "tensor(double)": torch.float64,
    "tensor(int64)": torch.int64,
    "tensor(int32)": torch.int32,
    "tensor(bool)": torch.bool,
}
GPU = ("CUDAExecutionProvider", "TensorrtExecutionProvider", "ROCMExecutionProvider")


class ProviderError(EnfoldError, ValueError):
    """onnxruntime, as installed, has no such execution provider."""


def runtime() -> Any:
    """Return onnxruntime.

    Raises:
        MissingExtra: when it is not installed.
    """
    return required("onnxruntime", "running ONNX files", "onnx")


@cache
def values() -> Any:
    """Return onnxruntime's own class of values."""
    from onnxruntime.capi.onnxruntime_pybind11_state import OrtValue

    return OrtValue


def providers_for(provider: str) -> list[str]:
    """Return the providers to ask for: the one named, and the processor for what it cannot do.

    Raises:
        ProviderError: when it is not installed; the message says which are.
    """
    there = runtime().get_available_providers()
    if provider not in there:
        raise ProviderError(
            f"onnxruntime has no {provider!r} here{nearest(provider, there)}; it has {', '.join(there)}"
        )
    return [provider] if provider == "CPUExecutionProvider" else [provider, "CPUExecutionProvider"]


def device_of(provider: str) -> torch.device:
    """Return where tensors for a provider live."""
    return torch.device("cuda") if provider in GPU else torch.device("cpu")


class Session:
    """A graph that is ready to run.

    Args:
        path: the file.
        provider: an execution provider.
        session_options: of onnxruntime; its own defaults otherwise.
        provider_options: of the provider.

    Attributes:
        inputs: name → type, in the graph's order.
        outputs: names, in the graph's order.
        shapes: name of an input → its dimensions, names where they vary.
        pages: moves the weights to large pages.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        provider: str = "CPUExecutionProvider",
        session_options: Any = None,
        provider_options: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = Path(path)
        names = providers_for(provider)
        options = [dict(provider_options or {}), *({} for _ in names[1:])]
        with LargePages() as self.pages:
            self.session = runtime().InferenceSession(
                str(path), session_options, providers=names, provider_options=options
            )
        self.provider, self.device = provider, device_of(provider)
        self.inputs = {value.name: TYPES[value.type] for value in self.session.get_inputs()}
        self.shapes = {value.name: list(value.shape) for value in self.session.get_inputs()}
        self.outputs = [value.name for value in self.session.get_outputs()]

    def run(
        self, given: Mapping[str, Any], outputs: Sequence[str] | None = None, alone: bool = False
    ) -> dict[str, Any]:
        """Run the graph; nothing is copied where tensors have the graph's types and lie where it runs.

        Args:
            given: name → tensor, or onnxruntime's own value of an earlier run.
            outputs: names of what is wanted; all by default.
            alone: leave out what only the other outputs need.

        Returns:
            Name → onnxruntime's own value; ``tensor_of`` shows it to torch.
        """
        names = self.outputs if outputs is None else list(outputs)
        feeds = {name: value_of(given[name], kind) for name, kind in self.inputs.items()}
        options = None
        if alone:
            options = runtime().RunOptions()
            options.only_execute_path_to_fetches = True
        found = self.session._sess.run_with_ort_values(feeds, names, options)
        return dict(zip(names, found, strict=True))

    def __call__(self, given: Mapping[str, Any], outputs: Sequence[str] | None = None) -> dict[str, Tensor]:
        """Run the graph and return name → tensor."""
        return {name: tensor_of(value) for name, value in self.run(given, outputs).items()}


def value_of(given: Any, kind: torch.dtype) -> Any:
    """Return onnxruntime's view of a tensor, in the type that the graph takes."""
    if not isinstance(given, Tensor):
        if isinstance(given, np.ndarray):
            given = torch.from_numpy(np.ascontiguousarray(given))
        else:
            return given  # onnxruntime's already
    if given.requires_grad:
        given = given.detach()
    if given.dtype != kind:
        given = given.to(kind)
    if not given.is_contiguous():
        given = given.contiguous()
    return values().from_dlpack(torch.utils.dlpack.to_dlpack(given))


def tensor_of(value: Any) -> Tensor:
    """Return torch's view of onnxruntime's value; it keeps the memory alive."""
    return torch.utils.dlpack.from_dlpack(value.to_dlpack())  # type: ignore[no-any-return]
