"""``enfold optimum``: the ecosystem's ``optimum-cli``."""

from __future__ import annotations

from pathlib import Path

import typer

from enfold.cli import export

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Export, optimize and quantize models for other runtimes.")
onnxruntime = typer.Typer(no_args_is_help=True, help="Optimize and quantize ONNX files.")
app.add_typer(export.app, name="export")
app.add_typer(onnxruntime, name="onnxruntime")


@onnxruntime.command()
def optimize(
    onnx_model: Path = typer.Option(..., "--onnx_model", "--onnx-model", help="The folder with the ONNX files."),
    output: Path = typer.Option(..., "-o", "--output", help="The folder to write to."),
    o1: bool = typer.Option(False, "-O1", help="What changes no operator."),
    o2: bool = typer.Option(False, "-O2", help="Fusions that know transformers."),
    o3: bool = typer.Option(False, "-O3", help="And a faster GELU."),
    o4: bool = typer.Option(False, "-O4", help="And half precision, for CUDA."),
) -> None:
    """Fuse the graphs of a folder."""
    from enfold.errors import EnfoldError
    from enfold.optimum.onnxruntime import AutoOptimizationConfig, ORTOptimizer

    asked = [level for level, given in (("O1", o1), ("O2", o2), ("O3", o3), ("O4", o4)) if given]
    if len(asked) != 1:
        raise EnfoldError("choose one level: -O1, -O2, -O3 or -O4")
    optimizer = ORTOptimizer.from_pretrained(onnx_model)
    print(optimizer.optimize(AutoOptimizationConfig.with_optimization_level(asked[0]), output))


@onnxruntime.command()
def quantize(
    onnx_model: Path = typer.Option(..., "--onnx_model", "--onnx-model", help="The folder with the ONNX files."),
    output: Path = typer.Option(..., "-o", "--output", help="The folder to write to."),
    per_channel: bool = typer.Option(False, "--per_channel", "--per-channel", help="A scale for each channel."),
    arm64: bool = typer.Option(False, "--arm64"),
    avx2: bool = typer.Option(False, "--avx2"),
    avx512: bool = typer.Option(False, "--avx512"),
    avx512_vnni: bool = typer.Option(False, "--avx512_vnni", "--avx512-vnni"),
    file_name: str | None = typer.Option(None, help="One file only."),
) -> None:
    """Write the graphs of a folder with eight-bit weights, ranges of activations measured while running."""
    from enfold.errors import EnfoldError
    from enfold.optimum.onnxruntime import AutoQuantizationConfig, ORTOptimizer, ORTQuantizer

    given = {"arm64": arm64, "avx2": avx2, "avx512": avx512, "avx512_vnni": avx512_vnni}
    asked = [name for name, wanted in given.items() if wanted]
    if len(asked) != 1:
        raise EnfoldError(f"choose one kind of processor: {', '.join('--' + name for name in given)}")
    settings = getattr(AutoQuantizationConfig, asked[0])(is_static=False, per_channel=per_channel)
    found = ORTOptimizer.from_pretrained(onnx_model, None if file_name is None else [file_name])
    for path in found.onnx_model_path:
        ORTQuantizer(path, found.config).quantize(settings, output)
    print(output)
