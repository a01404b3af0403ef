"""Engines that run: TensorRT's own, and the options of onnxruntime's TensorRT provider."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from enfold.optimum.tensorrt.building import EngineConfig, TensorRTError, inputs_of, tensorrt

__all__ = ["Engine", "onnx_model", "provider_options"]


class Engine:
    """An engine, which takes and gives torch's tensors on its GPU.

    Args:
        path: of a file that ``build_engine`` or ``trtexec`` wrote. An engine runs on the kind of GPU and with the
            version of TensorRT that it was built with.
        device: of the GPU.

    Raises:
        TensorRTError: without the package tensorrt or a GPU, or for an engine of another version.

    Example:
        >>> engine = Engine("model.engine")  # doctest: +SKIP
        >>> engine(input_ids=ids, attention_mask=mask)["logits"].shape  # doctest: +SKIP
        torch.Size([1, 2])
    """

    def __init__(self, path: str | os.PathLike[str], device: str | torch.device = "cuda") -> None:
        trt = tensorrt()
        self.device = torch.device(device)
        if self.device.type != "cuda" or not torch.cuda.is_available():
            raise TensorRTError(f"an engine runs on an NVIDIA GPU; there is none for device={str(device)!r}")
        runtime = trt.Runtime(trt.Logger(trt.Logger.WARNING))
        self.engine = runtime.deserialize_cuda_engine(Path(path).read_bytes())
        if self.engine is None:
            raise TensorRTError(f"{os.fspath(path)} is no engine of this GPU and TensorRT {trt.__version__}")
        self.context = self.engine.create_execution_context()
        self.inputs: dict[str, torch.dtype] = {}
        self.outputs: dict[str, torch.dtype] = {}
        for index in range(self.engine.num_io_tensors):
            name = self.engine.get_tensor_name(index)
            taken = self.engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
            (self.inputs if taken else self.outputs)[name] = _type(trt, self.engine.get_tensor_dtype(name))

    def __call__(self, **given: Tensor) -> dict[str, Tensor]:
        """Run the engine.

        Args:
            given: name → tensor; what the engine does not take is not looked at.

        Returns:
            Name → tensor on the GPU.

        Raises:
            TensorRTError: an input is missing, or of a size that the engine was not built for.
        """
        missing = [name for name in self.inputs if name not in given]
        if missing:
            raise TensorRTError(f"the engine needs {', '.join(missing)}; it was given {', '.join(given) or 'nothing'}")
        kept = {name: given[name].to(self.device, kind).contiguous() for name, kind in self.inputs.items()}
        for name, tensor in kept.items():
            if not self.context.set_input_shape(name, tuple(tensor.shape)):
                raise TensorRTError(f"{name} is {tuple(tensor.shape)}, which the engine was not built for")
            self.context.set_tensor_address(name, tensor.data_ptr())
        made = {}
        for name, kind in self.outputs.items():
            made[name] = torch.empty(tuple(self.context.get_tensor_shape(name)), dtype=kind, device=self.device)
            self.context.set_tensor_address(name, made[name].data_ptr())
        stream = torch.cuda.current_stream(self.device)
        if not self.context.execute_async_v3(stream.cuda_stream):
            raise TensorRTError("TensorRT did not run the engine; its log says why")
        stream.synchronize()
        return made


def provider_options(
    onnx_path: str | os.PathLike[str], config: EngineConfig | None = None, cache: str | os.PathLike[str] | None = None
) -> dict[str, str]:
    """Return the options of onnxruntime's ``TensorrtExecutionProvider`` for a file.

    Args:
        onnx_path: the file, which is read for its free dimensions.
        config: how its engine is built.
        cache: a folder that keeps the engine for the next start; none by default.

    Example:
        >>> options = provider_options("model.onnx")  # doctest: +SKIP
        >>> ORTModelForCausalLM.from_pretrained(  # doctest: +SKIP
        ...     "folder", provider="TensorrtExecutionProvider", provider_options=options)
    """
    config = config or EngineConfig()
    options = {"trt_max_workspace_size": str(config.workspace << 20)}
    if config.precision != "fp32":
        options[f"trt_{config.precision}_enable"] = "True"
    if cache is not None:
        options |= {"trt_engine_cache_enable": "True", "trt_engine_cache_path": os.fspath(cache)}
    shapes = config.shapes(inputs_of(onnx_path))
    for place, option in enumerate(("min", "opt", "max")):
        if shapes:
            options[f"trt_profile_{option}_shapes"] = ",".join(
                f"{name}:{'x'.join(map(str, three[place]))}" for name, three in shapes.items()
            )
    return options


def onnx_model(path: str | os.PathLike[str]) -> Any:
    """Return the description of an ONNX file, without large weights that lie beside it."""
    import onnx

    return onnx.load(os.fspath(path), load_external_data=False)


def _type(trt: Any, kind: Any) -> torch.dtype:
    names = {"FLOAT": "float32", "HALF": "float16", "BF16": "bfloat16", "INT64": "int64", "INT32": "int32"}
    names |= {"INT8": "int8", "UINT8": "uint8", "BOOL": "bool"}
    for name, found in names.items():
        if hasattr(trt.DataType, name) and kind == getattr(trt.DataType, name):
            return getattr(torch, found)  # type: ignore[no-any-return]
    raise TensorRTError(f"the engine has tensors of type {kind}, which torch does not have")
