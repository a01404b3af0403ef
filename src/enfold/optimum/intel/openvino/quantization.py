"""Fewer bits, through nncf: weights alone, or whole layers with steps found on calibration data."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from enfold.errors import required
from enfold.optimum.intel.openvino.configuration import (
    OVConfig,
    OVQuantizationConfig,
    OVWeightQuantizationConfig,
    QuantizationError,
    quantization_of,
)

__all__ = ["OVQuantizer", "compress"]


def compress(graph: Any, how: Any) -> Any:
    """Return a graph whose weights, and with an ``OVQuantizationConfig`` whose layers' inputs, are rounded.

    Args:
        graph: an ``openvino.Model``.
        how: a configuration; its ``dataset`` are inputs of this graph.

    Raises:
        MissingExtra: without the package nncf.
        QuantizationError: calibration without data, or four bits where no group size fits.
    """
    nncf = _nncf()
    data = None if how.dataset is None else nncf.Dataset([_arrays(one) for one in how.dataset])
    scope = None if not how.ignored_scope else nncf.IgnoredScope(**how.ignored_scope)
    if isinstance(how, OVQuantizationConfig):
        if data is None:
            raise QuantizationError("rounding of inputs needs calibration data: dataset=[{name: array}, …]")
        alpha = how.smooth_quant_alpha
        parameters = nncf.AdvancedQuantizationParameters()
        if alpha is not None:
            parameters.smooth_quant_alphas = nncf.AdvancedSmoothQuantParameters(matmul=alpha)
        return nncf.quantize(
            graph,
            data,
            subset_size=how.num_samples or 300,
            preset=nncf.QuantizationPreset.PERFORMANCE if how.sym else nncf.QuantizationPreset.MIXED,
            model_type=nncf.ModelType.TRANSFORMER if how.model_type else None,
            fast_bias_correction=how.fast_bias_correction,
            ignored_scope=scope,
            advanced_parameters=parameters,
        )
    options: dict[str, Any] = {"mode": nncf.CompressWeightsMode(how.mode), "ignored_scope": scope}
    if how.bits == 4:
        options |= {"ratio": how.ratio, "group_size": _group(graph, how), "all_layers": how.all_layers}
        options |= {"awq": how.quant_method == "awq" or None, "scale_estimation": how.scale_estimation}
        options |= {"gptq": how.gptq, "lora_correction": how.lora_correction}
        if how.sensitivity_metric:
            options["sensitivity_metric"] = nncf.SensitivityMetric(how.sensitivity_metric)
        if how.backup_precision:
            options["backup_mode"] = nncf.BackupMode(how.backup_precision)
        if data is not None:
            options |= {"dataset": data, "subset_size": how.num_samples or 128}
        further = nncf.AdvancedCompressionParameters(statistics_path=how.statistics_path)
        if how.group_size_fallback:
            further.group_size_fallback_mode = nncf.GroupSizeFallbackMode(how.group_size_fallback)
        options["advanced_parameters"] = further
    return nncf.compress_weights(graph, **options)


class OVQuantizer:
    """Rounds a model that is loaded, and writes it.

    Args:
        model: an ``OVModelFor…``.

    Example:
        >>> quantizer = OVQuantizer.from_pretrained(model)  # doctest: +SKIP
        >>> quantizer.quantize(calibration_dataset=rows, save_directory="int8")  # doctest: +SKIP
    """

    def __init__(self, model: Any, task: str | None = None) -> None:
        self.model = model
        self.task = task or model.task

    @classmethod
    def from_pretrained(cls, model: Any, **options: Any) -> OVQuantizer:
        """Return the quantizer of a model."""
        return cls(model, **options)

    def quantize(
        self,
        calibration_dataset: Iterable[Mapping[str, Any]] | None = None,
        save_directory: str | os.PathLike[str] | None = None,
        ov_config: Any = None,
        batch_size: int = 1,
    ) -> None:
        """Round the model in place, and write it where a folder is given.

        Args:
            calibration_dataset: inputs of the model, one dictionary a row or batch; columns that the graph does not
                take are left out.
            save_directory: the folder.
            ov_config: an ``OVConfig`` or a configuration of rounding. By default layers' inputs are rounded where there
                is data to calibrate with, and weights alone elsewhere.
            batch_size: rows without an axis for the batch are calibrated with one by one; only 1 is taken.

        Raises:
            QuantizationError: for more graphs than one with calibration data, or settings that do not fit together.
        """
        if batch_size != 1:
            raise QuantizationError("rows are calibrated with one at a time: batch_size=1")
        how = ov_config.quantization_config if isinstance(ov_config, OVConfig) else quantization_of(ov_config)
        if how is None:
            how = OVWeightQuantizationConfig() if calibration_dataset is None else OVQuantizationConfig()
        if calibration_dataset is not None:
            if list(self.model.graphs) != ["model"]:
                raise QuantizationError(
                    f"calibration is for models of one graph; this one has {', '.join(self.model.graphs)}"
                )
            how.dataset = [self.model.prepared("model", row) for row in calibration_dataset]
        self.model.compress(how)
        if save_directory is not None:
            self.model.save_pretrained(save_directory)


def _nncf() -> Any:
    return required("nncf", "rounding of OpenVINO graphs (nncf)", "openvino")


def _arrays(given: Mapping[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    return {name: np.asarray(value) for name, value in given.items()}


def _group(graph: Any, how: OVWeightQuantizationConfig) -> int:
    """Return how many weights share a step: what was asked for, or the largest power of two up to 128 that fits."""
    if how.group_size is not None:
        return how.group_size
    if how.dtype == "mxfp4":
        return 32  # part of the format
    rows = [
        node.input_value(1).get_partial_shape()[1].get_length()
        for node in graph.get_ops()
        if node.get_type_name() == "MatMul"
        and node.input_value(1).get_node().get_type_name() == "Constant"
        and len(node.input_value(1).get_partial_shape()) == 2
    ]
    size = 128
    while size > 16 and any(row % size for row in rows):
        size //= 2
    return -1 if any(row % size for row in rows) else size
