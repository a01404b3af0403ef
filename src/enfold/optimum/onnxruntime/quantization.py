"""Graphs of eight-bit numbers: ranges measured while running, or beforehand on examples."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from enfold.errors import EnfoldError
from enfold.optimum.onnxruntime.configuration import CalibrationConfig, ORTConfig, QuantizationConfig
from enfold.optimum.onnxruntime.optimization import ORTOptimizer
from enfold.transformers.config import AutoConfig

__all__ = ["ORTQuantizer"]

OPERATORS = ("MatMul", "Gemm", "Conv", "Gather")  # those with weights


class ORTQuantizer:
    """Quantizes one graph of a model.

    Args:
        onnx_model_path: the file.
        config: the model's configuration.

    Example:
        >>> quantizer = ORTQuantizer.from_pretrained("onnx/")  # doctest: +SKIP
        >>> quantizer.quantize(AutoQuantizationConfig.avx512_vnni(is_static=False), "int8/")  # doctest: +SKIP
    """

    def __init__(self, onnx_model_path: str | os.PathLike[str], config: Any = None) -> None:
        self.onnx_model_path = Path(onnx_model_path)
        self.config = config
        self._calibrator: Any = None
        self._folder: Any = None

    @classmethod
    def from_pretrained(cls, model_or_path: Any, file_name: str | None = None) -> ORTQuantizer:
        """Return a quantizer for an ``ORTModel`` of one graph, or a file of a folder.

        Raises:
            EnfoldError: when there are several graphs and ``file_name`` does not choose.
        """
        if hasattr(model_or_path, "sessions"):
            paths, config = [session.path for session in model_or_path.sessions.values()], model_or_path.config
            if file_name is not None:
                paths = [path for path in paths if path.name == file_name]
        else:
            names = None if file_name is None else [file_name]
            found = ORTOptimizer.from_pretrained(model_or_path, names)
            paths, config = found.onnx_model_path, found.config
        if len(paths) != 1:
            names = [path.name for path in paths]
            raise EnfoldError(f"one graph at a time: pass file_name=, one of {', '.join(names) or 'none'}")
        return cls(paths[0], config)

    # --- calibration

    def fit(
        self,
        dataset: Iterable[Any],
        calibration_config: CalibrationConfig,
        onnx_augmented_model_name: str | os.PathLike[str] | None = None,
        operators_to_quantize: list[str] | None = None,
        batch_size: int = 1,
        use_external_data_format: bool = False,
        use_gpu: bool = False,
        force_symmetric_range: bool = False,
    ) -> Any:
        """Measure the ranges of activations.

        Args:
            dataset: rows with the graph's inputs as lists or arrays of one length a column; further columns are not
                looked at.
            calibration_config: how.
            onnx_augmented_model_name: where the graph that measures is written; a temporary file by default.
            operators_to_quantize: as in ``QuantizationConfig``.
            batch_size: rows a batch.
            use_external_data_format: for graphs beyond 2 GB.
            use_gpu: measure on CUDA.
            force_symmetric_range: ranges around zero.

        Returns:
            Tensor → range, for ``quantize(calibration_tensors_range=…)``.
        """
        self.partial_fit(
            dataset, calibration_config, onnx_augmented_model_name, operators_to_quantize, batch_size,
            use_external_data_format, use_gpu, force_symmetric_range,
        )  # fmt: skip
        return self.compute_ranges()

    def partial_fit(
        self,
        dataset: Iterable[Any],
        calibration_config: CalibrationConfig,
        onnx_augmented_model_name: str | os.PathLike[str] | None = None,
        operators_to_quantize: list[str] | None = None,
        batch_size: int = 1,
        use_external_data_format: bool = False,
        use_gpu: bool = False,
        force_symmetric_range: bool = False,
    ) -> None:
        """Measure on a part of the examples; arguments as ``fit``. ``compute_ranges`` ends it."""
        from onnxruntime.quantization import CalibrationMethod, create_calibrator

        if self._calibrator is None:
            if onnx_augmented_model_name is None:
                self._folder = tempfile.TemporaryDirectory(prefix="enfold-calibration-")
                onnx_augmented_model_name = Path(self._folder.name) / "augmented_model.onnx"
            options = {**calibration_config.extra_options(), "symmetric": force_symmetric_range}
            self._calibrator = create_calibrator(
                str(self.onnx_model_path),
                op_types_to_calibrate=operators_to_quantize or list(OPERATORS),
                augmented_model_path=str(onnx_augmented_model_name),
                calibrate_method=CalibrationMethod[calibration_config.method],
                use_external_data_format=use_external_data_format,
                providers=["CUDAExecutionProvider"] if use_gpu else ["CPUExecutionProvider"],
                extra_options=options,
            )
        self._calibrator.collect_data(_Reader(dataset, self._names(), batch_size))

    def compute_ranges(self) -> Any:
        """Return tensor → range, of what was measured since the last time.

        Raises:
            EnfoldError: when nothing was measured.
        """
        if self._calibrator is None:
            raise EnfoldError("nothing was measured yet: call fit, or partial_fit before")
        ranges = self._calibrator.compute_data()
        self._calibrator = self._folder = None
        return ranges

    def _names(self) -> dict[str, Any]:
        import onnxruntime

        session = onnxruntime.InferenceSession(str(self.onnx_model_path), providers=["CPUExecutionProvider"])
        kinds = {"tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(bool)": np.bool_}
        return {value.name: kinds.get(value.type, np.float32) for value in session.get_inputs()}

    # --- quantization

    def quantize(
        self,
        quantization_config: QuantizationConfig,
        save_dir: str | os.PathLike[str],
        file_suffix: str | None = "quantized",
        calibration_tensors_range: Any = None,
        use_external_data_format: bool = False,
        preprocessor: Any = None,
    ) -> Path:
        """Write the quantized graph, and the model's configuration.

        Args:
            quantization_config: how.
            save_dir: the folder.
            file_suffix: ``model.onnx`` becomes ``model_quantized.onnx``; empty keeps the name.
            calibration_tensors_range: of ``fit``, for static quantization.
            use_external_data_format: weights beside the graph.
            preprocessor: not used; nodes are excluded by ``nodes_to_exclude``.

        Returns:
            The folder.

        Raises:
            EnfoldError: for static quantization without ranges.
        """
        asked = quantization_config
        if asked.is_static and calibration_tensors_range is None:
            raise EnfoldError("static quantization needs calibration_tensors_range: what fit returns")
        folder = Path(save_dir)
        folder.mkdir(parents=True, exist_ok=True)
        suffix = f"_{file_suffix}" if file_suffix else ""
        target = folder / f"{self.onnx_model_path.stem}{suffix}.onnx"
        temporary = target.with_name(f".{target.name}.part")
        try:
            if asked.is_static:
                self._static(asked, temporary, calibration_tensors_range, use_external_data_format)
            else:
                self._dynamic(asked, temporary, use_external_data_format)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        (self.config or AutoConfig.from_pretrained(self.onnx_model_path.parent)).save_pretrained(folder)
        ORTConfig(quantization=asked, use_external_data_format=use_external_data_format).save_pretrained(folder)
        return folder

    def _dynamic(self, asked: QuantizationConfig, target: Path, beside: bool) -> None:
        from onnxruntime.quantization import QuantType, quantize_dynamic

        quantize_dynamic(
            str(self.onnx_model_path),
            str(target),
            op_types_to_quantize=asked.operators_to_quantize or None,
            per_channel=asked.per_channel,
            reduce_range=asked.reduce_range,
            weight_type=QuantType[asked.weights_dtype],
            nodes_to_quantize=asked.nodes_to_quantize or None,
            nodes_to_exclude=asked.nodes_to_exclude or None,
            use_external_data_format=beside,
            extra_options=_options(asked),
        )

    def _static(self, asked: QuantizationConfig, target: Path, ranges: Any, beside: bool) -> None:
        import onnx
        from onnxruntime.quantization import QuantType
        from onnxruntime.quantization.onnx_quantizer import ONNXQuantizer
        from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
        from onnxruntime.quantization.quant_utils import QuantizationMode, load_model_with_shape_infer

        model = load_model_with_shape_infer(self.onnx_model_path)
        kinds = {"weight_qType": QuantType[asked.weights_dtype], "activation_qType": QuantType[asked.activations_dtype]}
        shared = {
            "per_channel": asked.per_channel,
            "reduce_range": asked.reduce_range,
            "tensors_range": ranges,
            "nodes_to_quantize": asked.nodes_to_quantize,
            "nodes_to_exclude": asked.nodes_to_exclude,
            "op_types_to_quantize": asked.operators_to_quantize or list(OPERATORS),
            "extra_options": _options(asked),
            **kinds,
        }
        if asked.format == "QDQ":
            quantizer = QDQQuantizer(model, **shared)
        else:
            quantizer = ONNXQuantizer(model, mode=QuantizationMode.QLinearOps, static=True, **shared)
        quantizer.quantize_model()
        made: onnx.ModelProto = quantizer.model.model
        onnx.save(made, str(target), save_as_external_data=beside, location=f"{target.name}_data" if beside else None)


def _options(asked: QuantizationConfig) -> dict[str, Any]:
    return {
        "WeightSymmetric": asked.weights_symmetric,
        "ActivationSymmetric": asked.activations_symmetric,
        "EnableSubgraph": False,
        "MatMulConstBOnly": True,
        "ForceSymmetric": asked.activations_symmetric and asked.weights_symmetric,
        "AddQDQPairToWeight": asked.format == "QDQ" and asked.activations_symmetric,
    }


class _Reader:
    """Batches of a data set as onnxruntime's calibrators ask for them.

    Args:
        dataset: the rows.
        names: the graph's inputs and their types.
        size: rows a batch.
    """

    def __init__(self, dataset: Iterable[Any], names: dict[str, Any], size: int) -> None:
        self._batches = self._read(dataset, names, size)

    def get_next(self) -> dict[str, Any] | None:
        """Return the next batch, or None at the end."""
        return next(self._batches, None)

    def __iter__(self) -> _Reader:
        return self

    def __next__(self) -> dict[str, Any]:
        return next(self._batches)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Say that rows are read in their order."""
        raise EnfoldError("calibration reads the rows in their order")

    @staticmethod
    def _read(dataset: Iterable[Any], names: dict[str, Any], size: int) -> Iterator[dict[str, Any]]:
        held: list[Any] = []
        for row in dataset:
            missing = [name for name in names if name not in row]
            if missing:
                raise EnfoldError(f"a row has no {', '.join(missing)}; it has {', '.join(row)}")
            held.append(row)
            if len(held) == size:
                yield {name: np.stack([np.asarray(one[name], kind) for one in held]) for name, kind in names.items()}
                held = []
        if held:
            yield {name: np.stack([np.asarray(one[name], kind) for one in held]) for name, kind in names.items()}
