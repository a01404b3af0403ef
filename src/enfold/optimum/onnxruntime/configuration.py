"""How graphs are optimized, quantized and calibrated: plain data under the ecosystem's names."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from enfold.errors import EnfoldError, nearest

__all__ = [
    "AutoCalibrationConfig",
    "AutoOptimizationConfig",
    "AutoQuantizationConfig",
    "CalibrationConfig",
    "ORTConfig",
    "OptimizationConfig",
    "QuantizationConfig",
]


class ConfigurationError(EnfoldError, ValueError):
    """Settings that do not exist, or do not fit together."""


@dataclass
class OptimizationConfig:
    """What onnxruntime fuses in a graph.

    Args:
        optimization_level: 0 nothing; 1 what changes no operator; 2 fusions too; 99 everything, layouts included.
        optimize_for_gpu: for CUDA instead of processors.
        fp16: store weights in half precision; for CUDA.
        optimize_with_onnxruntime_only: leave out the fusions that know transformers.
        enable_transformers_specific_optimizations: the fusions that know transformers.
        disable_gelu_fusion, disable_layer_norm_fusion, disable_attention_fusion, disable_skip_layer_norm_fusion,
            disable_bias_skip_layer_norm_fusion, disable_bias_gelu_fusion, disable_embed_layer_norm_fusion,
            disable_rotary_embeddings, disable_shape_inference: leave one of them out.
        enable_gelu_approximation: a faster GELU that differs a little.
        use_mask_index: masks as lengths, for padding on the right only.
        use_multi_head_attention: the operator without packed weights.
    """

    optimization_level: int = 1
    optimize_for_gpu: bool = False
    fp16: bool = False
    optimize_with_onnxruntime_only: bool | None = None
    enable_transformers_specific_optimizations: bool = True
    disable_gelu_fusion: bool = False
    disable_layer_norm_fusion: bool = False
    disable_attention_fusion: bool = False
    disable_skip_layer_norm_fusion: bool = False
    disable_bias_skip_layer_norm_fusion: bool = False
    disable_bias_gelu_fusion: bool = False
    disable_embed_layer_norm_fusion: bool = True
    disable_rotary_embeddings: bool = False
    disable_shape_inference: bool = False
    enable_gelu_approximation: bool = False
    use_mask_index: bool = False
    use_multi_head_attention: bool = False

    def __post_init__(self) -> None:
        if self.optimization_level not in (0, 1, 2, 99):
            raise ConfigurationError(f"optimization_level is 0, 1, 2 or 99, not {self.optimization_level!r}")
        if self.optimize_with_onnxruntime_only is not None:
            self.enable_transformers_specific_optimizations = not self.optimize_with_onnxruntime_only
        if self.fp16 and not self.optimize_for_gpu:
            raise ConfigurationError("fp16 weights are for CUDA: set optimize_for_gpu=True")


class AutoOptimizationConfig:
    """The ecosystem's four levels."""

    LEVELS: dict[str, dict[str, Any]] = {
        "O1": {"optimization_level": 1, "enable_transformers_specific_optimizations": False},
        "O2": {"optimization_level": 2, "enable_transformers_specific_optimizations": True},
        "O3": {
            "optimization_level": 2,
            "enable_transformers_specific_optimizations": True,
            "enable_gelu_approximation": True,
        },
        "O4": {
            "optimization_level": 2,
            "enable_transformers_specific_optimizations": True,
            "enable_gelu_approximation": True,
            "fp16": True,
            "optimize_for_gpu": True,
        },
    }

    @classmethod
    def with_optimization_level(
        cls, optimization_level: str, for_gpu: bool = False, **kwargs: Any
    ) -> OptimizationConfig:
        """Return a level's settings.

        Args:
            optimization_level: ``"O1"`` what changes no operator; ``"O2"`` with fusions that know transformers;
                ``"O3"`` with a faster GELU; ``"O4"`` in half precision, for CUDA.
            for_gpu: for CUDA instead of processors.
            kwargs: single fields of ``OptimizationConfig``.

        Example:
            >>> AutoOptimizationConfig.with_optimization_level("O2").optimization_level
            2
        """
        if optimization_level not in cls.LEVELS:
            near = nearest(optimization_level, cls.LEVELS)
            raise ConfigurationError(f"levels are {', '.join(cls.LEVELS)}, not {optimization_level!r}{near}")
        given = {"optimize_for_gpu": for_gpu, **cls.LEVELS[optimization_level], **kwargs}
        return OptimizationConfig(**given)

    @classmethod
    def O1(cls, for_gpu: bool = False, **kwargs: Any) -> OptimizationConfig:
        """Return the settings that change no operator."""
        return cls.with_optimization_level("O1", for_gpu, **kwargs)

    @classmethod
    def O2(cls, for_gpu: bool = False, **kwargs: Any) -> OptimizationConfig:
        """Return the settings with fusions that know transformers."""
        return cls.with_optimization_level("O2", for_gpu, **kwargs)

    @classmethod
    def O3(cls, for_gpu: bool = False, **kwargs: Any) -> OptimizationConfig:
        """Return those of ``O2`` with a faster GELU."""
        return cls.with_optimization_level("O3", for_gpu, **kwargs)

    @classmethod
    def O4(cls, for_gpu: bool = True, **kwargs: Any) -> OptimizationConfig:
        """Return those of ``O3`` in half precision, for CUDA."""
        return cls.with_optimization_level("O4", for_gpu, **kwargs)


@dataclass
class QuantizationConfig:
    """How a graph becomes one of eight-bit numbers.

    Args:
        is_static: ranges of activations are measured beforehand; otherwise while running.
        format: ``"QDQ"`` (quantize and dequantize nodes around operators) or ``"QOperator"``.
        activations_dtype, weights_dtype: ``"QInt8"`` or ``"QUInt8"``.
        activations_symmetric, weights_symmetric: zero is in the middle of the range.
        per_channel: weights have a scale a channel.
        reduce_range: seven bits of weights, for processors whose products of eight overflow.
        nodes_to_quantize, nodes_to_exclude: by name; all by default.
        operators_to_quantize: by name; by default ``MatMul`` and its kind, which have weights.
    """

    is_static: bool
    format: str = "QOperator"
    activations_dtype: str = "QUInt8"
    activations_symmetric: bool = False
    weights_dtype: str = "QInt8"
    weights_symmetric: bool = True
    per_channel: bool = False
    reduce_range: bool = False
    nodes_to_quantize: list[str] = field(default_factory=list)
    nodes_to_exclude: list[str] = field(default_factory=list)
    operators_to_quantize: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("activations_dtype", "weights_dtype"):
            value = getattr(self, name)
            value = getattr(value, "name", value)  # onnxruntime's own QuantType
            if value not in ("QInt8", "QUInt8"):
                raise ConfigurationError(f"{name} is 'QInt8' or 'QUInt8', not {value!r}")
            setattr(self, name, value)
        self.format = getattr(self.format, "name", self.format)
        if self.format not in ("QDQ", "QOperator"):
            raise ConfigurationError(f"format is 'QDQ' or 'QOperator', not {self.format!r}")


def _for_processor(name: str, doc: str, weights: str, per_channel: bool) -> Any:
    def make(
        cls: type,
        is_static: bool,
        use_symmetric_activations: bool = False,
        use_symmetric_weights: bool = True,
        per_channel: bool = per_channel,
        reduce_range: bool = False,
        nodes_to_quantize: list[str] | None = None,
        nodes_to_exclude: list[str] | None = None,
        operators_to_quantize: list[str] | None = None,
    ) -> QuantizationConfig:
        return QuantizationConfig(
            is_static=is_static,
            format="QDQ" if is_static else "QOperator",
            activations_symmetric=use_symmetric_activations,
            weights_dtype=weights,
            weights_symmetric=use_symmetric_weights,
            per_channel=per_channel,
            reduce_range=reduce_range,
            nodes_to_quantize=nodes_to_quantize or [],
            nodes_to_exclude=nodes_to_exclude or [],
            operators_to_quantize=operators_to_quantize or [],
        )

    make.__name__, make.__doc__ = name, doc
    return classmethod(make)


class AutoQuantizationConfig:
    """Settings that fit a kind of processor.

    Example:
        >>> AutoQuantizationConfig.avx512_vnni(is_static=False, per_channel=False).weights_dtype
        'QInt8'
    """

    arm64 = _for_processor("arm64", "Return settings for ARM processors.", "QInt8", True)
    avx2 = _for_processor("avx2", "Return settings for processors with AVX2.", "QUInt8", True)
    avx512 = _for_processor("avx512", "Return settings for processors with AVX-512.", "QInt8", True)
    avx512_vnni = _for_processor(
        "avx512_vnni", "Return settings for processors with AVX-512 VNNI, which multiply eight bits exactly.", "QInt8",
        True,
    )  # fmt: skip

    @staticmethod
    def tensorrt(per_channel: bool = True, **kwargs: Any) -> QuantizationConfig:
        """Return settings for TensorRT: static, symmetric."""
        return QuantizationConfig(
            is_static=True, format="QDQ", activations_dtype="QInt8", activations_symmetric=True, weights_dtype="QInt8",
            weights_symmetric=True, per_channel=per_channel, **kwargs,
        )  # fmt: skip


@dataclass
class CalibrationConfig:
    """How ranges of activations are measured.

    Args:
        method: ``"MinMax"``, ``"Entropy"`` or ``"Percentile"``.
        num_bins: of the histograms of the latter two.
        num_quantized_bins: of entropy.
        percentile: of the values that a range holds.
        moving_average: average ranges over batches.
        averaging_constant: weight of the newest batch in it.
        dataset_name, dataset_config_name, dataset_split, dataset_num_samples: what was measured on, for the record.
    """

    method: str = "MinMax"
    num_bins: int | None = None
    num_quantized_bins: int | None = None
    percentile: float | None = None
    moving_average: bool | None = None
    averaging_constant: float | None = None
    dataset_name: str | None = None
    dataset_config_name: str | None = None
    dataset_split: str | None = None
    dataset_num_samples: int | None = None

    def extra_options(self) -> dict[str, Any]:
        """Return the settings in onnxruntime's names."""
        named = ("num_bins", "num_quantized_bins", "percentile", "moving_average", "averaging_constant")
        return {name: getattr(self, name) for name in named if getattr(self, name) is not None}


class AutoCalibrationConfig:
    """Ready settings of calibration."""

    @staticmethod
    def minmax(
        dataset: Any = None, moving_average: bool = False, averaging_constant: float = 0.01
    ) -> CalibrationConfig:
        """Return settings that take the smallest and the largest value."""
        return CalibrationConfig(
            "MinMax", moving_average=moving_average, averaging_constant=averaging_constant, **_facts(dataset)
        )

    @staticmethod
    def entropy(dataset: Any = None, num_bins: int = 128, num_quantized_bins: int = 128) -> CalibrationConfig:
        """Return settings that lose the least information."""
        return CalibrationConfig("Entropy", num_bins=num_bins, num_quantized_bins=num_quantized_bins, **_facts(dataset))

    @staticmethod
    def percentiles(dataset: Any = None, num_bins: int = 2048, percentile: float = 99.999) -> CalibrationConfig:
        """Return settings that leave out rare values."""
        if not 0 <= percentile <= 100:
            raise ConfigurationError(f"percentile lies between 0 and 100, not at {percentile}")
        return CalibrationConfig("Percentile", num_bins=num_bins, percentile=percentile, **_facts(dataset))


def _facts(dataset: Any) -> dict[str, Any]:
    if dataset is None:
        return {}
    info = getattr(dataset, "info", None)
    return {
        "dataset_name": getattr(info, "builder_name", None),
        "dataset_config_name": getattr(info, "config_name", None),
        "dataset_split": str(getattr(dataset, "split", None)),
        "dataset_num_samples": len(dataset),
    }


@dataclass
class ORTConfig:
    """What was done to a folder's graphs: ``ort_config.json``.

    Args:
        opset: version of the operators.
        use_external_data_format: whether weights lie beside the graphs.
        one_external_file: whether in one file.
        optimization: settings, or None.
        quantization: settings, or None.
    """

    opset: int | None = None
    use_external_data_format: bool = False
    one_external_file: bool = True
    optimization: OptimizationConfig | None = None
    quantization: QuantizationConfig | None = None

    FILE = "ort_config.json"

    def save_pretrained(self, save_directory: str | os.PathLike[str]) -> None:
        """Write ``ort_config.json`` into a folder."""
        path = Path(save_directory) / self.FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.part")
        temporary.write_text(json.dumps(asdict(self), indent=2, sort_keys=True) + "\n")
        temporary.replace(path)

    @classmethod
    def from_pretrained(cls, source: str | os.PathLike[str], **where: Any) -> ORTConfig:
        """Read it from a folder or repository; fields of other versions are left out."""
        from enfold.hub.fetch import find_file

        told = json.loads(Path(str(find_file(source, cls.FILE, **where))).read_text())
        known = {name: told[name] for name in cls.__dataclass_fields__ if name in told}
        for name, kind in (("optimization", OptimizationConfig), ("quantization", QuantizationConfig)):
            part = known.get(name)
            if part:
                known[name] = kind(**{key: part[key] for key in kind.__dataclass_fields__ if key in part})
            else:
                known.pop(name, None)
        return cls(**known)
