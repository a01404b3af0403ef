"""TensorRT without a GPU: shapes for which engines are made, the script that builds one, errors that name what is
missing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import torch
import typer
from typer.testing import CliRunner

onnx = pytest.importorskip("onnx")

from enfold.cli.export_runtimes import add  # noqa: E402
from enfold.optimum.tensorrt import (  # noqa: E402
    Engine,
    EngineConfig,
    TensorRTError,
    build_engine,
    build_script,
    provider_options,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    kind = onnx.TensorProto.INT64
    sizes = ["batch_size", "sequence_length"]
    total = ["batch_size", "past_sequence_length + sequence_length"]
    ids = onnx.helper.make_tensor_value_info("input_ids", kind, sizes)
    mask = onnx.helper.make_tensor_value_info("attention_mask", kind, total)
    past = onnx.helper.make_tensor_value_info(
        "past_key_values.0.key", onnx.TensorProto.FLOAT, ["batch_size", 2, "past_sequence_length", 8]
    )
    fixed = onnx.helper.make_tensor_value_info("fixed", kind, [1])
    logits = onnx.helper.make_tensor_value_info("logits", kind, sizes)
    node = onnx.helper.make_node("Identity", ["input_ids"], ["logits"])
    graph = onnx.helper.make_graph([node], "graph", [ids, mask, past, fixed], [logits])
    path = tmp_path / "model.onnx"
    onnx.save(onnx.helper.make_model(graph), path)
    return path


def test_a_script_builds_the_engine_where_the_gpu_is(file: Path, tmp_path: Path) -> None:
    config = EngineConfig("fp16", {"batch_size": (1, 2, 4), "sequence_length": (1, 8, 32)}, workspace=512)
    script = tmp_path / "model.sh"
    assert "--saveEngine=model.engine" in build_script(file, "model.engine", config)
    app = typer.Typer()
    add(app)
    words = ["tensorrt", "--onnx", str(file), "--script", "--workspace", "512", "--profile", "batch_size=1,2,4"]
    done = CliRunner().invoke(app, [*words, "--profile", "sequence_length=1,8,32", str(script)])
    assert done.exit_code == 0, done.output
    # a trtexec of the test's own notes its words
    tool = tmp_path / "bin" / "trtexec"
    tool.parent.mkdir()
    tool.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > words\n')
    tool.chmod(0o755)
    subprocess.run(["sh", str(script)], check=True, env={"PATH": f"{tool.parent}:/usr/bin:/bin"})
    assert (tmp_path / "words").read_text().splitlines() == [
        "--onnx=model.onnx",
        "--saveEngine=model.engine",
        "--memPoolSize=workspace:512M",
        "--fp16",
        "--minShapes=input_ids:1x1,attention_mask:1x2,past_key_values.0.key:1x2x1x8",
        "--optShapes=input_ids:2x8,attention_mask:2x16,past_key_values.0.key:2x2x8x8",
        "--maxShapes=input_ids:4x32,attention_mask:4x64,past_key_values.0.key:4x2x32x8",
    ]


def test_onnxruntime_s_provider_gets_the_same_shapes(file: Path, tmp_path: Path) -> None:
    options = provider_options(file, EngineConfig("bf16", {"sequence_length": (2, 8, 32)}), cache=tmp_path)
    assert options["trt_bf16_enable"] == "True" and options["trt_engine_cache_path"] == str(tmp_path)
    assert options["trt_profile_min_shapes"].startswith("input_ids:1x2,attention_mask:1x4,")
    assert all(isinstance(value, str) for value in options.values())


def test_what_is_missing_or_wrong_is_named(file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(TensorRTError, match="least ≤ usual ≤ greatest"):
        EngineConfig(profiles={"batch_size": (4, 2, 8)})
    with pytest.raises(TensorRTError, match="did you mean 'fp16'"):
        EngineConfig("f16")
    with pytest.raises(TensorRTError, match="free dimension 'frames'"):
        EngineConfig().shapes({"x": ["batch_size", "frames"]})
    monkeypatch.setitem(__import__("sys").modules, "tensorrt", None)
    with pytest.raises(TensorRTError, match="pip install tensorrt"):
        build_engine(file, tmp_path / "model.engine")
    with pytest.raises(TensorRTError, match="pip install tensorrt"):
        Engine(tmp_path / "model.engine")
    assert not (tmp_path / "model.engine").exists()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="an engine is built on a GPU")
def test_an_engine_computes_what_its_file_says(tmp_path: Path) -> None:
    pytest.importorskip("tensorrt")
    sizes = ["batch_size", "sequence_length"]
    given = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, sizes)
    made = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, sizes)
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "graph", [given], [made])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)]), tmp_path / "m.onnx")
    engine = Engine(build_engine(tmp_path / "m.onnx", tmp_path / "m.engine", EngineConfig("fp32")))
    x = torch.randn(2, 5)
    assert torch.equal(engine(x=x)["y"].cpu(), x.relu())
