"""The base of all models that OpenVINO runs: found or exported, compiled when first asked, saved and shared."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from enfold.errors import EnfoldError, nearest, required
from enfold.hub.errors import FileNotFoundInSource
from enfold.hub.fetch import find_file
from enfold.log import get_logger
from enfold.optimum.exporters.openvino.folders import FILES, write
from enfold.optimum.intel.openvino.configuration import OVConfig, QuantizationError, quantization_of
from enfold.optimum.runtimes.model import RuntimeModel
from enfold.transformers.config import AutoConfig, PretrainedConfig
from enfold.transformers.sharing import split_fetch_arguments

__all__ = ["OVBaseModel"]

logger = get_logger(__name__)

# Without fewer bits in the weights, what comes out is what torch computes; the processor's default would be bfloat16.
EXACT = {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32"}
LARGE = 1_000_000_000  # parameters from which weights are kept in eight bits, as optimum-intel does
# Accepted and without effect.
IGNORED = ("dynamic_shapes", "model_save_dir", "library_name", "use_auth_token", "from_onnx", "from_transformers")


class Port(NamedTuple):
    """What a graph takes: its number of dimensions, and its type as numpy's."""

    rank: int
    kind: Any


Take = Callable[[Any], Any]


class OVBaseModel(RuntimeModel):
    """A model that OpenVINO runs.

    Args:
        graphs: name of a part → its ``openvino.Model``.
        config: the model's configuration.
        device: ``"CPU"``, ``"GPU"``, ``"NPU"``, ``"AUTO"``.
        ov_config: properties of OpenVINO: ``{"INFERENCE_NUM_THREADS": 2}``. Unless weights have fewer bits,
            ``INFERENCE_PRECISION_HINT`` and ``KV_CACHE_PRECISION`` are ``"f32"`` here, so that outputs are torch's;
            ``"bf16"`` is faster where the processor has it.
        compile: make the graphs ready now; otherwise when they are first run.
        quantization_config: what the graphs' weights became, for ``save_pretrained``.
    """

    base_model_prefix: ClassVar[str] = "openvino_model"
    export_feature: ClassVar[str] = RuntimeModel.task

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.export_feature = cls.task  # optimum-intel's name

    def __init__(
        self,
        graphs: dict[str, Any],
        config: PretrainedConfig,
        device: str = "CPU",
        ov_config: Mapping[str, Any] | None = None,
        compile: bool = True,
        quantization_config: Any = None,
    ) -> None:
        super().__init__(config)
        self.graphs = graphs
        self.ov_config = {str(name): value for name, value in (ov_config or {}).items()}
        self.quantization_config = quantization_config
        self._device = device.upper()
        self._requests: dict[str, Any] = {}
        self._ports: dict[str, tuple[dict[str, Port], list[str]]] = {}
        self._given: dict[str, Any] = {}
        self._lock = Lock()
        if compile:
            self.compile()

    # --- from files, and to them

    @classmethod
    def from_pretrained(
        cls,
        model_id: str | os.PathLike[str],
        export: bool | None = None,
        config: PretrainedConfig | None = None,
        device: str = "CPU",
        ov_config: Mapping[str, Any] | None = None,
        load_in_8bit: bool | None = None,
        quantization_config: Any = None,
        compile: bool = True,
        file_name: str | None = None,
        trust_remote_code: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Return a model of a folder or repository.

        Args:
            model_id: a folder or a repository's id: of OpenVINO's files, or of weights, which are exported first.
            export: True exports the weights; False takes OpenVINO's files; None exports where there are none.
            config: instead of the one that lies there.
            device, ov_config, compile: see the class.
            load_in_8bit: keep weights in eight bits; by default from a billion parameters on.
            quantization_config: an ``OVWeightQuantizationConfig``, an ``OVQuantizationConfig`` with ``dataset``, or a
                dictionary.
            file_name: of the graph, where it is not ``openvino_model.xml``.
            trust_remote_code: let the repository's own classes run while exporting.
            kwargs: where to look (``subfolder``, ``revision``, ``cache_dir``, ``token``, ``local_files_only``,
                ``force_download``); ``use_cache`` and ``stateful`` of models that write, while exporting.

        Raises:
            OSError: there is no such graph, or no such repository.
            MissingExtra: without the package openvino, or for fewer bits without nncf.

        Example:
            >>> model = OVModelForSequenceClassification.from_pretrained(
            ...     "distilbert/distilbert-base-uncased-finetuned-sst-2-english")  # doctest: +SKIP
        """
        for name in IGNORED:
            kwargs.pop(name, None)
        where, rest = split_fetch_arguments(kwargs)
        making = {name: rest.pop(name) for name in ("use_cache", "stateful") if name in rest}
        if rest:
            name = next(iter(rest))
            known = [*inspect.signature(cls.from_pretrained).parameters, *where, "use_cache", "stateful"]
            raise EnfoldError(f"from_pretrained does not take {name!r}{nearest(name, known)}")
        how = quantization_of(quantization_config, load_in_8bit)
        if config is None:
            config = AutoConfig.from_pretrained(model_id, trust_remote_code=trust_remote_code, **where)
        graphs = {} if export else cls._read(model_id, file_name, where)
        stored = None
        if not graphs:
            if export is False or file_name is not None:
                wanted = file_name or FILES[cls.parts[0]]
                raise FileNotFoundInSource(f"{model_id!s} has no {wanted}; export=True makes one from its weights")
            graphs, count = cls._export(model_id, config, trust_remote_code, where, **making)
            if how is None and load_in_8bit is None and count >= LARGE:
                logger.info("%s has %d parameters: weights are kept in eight bits", model_id, count)
                how = quantization_of(None, True)
        else:
            path = find_file(model_id, OVConfig.FILE, required=False, **where)
            stored = None if path is None else OVConfig.from_pretrained(Path(path).parent).quantization_config
        config.name_or_path = str(model_id)
        model = cls._class_for(config)(graphs, config, device, ov_config, False, stored)
        if how is not None:
            model.compress(how)
        model._read_generation(model_id, where)
        if compile:
            model.compile()
        return model

    @classmethod
    def _class_for(cls, config: PretrainedConfig) -> Any:
        """Return the class that runs a family, where it is another."""
        return cls

    @classmethod
    def _read(cls, source: Any, file_name: str | None, where: dict[str, Any]) -> dict[str, Any]:
        """Return the graphs that lie somewhere; none where one that is needed is missing."""
        found: dict[str, Any] = {}
        for part in (*cls.parts, *cls.further_parts):
            name = file_name if file_name is not None and part == cls.parts[0] else FILES[part]
            path = find_file(source, name, required=False, **where)
            if path is None:
                if part in cls.parts:
                    return {}
                continue
            find_file(source, f"{name.removesuffix('.xml')}.bin", **where)  # the weights lie beside
            found[part] = core().read_model(path)
        return found

    @classmethod
    def _export(
        cls, source: Any, config: Any, trust: bool, where: dict[str, Any], use_cache: bool = True, stateful: bool = True
    ) -> tuple[dict[str, Any], int]:
        from enfold.optimum.exporters.openvino.graphs import graphs

        _openvino()
        model = cls._torch_model(source, config, trust, **where)
        return graphs(model, cls._export_task(use_cache), stateful), sum(
            parameter.numel() for parameter in model.parameters()
        )

    def _save_graphs(self, folder: Path) -> None:
        write(self.graphs, folder)
        if self.quantization_config is not None:
            OVConfig(quantization_config=self.quantization_config).save_pretrained(folder)

    # --- ready to run

    def compile(self) -> None:
        """Make the graphs ready for the device; those that are, stay."""
        runtime = core()
        names = [name.split(".", 1)[0] for name in runtime.available_devices]
        if self._device.split(":", 1)[0].split(".", 1)[0] not in [*names, "AUTO", "MULTI", "HETERO", "BATCH"]:
            raise EnfoldError(
                f"OpenVINO has no device {self._device!r} here{nearest(self._device, names)}; there are "
                f"{', '.join(runtime.available_devices)}"
            )
        exact = EXACT if self.quantization_config is None and self._device == "CPU" else {}
        properties = {**exact, **self.ov_config}
        if "PERFORMANCE_HINT" not in properties and "NUM_STREAMS" not in properties:
            properties["PERFORMANCE_HINT"] = "LATENCY"
        for name, graph in self.graphs.items():
            if name not in self._requests:
                compiled = runtime.compile_model(self.ready_graph(name, graph), self._device, properties)
                self._requests[name] = compiled.create_infer_request()

    def ready_graph(self, part: str, graph: Any) -> Any:
        """Return what is compiled of a graph: the graph, or a copy that does less."""
        return graph

    def request(self, part: str) -> Any:
        """Return OpenVINO's ``InferRequest`` of a part."""
        if part not in self._requests:
            self.compile()
        return self._requests[part]

    def clear_requests(self) -> None:
        """Forget what was made ready; the next run compiles again."""
        self._requests.clear()
        self._ports.clear()
        self._given.clear()

    def compress(self, how: Any) -> None:
        """Round the weights, or the layers, of every graph; see ``OVQuantizer`` for calibration."""
        from enfold.optimum.intel.openvino.quantization import compress

        if how.dataset is not None and len(self.graphs) > 1:
            raise QuantizationError(f"calibration is for models of one graph; this one has {', '.join(self.graphs)}")
        self.graphs = {name: compress(graph, how) for name, graph in self.graphs.items()}
        self.quantization_config = how
        self.clear_requests()

    def half(self) -> Any:
        """Keep weights in 16 bits, as ``save_pretrained`` will write them, and return the model."""
        from openvino._offline_transformations import compress_model_transformation

        for graph in self.graphs.values():
            compress_model_transformation(graph)
        self.clear_requests()
        return self

    def reshape(self, batch_size: int, sequence_length: int, height: int = -1, width: int = -1) -> Any:
        """Fix the sizes of inputs, which some devices need, and return the model.

        Args:
            batch_size: rows; -1 leaves it open.
            sequence_length: tokens or samples; channels of images are left alone.
            height, width: of images.

        Raises:
            EnfoldError: for models with state, whose sizes grow.
        """
        if self.can_generate():
            raise EnfoldError(f"{type(self).__name__} writes on: its sizes grow and cannot be fixed")
        for graph in self.graphs.values():
            shapes = {}
            for port in graph.inputs:
                shape = port.get_partial_shape()
                sizes = [batch_size, None, height, width] if len(shape) == 4 else [batch_size, sequence_length]
                for axis, size in enumerate(sizes[: len(shape)]):
                    if size is not None:
                        shape[axis] = size
                shapes[port.get_any_name()] = shape
            graph.reshape(shapes)
        self.clear_requests()
        return self

    # --- what other models have, too

    @property
    def model(self) -> Any:
        """OpenVINO's own model of the first part."""
        return self.graphs[self.parts[0]]

    @property
    def device(self) -> torch.device:
        """Where inputs are expected: in the processor's memory, whatever computes."""
        return torch.device("cpu")

    @property
    def dtype(self) -> torch.dtype:
        """Type of what goes in and comes out."""
        return torch.float32

    def to(self, device: Any = None, *_: Any, **__: Any) -> Any:
        """Let another of OpenVINO's devices compute, and return the model; ``torch.device("cpu")`` is ``"CPU"``."""
        name = "CPU" if device in (None, -1) else str(device).upper()
        if name != self._device:
            self._device = name
            self.clear_requests()
        return self

    def input_names(self, part: str) -> list[str]:
        """Return what a graph takes, in its order."""
        return list(self.ports(part)[0])

    def ports(self, part: str) -> tuple[dict[str, Port], list[str]]:
        """Return what a graph takes, name → port, and the names of what it gives, both in its order."""
        if part not in self._ports:
            graph = self.graphs[part]
            taken = {
                port.get_any_name(): Port(len(port.get_partial_shape()), port.get_element_type().to_dtype())
                for port in graph.inputs
            }
            self._ports[part] = taken, [port.get_any_name() for port in graph.outputs]
        return self._ports[part]

    def answer(self, given: Mapping[str, Any]) -> dict[str, Tensor]:
        """Run the first graph and return its outputs: name → tensor."""
        made = self.run(self.parts[0], self.prepared(self.parts[0], given))
        return {name: torch.from_numpy(value) for name, value in made.items()}

    def run(
        self, part: str, given: dict[str, Any], take: Mapping[str, Take] | None = None
    ) -> dict[str, np.ndarray[Any, Any]]:
        """Run one graph: name → array, of inputs and of outputs; inputs are not copied.

        Args:
            part: the graph.
            given: as ``prepared`` returns it: in the graph's order.
            take: name of an output → what copies that which is wanted out of it, as the next run overwrites it. By
                default all of every output.
        """
        request, names = self.request(part), self.ports(part)[1]
        tensor = _openvino().Tensor
        with self._lock:
            before = self._given.pop(part, {})
            for index, (name, array) in enumerate(given.items()):
                if before.get(name) is not array:
                    request.set_input_tensor(index, tensor(array, shared_memory=True))
            self._given[part] = given  # the request looks at their memory until it is given others
            made = request.infer(share_outputs=True).to_tuple()
            if take is None:
                return {name: np.array(value) for name, value in zip(names, made, strict=True)}
            return {name: take[name](value) for name, value in zip(names, made, strict=True) if name in take}

    def prepared(self, part: str, given: Mapping[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
        """Return the arrays that a graph takes, with those made that may be left out.

        Raises:
            EnfoldError: one is missing.
        """
        ports = self.ports(part)[0]
        ready: dict[str, np.ndarray[Any, Any]] = {}
        for name, value in self.completed(part, given).items():
            array = value.numpy(force=True) if isinstance(value, Tensor) else np.asarray(value)
            rank, kind = ports[name]
            if array.ndim + 1 == rank:
                array = array[None]  # one row of a data set
            array = np.ascontiguousarray(array, dtype=kind)
            ready[name] = array if array.flags.writeable else array.copy()  # OpenVINO shares no other memory
        return ready

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self.graphs)}, device={self._device!r})"


@cache
def core() -> Any:
    """Return the one ``openvino.Core`` of this process.

    On processors with AMX each Core gives its thread a stack for signals, and the first of several to end frees the one
    in use: the next signal with a handler, such as the end of a data loader's worker, would end the process.
    """
    return _openvino().Core()


def _openvino() -> Any:
    return required("openvino", "OpenVINO", "openvino")
