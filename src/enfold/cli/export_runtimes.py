"""``enfold export openvino``, ``coreml`` and ``tensorrt``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

__all__ = ["add", "coreml", "openvino", "tensorrt"]

MODEL = typer.Option(..., "--model", "-m", help="A folder, or a repository's id.")
OUTPUT = typer.Argument(..., help="The folder to write to.")
TASK = typer.Option("auto", help="What the model does; read from its configuration by default.")
REVISION = typer.Option(None, help="Branch, tag or commit.")
CACHE = typer.Option(None, help="The cache of downloads.")
TRUST = typer.Option(False, "--trust-remote-code", help="Let the repository's classes run.")


def add(app: typer.Typer) -> None:
    """Add the commands of this file to an application."""
    for command in (openvino, coreml, tensorrt):
        app.command()(command)


def openvino(
    output: Path = OUTPUT,
    model: str = MODEL,
    task: str = TASK,
    weight_format: str = typer.Option("fp32", help="fp32, fp16, int8, int4, nf4, cb4 or mxfp4."),
    ratio: float | None = typer.Option(None, help="The share of layers in four bits, 0 to 1; 1 by default."),
    sym: bool = typer.Option(False, "--sym", help="Round around zero."),
    group_size: int | None = typer.Option(None, help="Weights that share a step; -1 for whole rows."),
    all_layers: bool = typer.Option(False, "--all-layers", help="Embeddings and the last layer in four bits too."),
    backup_precision: str | None = typer.Option(None, help="Of layers not in four bits: none, int8_sym, int8_asym."),
    group_size_fallback: str | None = typer.Option(None, help="Where rows are no multiple: error, ignore, adjust."),
    disable_stateful: bool = typer.Option(False, "--disable-stateful", help="The past goes in and out of the graphs."),
    revision: str | None = REVISION,
    cache_dir: str | None = CACHE,
    trust_remote_code: bool = TRUST,
    framework: str | None = typer.Option(None, hidden=True),
    library: str | None = typer.Option(None, hidden=True),
) -> None:
    """Write a model as OpenVINO's graphs, with its configuration and tokenizer."""
    from enfold.optimum.exporters.openvino import main_export
    from enfold.optimum.intel import OVConfig, OVWeightQuantizationConfig

    how = OVConfig.named(weight_format)
    if how is not None and how.quantization_config is not None:
        four: dict[str, Any] = {"ratio": ratio, "group_size": group_size, "all_layers": all_layers or None}
        four |= {"backup_precision": backup_precision, "group_size_fallback": group_size_fallback}
        given = {name: value for name, value in four.items() if value is not None}
        kind = how.quantization_config.dtype
        how = OVConfig(quantization_config=OVWeightQuantizationConfig(dtype=kind, sym=sym, **given))
    main_export(
        model, output, task, ov_config=how, stateful=not disable_stateful, trust_remote_code=trust_remote_code,
        revision=revision, cache_dir=cache_dir,
    )  # fmt: skip
    for path in sorted(output.glob("openvino_*.xml")):
        print(path)


def coreml(
    output: Path = OUTPUT,
    model: str = MODEL,
    task: str = TASK,
    quantize: str = typer.Option("fp16", help="fp16, which the Neural Engine needs, or fp32."),
    max_batch_size: int = typer.Option(1, help="The most rows or images at once."),
    max_sequence_length: int | None = typer.Option(None, help="The longest text, in tokens."),
    revision: str | None = REVISION,
    cache_dir: str | None = CACHE,
    trust_remote_code: bool = TRUST,
) -> None:
    """Write a model of texts or images as a Core ML package."""
    from enfold.optimum.exporters.coreml import main_export

    print(
        main_export(
            model, output, task, compute_precision=quantize, max_batch_size=max_batch_size,
            max_sequence_length=max_sequence_length, trust_remote_code=trust_remote_code, revision=revision,
            cache_dir=cache_dir,
        )
    )  # fmt: skip


def tensorrt(
    output: Path = typer.Argument(..., help="The engine, or with --script the script."),
    onnx: Path = typer.Option(..., "--onnx", help="An ONNX file, such as `enfold export onnx` writes."),
    precision: str = typer.Option("fp16", help="fp32, fp16, bf16 or int8."),
    profile: list[str] = typer.Option([], help="Sizes of a free dimension: sequence_length=1,128,512."),
    workspace: int = typer.Option(4096, help="Memory that building may take, in MiB."),
    script: bool = typer.Option(False, "--script", help="Write a script for the machine with the GPU."),
) -> None:
    """Build a TensorRT engine of an ONNX file."""
    from enfold.optimum.tensorrt import EngineConfig, TensorRTError, build_engine, build_script

    sizes = {}
    for one in profile:
        name, _, three = one.partition("=")
        try:
            least, usual, greatest = map(int, three.split(","))
        except ValueError:
            raise TensorRTError(f"--profile is name=least,usual,greatest, not {one!r}") from None
        sizes[name] = (least, usual, greatest)
    config = EngineConfig(precision, sizes, workspace)
    if script:
        output.write_text(build_script(onnx, output.with_suffix(".engine").name, config), "utf-8")
        output.chmod(0o755)
    else:
        build_engine(onnx, output, config)
    print(output)
