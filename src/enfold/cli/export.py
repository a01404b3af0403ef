"""``enfold export``: models written for other runtimes."""

from __future__ import annotations

from pathlib import Path

import typer

from enfold.cli import export_runtimes

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Write a model for another runtime: `enfold export onnx --model … OUT`.")


@app.command()
def onnx(
    output: Path = typer.Argument(..., help="The folder to write to."),
    model: str = typer.Option(..., "--model", "-m", help="A folder, or a repository's id."),
    task: str = typer.Option("auto", help="What the model does; read from its configuration by default."),
    opset: int | None = typer.Option(None, help="Version of the operators; 18 by default."),
    device: str = typer.Option("cpu", help="Where the model is traced."),
    dtype: str | None = typer.Option(None, help="fp32 (the default), fp16 or bf16."),
    fp16: bool = typer.Option(False, "--fp16", help="The same as --dtype fp16."),
    optimize: str | None = typer.Option(None, help="O1 … O4: fuse the graphs afterwards."),
    atol: float | None = typer.Option(None, help="The largest difference from torch; 1e-4 by default."),
    no_validation: bool = typer.Option(False, "--no-validation", help="Do not compare the graphs with torch."),
    no_dynamic_axes: bool = typer.Option(False, "--no-dynamic-axes", help="Fix every dimension."),
    cache_dir: str | None = typer.Option(None, help="The cache of downloads."),
    revision: str | None = typer.Option(None, help="Branch, tag or commit."),
    subfolder: str = typer.Option("", help="A folder of the repository."),
    trust_remote_code: bool = typer.Option(False, "--trust-remote-code", help="Let the repository's classes run."),
    monolith: bool = typer.Option(False, "--monolith", hidden=True),
    no_post_process: bool = typer.Option(False, "--no-post-process", hidden=True),
    framework: str | None = typer.Option(None, hidden=True),
    slim: bool = typer.Option(False, "--slim", hidden=True),
    dynamo: bool = typer.Option(False, "--dynamo", hidden=True),
) -> None:
    """Write a model as ONNX files, with its configuration and tokenizer."""
    from enfold.optimum.exporters.onnx.main import main_export

    paths = main_export(
        model,
        output,
        task=task,
        opset=opset,
        device=device,
        dtype=dtype,
        fp16=fp16,
        optimize=optimize,
        atol=atol,
        do_validation=not no_validation,
        no_dynamic_axes=no_dynamic_axes,
        cache_dir=cache_dir,
        revision=revision,
        subfolder=subfolder,
        trust_remote_code=trust_remote_code,
    )
    for path in paths:
        print(path)


export_runtimes.add(app)
