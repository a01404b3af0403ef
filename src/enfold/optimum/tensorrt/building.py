"""Engines of ONNX files: by TensorRT's Python package, or by a script that runs where the GPU is."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from enfold.errors import EnfoldError, nearest

__all__ = ["EngineConfig", "Profile", "TensorRTError", "build_engine", "build_script", "tensorrt"]

PRECISIONS = ("fp32", "fp16", "bf16", "int8")
DEFAULTS = {"batch_size": (1, 1, 8), "sequence_length": (1, 128, 512), "decoder_sequence_length": (1, 16, 128)}
DEFAULTS |= {"encoder_sequence_length": (1, 128, 512), "height": (32, 224, 512), "width": (32, 224, 512)}
DEFAULTS |= {"audio_sequence_length": (16000, 160000, 480000), "num_choices": (1, 4, 8)}


class TensorRTError(EnfoldError, RuntimeError):
    """No engine can be built or run."""


class Profile(tuple[int, int, int]):
    """The least, the usual and the greatest size of a dimension, for which an engine is made.

    Raises:
        TensorRTError: they are not in this order.

    Example:
        >>> Profile((1, 4, 8))
        (1, 4, 8)
    """

    __slots__ = ()

    def __new__(cls, sizes: tuple[int, int, int]) -> Profile:
        made = super().__new__(cls, sizes)
        if len(made) != 3 or not 0 < made[0] <= made[1] <= made[2]:
            raise TensorRTError(f"a profile is least ≤ usual ≤ greatest, all above 0, not {tuple(sizes)}")
        return made


@dataclass
class EngineConfig:
    """How an engine is built.

    Args:
        precision: ``"fp32"``, ``"fp16"``, ``"bf16"``, or ``"int8"`` for files whose layers are rounded already.
        profiles: name of a dimension, as the exported file has it → sizes; unnamed ones have those of ``DEFAULTS``.
        workspace: memory that building may take, in MiB.
        strongly_typed: let the file's own types decide, as TensorRT from 11 on always does; ``precision`` is then the
            export's matter.

    Raises:
        TensorRTError: for another precision or wrong sizes.
    """

    precision: str = "fp16"
    profiles: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    workspace: int = 4096
    strongly_typed: bool = False

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            hint = nearest(self.precision, PRECISIONS)
            raise TensorRTError(f"precision={self.precision!r}{hint}; there are {', '.join(PRECISIONS)}")
        self.profiles = {name: Profile(sizes) for name, sizes in self.profiles.items()}

    def shapes(self, inputs: Mapping[str, list[int | str]]) -> dict[str, list[list[int]]]:
        """Return name of an input → its least, usual and greatest shape, for inputs with free dimensions.

        Args:
            inputs: name → sizes, free ones by name.

        Raises:
            TensorRTError: a free dimension has no profile.
        """
        found = {}
        for name, sizes in inputs.items():
            if all(isinstance(size, int) for size in sizes):
                continue
            found[name] = [[self._size(name, size, place) for size in sizes] for place in range(3)]
        return found

    def _size(self, name: str, size: int | str, place: int) -> int:
        if isinstance(size, int):
            return size
        total = 0
        for one in size.split(" + "):  # such as "past_sequence_length + sequence_length"
            profile = self.profiles.get(one) or DEFAULTS.get(one)
            if profile is None and one.startswith("past_"):
                profile = self.profiles.get(one.removeprefix("past_")) or DEFAULTS.get(one.removeprefix("past_"))
            if profile is None:
                known = [*self.profiles, *DEFAULTS]
                raise TensorRTError(
                    f"{name} has the free dimension {one!r}, which has no profile{nearest(one, known)}: pass "
                    f"profiles={{{one!r}: (least, usual, greatest)}}"
                )
            total += profile[place]
        return total


def inputs_of(path: str | os.PathLike[str]) -> dict[str, list[int | str]]:
    """Return name of an input → sizes of an ONNX file; free dimensions by their names."""
    from enfold.optimum.tensorrt.running import onnx_model

    graph = onnx_model(path).graph
    stored = {one.name for one in graph.initializer}
    return {
        one.name: [
            size.dim_param or (size.dim_value if size.HasField("dim_value") else f"{one.name}_{axis}")
            for axis, size in enumerate(one.type.tensor_type.shape.dim)
        ]
        for one in graph.input
        if one.name not in stored
    }


def build_engine(
    onnx_path: str | os.PathLike[str], engine_path: str | os.PathLike[str], config: EngineConfig | None = None
) -> Path:
    """Build an engine on this machine's GPU, write it, and return its path.

    Args:
        onnx_path: an ONNX file, such as ``enfold export onnx`` writes.
        engine_path: where the engine goes.
        config: how it is built.

    Raises:
        TensorRTError: without the package tensorrt, or when it refuses the file: its own words are passed on.
    """
    trt = tensorrt()
    config = config or EngineConfig()
    shapes = config.shapes(inputs_of(onnx_path))
    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    typed = config.strongly_typed or not hasattr(trt.BuilderFlag, "FP16")
    flags = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED) if typed else 0
    network = builder.create_network(flags)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(os.fspath(onnx_path)):
        reasons = "; ".join(str(parser.get_error(index)) for index in range(parser.num_errors))
        raise TensorRTError(f"TensorRT does not take {onnx_path}: {reasons}")
    settings = builder.create_builder_config()
    settings.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, config.workspace << 20)
    if config.precision != "fp32" and not typed:
        settings.set_flag(getattr(trt.BuilderFlag, config.precision.upper()))
    if shapes:
        profile = builder.create_optimization_profile()
        for name, sizes in shapes.items():
            profile.set_shape(name, *sizes)
        settings.add_optimization_profile(profile)
    made = builder.build_serialized_network(network, settings)
    if made is None:
        raise TensorRTError(f"TensorRT built no engine of {onnx_path}; its log says why")
    target = Path(engine_path)
    fresh = target.with_name(f".{target.name}.part")
    fresh.write_bytes(memoryview(made))
    fresh.replace(target)
    return target


def build_script(
    onnx_path: str | os.PathLike[str], engine_path: str | os.PathLike[str], config: EngineConfig | None = None
) -> str:
    """Return a shell script that builds the engine with NVIDIA's ``trtexec``, where the GPU is.

    Args:
        onnx_path: the file, which is read for its free dimensions.
        engine_path: where the engine goes, beside the script.
        config: how it is built.
    """
    config = config or EngineConfig()
    words = [f"--onnx={Path(onnx_path).name}", f"--saveEngine={os.fspath(engine_path)}"]
    words.append(f"--memPoolSize=workspace:{config.workspace}M")
    if config.strongly_typed:
        words.append("--stronglyTyped")
    elif config.precision != "fp32":
        words.append(f"--{config.precision}")
    shapes = config.shapes(inputs_of(onnx_path))
    for place, option in enumerate(("minShapes", "optShapes", "maxShapes")):
        if shapes:
            sizes = ",".join(f"{name}:{'x'.join(map(str, three[place]))}" for name, three in shapes.items())
            words.append(f"--{option}={sizes}")
    lines = " \\\n    ".join(["trtexec", *map(shlex.quote, words)])
    about = "# Builds a TensorRT engine; run it on the machine with the GPU, beside the ONNX file."
    return "\n".join(["#!/bin/sh", about, "set -e", 'cd "$(dirname "$0")"', lines, ""])


def tensorrt() -> Any:
    """Return the package tensorrt.

    Raises:
        TensorRTError: it is not installed.
    """
    try:
        import tensorrt as found
    except ModuleNotFoundError as error:
        if error.name != "tensorrt":
            raise
        raise TensorRTError(
            "engines need NVIDIA's package tensorrt, which is not installed: pip install tensorrt. build_script writes "
            "what builds one elsewhere, and onnxruntime-gpu has TensorrtExecutionProvider"
        ) from None
    return found
