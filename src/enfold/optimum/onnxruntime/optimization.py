"""Graphs fused by onnxruntime's optimizer."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from enfold.errors import EnfoldError
from enfold.optimum.onnxruntime.configuration import OptimizationConfig, ORTConfig
from enfold.transformers.config import AutoConfig

__all__ = ["ORTOptimizer"]

# Model type → the family whose patterns onnxruntime looks for; BERT's for all others.
FAMILIES = {
    **dict.fromkeys(("gpt2", "llama", "mistral", "qwen2", "qwen3", "gemma", "phi3", "falcon", "smollm3"), "gpt2"),
    **dict.fromkeys(("bart", "mbart", "marian", "pegasus", "m2m_100", "whisper"), "bart"),
    **dict.fromkeys(("t5", "mt5"), "t5"),
    **dict.fromkeys(("vit", "deit", "dinov2"), "vit"),
    **dict.fromkeys(("clip", "clip_text_model", "clip_vision_model", "siglip"), "clip"),
}


class ORTOptimizer:
    """Fuses the graphs of a model.

    Args:
        onnx_model_path: the files.
        config: the model's configuration.

    Example:
        >>> optimizer = ORTOptimizer.from_pretrained("onnx/")  # doctest: +SKIP
        >>> optimizer.optimize(AutoOptimizationConfig.O2(), save_dir="optimized/")  # doctest: +SKIP
    """

    def __init__(
        self, onnx_model_path: Sequence[str | os.PathLike[str]], config: Any, from_ortmodel: bool = False
    ) -> None:
        self.onnx_model_path = [Path(path) for path in onnx_model_path]
        self.config = config

    @classmethod
    def from_pretrained(cls, model_or_path: Any, file_names: Sequence[str] | None = None) -> ORTOptimizer:
        """Return an optimizer for an ``ORTModel`` or a folder.

        Args:
            model_or_path: the model, or the folder.
            file_names: which files of the folder; all that end in ``.onnx`` by default.

        Raises:
            EnfoldError: when the folder has no ONNX file.
        """
        if hasattr(model_or_path, "sessions"):
            return cls([session.path for session in model_or_path.sessions.values()], model_or_path.config)
        folder = Path(model_or_path)
        paths = [folder / name for name in file_names] if file_names else sorted(folder.glob("*.onnx"))
        missing = [path.name for path in paths if not path.is_file()]
        if missing or not paths:
            raise EnfoldError(f"{folder} has no {', '.join(missing) or 'file that ends in .onnx'}")
        return cls(paths, AutoConfig.from_pretrained(folder))

    def optimize(
        self,
        optimization_config: OptimizationConfig,
        save_dir: str | os.PathLike[str],
        file_suffix: str | None = "optimized",
        use_external_data_format: bool | None = None,
        one_external_file: bool = True,
    ) -> Path:
        """Write the fused graphs, and the model's configuration.

        Args:
            optimization_config: what is fused.
            save_dir: the folder.
            file_suffix: ``model.onnx`` becomes ``model_optimized.onnx``; empty keeps the name.
            use_external_data_format: weights beside the graph; where they exceed 2 GB by default.
            one_external_file: accepted; they are in one file.

        Returns:
            The folder.
        """
        folder = Path(save_dir)
        folder.mkdir(parents=True, exist_ok=True)
        suffix = f"_{file_suffix}" if file_suffix else ""
        for path in self.onnx_model_path:
            target = folder / f"{path.stem}{suffix}.onnx"
            beside = use_external_data_format
            if beside is None:
                beside = path.with_name(f"{path.name}_data").exists()
            self._one(path, target, optimization_config, bool(beside))
        self.config.save_pretrained(folder)
        source = self.onnx_model_path[0].parent
        if (source / "generation_config.json").exists() and source != folder:
            shutil.copyfile(source / "generation_config.json", folder / "generation_config.json")
        ORTConfig(optimization=optimization_config).save_pretrained(folder)
        return folder

    def _one(self, path: Path, target: Path, asked: OptimizationConfig, beside: bool) -> None:
        from onnxruntime.transformers import optimizer
        from onnxruntime.transformers.fusion_options import AttentionMaskFormat, FusionOptions

        family = FAMILIES.get(self.config.model_type, "bert")
        options = FusionOptions(family)
        for name in ("gelu", "layer_norm", "attention", "skip_layer_norm", "bias_skip_layer_norm", "bias_gelu",
                     "embed_layer_norm"):  # fmt: skip
            setattr(options, f"enable_{name}", not getattr(asked, f"disable_{name}_fusion"))
        options.enable_rotary_embeddings = not asked.disable_rotary_embeddings
        options.enable_shape_inference = not asked.disable_shape_inference
        options.enable_gelu_approximation = asked.enable_gelu_approximation
        options.use_multi_head_attention = asked.use_multi_head_attention
        if family == "bert":  # lengths would be wrong for padding on the left
            options.attention_mask_format = (
                AttentionMaskFormat.MaskIndexEnd if asked.use_mask_index else AttentionMaskFormat.AttentionMask
            )
        text = self.config.get_text_config()
        made = optimizer.optimize_model(
            str(path),
            family,
            num_heads=getattr(text, "num_attention_heads", 0) or 0,
            hidden_size=getattr(text, "hidden_size", 0) or 0,
            optimization_options=options,
            opt_level=asked.optimization_level,
            use_gpu=asked.optimize_for_gpu,
            only_onnxruntime=not asked.enable_transformers_specific_optimizations,
        )
        if asked.fp16:
            made.convert_float_to_float16(keep_io_types=True)
        made.topological_sort()
        temporary = target.with_name(f".{target.name}.part")
        try:
            made.save_model_to_file(str(target if beside else temporary), use_external_data_format=beside)
            if not beside:
                temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
