"""Graphs fused and of eight-bit numbers answer almost as before; settings that do not exist are refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

from enfold.errors import EnfoldError  # noqa: E402
from enfold.optimum.onnxruntime import (  # noqa: E402
    AutoCalibrationConfig,
    AutoOptimizationConfig,
    AutoQuantizationConfig,
    OptimizationConfig,
    ORTConfig,
    ORTModelForTokenClassification,
    ORTOptimizer,
    ORTQuantizer,
    QuantizationConfig,
)

Exported = Callable[[str, str], tuple[Any, Path]]
IDS = torch.tensor([[5, 6, 7, 8, 9, 20], [0, 0, 3, 40, 41, 42]])  # padding on the left too
MASK = (IDS > 0).long()


@pytest.fixture
def bert(exported: Exported) -> tuple[Any, Path]:
    return exported("first", "*bert-token")


@pytest.mark.parametrize("level", ["O1", "O2", "O3"])
def test_a_fused_graph_answers_the_same(level: str, bert: tuple[Any, Path], tmp_path: Path) -> None:
    model, folder = bert
    optimizer = ORTOptimizer.from_pretrained(ORTModelForTokenClassification.from_pretrained(folder))
    optimizer.optimize(AutoOptimizationConfig.with_optimization_level(level), tmp_path)
    fused = ORTModelForTokenClassification.from_pretrained(tmp_path, file_name="model_optimized.onnx")
    expected = model(IDS, attention_mask=MASK).logits
    apart = (fused(input_ids=IDS, attention_mask=MASK).logits - expected)[MASK.bool()].abs().max()
    assert apart < (2e-2 if level == "O3" else 1e-4)
    assert ORTConfig.from_pretrained(tmp_path).optimization == AutoOptimizationConfig.with_optimization_level(level)


@pytest.mark.parametrize("kind", ["arm64", "avx2", "avx512", "avx512_vnni"])
def test_weights_of_eight_bits_answer_almost_the_same(kind: str, bert: tuple[Any, Path], tmp_path: Path) -> None:
    model, folder = bert
    settings = getattr(AutoQuantizationConfig, kind)(is_static=False, per_channel=False)
    assert ORTQuantizer.from_pretrained(folder).quantize(settings, tmp_path) == tmp_path
    names = {node.op_type for node in _load(tmp_path / "model_quantized.onnx").graph.node}
    assert "MatMulInteger" in names or "DynamicQuantizeMatMul" in names
    assert (tmp_path / "model_quantized.onnx").stat().st_size < 0.8 * (folder / "model.onnx").stat().st_size
    small = ORTModelForTokenClassification.from_pretrained(tmp_path, file_name="model_quantized.onnx")
    expected = model(IDS, attention_mask=MASK).logits[MASK.bool()]
    found = small(input_ids=IDS, attention_mask=MASK).logits[MASK.bool()]
    assert (found - expected).abs().mean() < 0.1 * expected.std()
    assert ORTConfig.from_pretrained(tmp_path).quantization == settings


@pytest.mark.parametrize("format", ["QDQ", "QOperator"])
def test_ranges_can_be_measured_beforehand(format: str, bert: tuple[Any, Path], tmp_path: Path) -> None:
    model, folder = bert
    draw = torch.Generator().manual_seed(0)
    rows = [
        {"input_ids": ids.tolist(), "attention_mask": [1] * 6, "token_type_ids": [0] * 6, "label": 1}
        for ids in torch.randint(3, 60, (12, 6), generator=draw)
    ]
    settings = AutoQuantizationConfig.avx512(is_static=True, per_channel=False)
    settings.format, settings.operators_to_quantize = format, ["MatMul"]
    quantizer = ORTQuantizer.from_pretrained(folder)
    with pytest.raises(EnfoldError, match="needs calibration_tensors_range"):
        quantizer.quantize(settings, tmp_path)
    assert not list(tmp_path.glob("*.onnx"))
    with pytest.raises(EnfoldError, match="a row has no attention_mask"):
        quantizer.fit([{"input_ids": [1]}], AutoCalibrationConfig.minmax())
    quantizer = ORTQuantizer.from_pretrained(folder)
    ranges = quantizer.fit(rows, AutoCalibrationConfig.minmax(), operators_to_quantize=["MatMul"], batch_size=4)
    quantizer.quantize(settings, tmp_path, calibration_tensors_range=ranges)
    small = ORTModelForTokenClassification.from_pretrained(tmp_path, file_name="model_quantized.onnx")
    ids = torch.tensor([row["input_ids"] for row in rows])
    expected, found = model(ids).logits, small(input_ids=ids).logits
    assert 0 < (found - expected).abs().mean() < 0.2 * expected.std()


def test_settings_that_do_not_exist_are_refused(bert: tuple[Any, Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="levels are O1, O2, O3, O4, not 'O5'"):
        AutoOptimizationConfig.with_optimization_level("O5")
    with pytest.raises(ValueError, match="optimization_level is 0, 1, 2 or 99, not 3"):
        OptimizationConfig(optimization_level=3)
    with pytest.raises(ValueError, match="fp16 weights are for CUDA"):
        OptimizationConfig(fp16=True)
    with pytest.raises(ValueError, match="weights_dtype is 'QInt8' or 'QUInt8', not 'QInt9'"):
        QuantizationConfig(is_static=False, weights_dtype="QInt9")
    with pytest.raises(ValueError, match="percentile lies between 0 and 100"):
        AutoCalibrationConfig.percentiles(percentile=101)
    bert[0].config.save_pretrained(tmp_path)
    for name in ("decoder_model.onnx", "encoder_model.onnx"):
        (tmp_path / name).write_bytes((bert[1] / "model.onnx").read_bytes())
    with pytest.raises(EnfoldError, match=r"one graph at a time: pass file_name=, one of decoder_model\.onnx"):
        ORTQuantizer.from_pretrained(tmp_path)
    assert ORTQuantizer.from_pretrained(tmp_path, file_name="encoder_model.onnx").onnx_model_path.exists()
    with pytest.raises(EnfoldError, match=r"has no nothing\.onnx"):
        ORTOptimizer.from_pretrained(tmp_path, ["nothing.onnx"])


def test_the_command_exports_and_quantizes(bert: tuple[Any, Path], tmp_path: Path) -> None:
    model, _ = bert
    model.save_pretrained(tmp_path / "weights")

    def enfold(*words: Any) -> str:
        code = "import sys; from enfold.cli import main; sys.argv = ['enfold', *sys.argv[1:]]; main()"
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    made = enfold("run", "optimum-cli", "export", "onnx", "--model", tmp_path / "weights", tmp_path / "onnx")
    assert made.strip() == str(tmp_path / "onnx" / "model.onnx")
    assert json.loads((tmp_path / "onnx" / "config.json").read_text())["architectures"] == [
        "BertForTokenClassification"
    ]
    enfold("optimum", "onnxruntime", "quantize", "--onnx_model", tmp_path / "onnx", "--avx512", "-o", tmp_path / "int8")
    small = ORTModelForTokenClassification.from_pretrained(tmp_path / "int8", file_name="model_quantized.onnx")
    assert small(input_ids=IDS).logits.shape == (2, 6, model.config.num_labels)


def _load(path: Path) -> Any:
    import onnx

    return onnx.load(path)
