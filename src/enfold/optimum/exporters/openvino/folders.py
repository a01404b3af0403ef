"""Folders of OpenVINO graphs, under the names that optimum-intel gives to their files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from enfold.log import get_logger
from enfold.optimum.exporters.openvino.graphs import graphs
from enfold.optimum.exporters.tasks import auto_class, task_of

__all__ = ["FILES", "export_from_model", "main_export", "write"]

logger = get_logger(__name__)

# Part → its file.
FILES = {
    "model": "openvino_model.xml",
    "encoder_model": "openvino_encoder_model.xml",
    "decoder_model": "openvino_decoder_model.xml",
    "decoder_with_past_model": "openvino_decoder_with_past_model.xml",
}


def main_export(
    model_name_or_path: str | os.PathLike[str],
    output: str | os.PathLike[str],
    task: str = "auto",
    *,
    stateful: bool = True,
    ov_config: Any = None,
    compression_option: str | None = None,
    compression_ratio: float | None = None,
    device: str = "cpu",
    trust_remote_code: bool = False,
    **where: Any,
) -> None:
    """Write a folder that ``OVModelFor…`` classes load: graphs, configuration, tokenizer or processor.

    Args:
        model_name_or_path: a repository or folder.
        output: the folder.
        task: see ``enfold.optimum.exporters.parts``; by default what the model was made for, with a past.
        stateful: see ``graphs``.
        ov_config: an ``OVConfig``: the type of the weights, or how they are compressed.
        compression_option: ``"fp16"``, ``"int8"`` or ``"int4"``: a short word for ``ov_config``.
        compression_ratio: the share of layers that four bits compress.
        device: accepted; graphs are made on the processor.
        trust_remote_code: run code that the repository brings along.
        where: ``revision``, ``token``, ``cache_dir``, ``subfolder`` and the like.

    Example:
        >>> main_export("demo/headline-classifier", "graphs")  # doctest: +SKIP
    """
    from enfold.optimum.intel.openvino.configuration import OVConfig
    from enfold.transformers.config import AutoConfig

    if ov_config is None:
        ov_config = OVConfig.named(compression_option, compression_ratio)
    source = os.fspath(model_name_or_path)
    config = AutoConfig.from_pretrained(source, trust_remote_code=trust_remote_code, **where)
    if task == "auto":
        task = task_of(config)
    model = auto_class(task, config).from_pretrained(
        source, dtype=torch.float32, trust_remote_code=trust_remote_code, **where
    )
    export_from_model(model, output, task, ov_config=ov_config, stateful=stateful)
    save_processors(source, output, trust_remote_code=trust_remote_code, **where)


def export_from_model(
    model: Any, output: str | os.PathLike[str], task: str = "auto", *, ov_config: Any = None, stateful: bool = True
) -> list[Path]:
    """Write the graphs and the configuration of a model that is loaded, and return the graphs' files.

    Args:
        model: changed in nothing but its mode, which becomes evaluation.
        output: the folder.
        task, stateful: see ``graphs``.
        ov_config: see ``main_export``.
    """
    made = graphs(model, task, stateful)
    if ov_config is not None and ov_config.quantization_config is not None:
        from enfold.optimum.intel.openvino.quantization import compress

        made = {name: compress(graph, ov_config.quantization_config) for name, graph in made.items()}
    files = write(made, output, half=ov_config is not None and ov_config.dtype == "fp16")
    model.config.save_pretrained(output)
    if getattr(model, "generation_config", None) is not None:
        model.generation_config.save_pretrained(output)
    if ov_config is not None:
        ov_config.save_pretrained(output)
    return files


def write(made: dict[str, Any], folder: str | os.PathLike[str], half: bool = False) -> list[Path]:
    """Write graphs by part; with ``half`` their weights in 16 bits.

    A graph is written under other names first, so that one that fails to be written leaves what was there.
    """
    import openvino

    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    files = []
    for name, graph in made.items():
        path = target / FILES[name]
        fresh = path.with_name(f".{path.stem}.new.xml")
        try:
            openvino.save_model(graph, fresh, compress_to_fp16=half)
            for ending in (".bin", ".xml"):
                os.replace(fresh.with_suffix(ending), path.with_suffix(ending))
        finally:
            for ending in (".bin", ".xml"):
                fresh.with_suffix(ending).unlink(missing_ok=True)
        files.append(path)
    return files


def save_processors(source: str, output: str | os.PathLike[str], **where: Any) -> None:
    """Write the tokenizer and the processors that a repository has beside the graphs."""
    from enfold.transformers import AutoFeatureExtractor, AutoImageProcessor, AutoProcessor, AutoTokenizer

    for kind in (AutoTokenizer, AutoFeatureExtractor, AutoImageProcessor, AutoProcessor):
        try:
            kind.from_pretrained(source, **where).save_pretrained(output)
        except (OSError, ValueError, KeyError, ImportError) as error:
            logger.debug("no %s in %s: %s", kind.__name__, source, error)
