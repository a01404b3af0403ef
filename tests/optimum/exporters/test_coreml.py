"""Core ML packages: what the converted program takes, gives and computes with. They run on Apple's machines only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from enfold import transformers
from enfold.errors import MissingExtra
from enfold.optimum.exporters import coreml
from enfold.optimum.exporters.graph_parts import parts

TEXT = {"vocab_size": 65, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
IMAGE = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}


def model(kind: str, **sizes: Any) -> Any:
    torch.manual_seed(0)
    made = getattr(transformers, kind)
    return made(made.config_class(**sizes)).eval()


def operations(package: Any) -> list[str]:
    blocks = package.get_spec().mlProgram.functions["main"].block_specializations
    return [operation.type for block in blocks.values() for operation in block.operations]


def test_without_coremltools_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "coremltools", None)
    with pytest.raises(MissingExtra, match=r"enfold\[coreml\]"):
        coreml.main_export("nowhere", tmp_path)


def test_what_core_ml_does_not_take_is_refused_first() -> None:
    speech = model("Wav2Vec2ForCTC", hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64)
    with pytest.raises(coreml.CoreMLError, match="input_values"):
        coreml.convert(parts(speech)[0])
    with pytest.raises(coreml.CoreMLError, match="did you mean 'fp16'"):
        coreml.convert(parts(speech)[0], compute_precision="f16")


@pytest.mark.slow  # coremltools imports every other framework that it finds
def test_a_text_model_takes_texts_of_any_length(tmp_path: Path) -> None:
    tools = pytest.importorskip("coremltools")
    bert = model("BertForSequenceClassification", **TEXT, max_position_embeddings=48)
    path = coreml.export_from_model(bert, tmp_path)
    assert path.is_dir() and not any(entry.name.startswith(".") for entry in tmp_path.iterdir())
    package = tools.models.MLModel(str(path), skip_model_load=True)
    described = package.get_spec().description
    assert [port.name for port in described.input] == ["input_ids", "attention_mask", "token_type_ids"]
    assert [port.name for port in described.output] == ["logits"]
    for port in described.input:
        ranges = port.type.multiArrayType.shapeRange.sizeRanges
        assert [(one.lowerBound, one.upperBound) for one in ranges] == [(1, 1), (1, 48)]
    made = operations(package)
    # three projections, the output's, two of the feed-forward, the pooler and the classifier
    assert made.count("linear") == 8
    assert made.count("layer_norm") == 3 and made.count("softmax") == 1 and made.count("gelu") == 1
    assert made.count("matmul") == 2  # the mask is added between them


@pytest.mark.slow
def test_an_image_model_takes_one_image() -> None:
    pytest.importorskip("coremltools")
    vit = model("ViTForImageClassification", **IMAGE, image_size=32, patch_size=8)
    package = coreml.convert(parts(vit)[0], compute_precision="fp32")
    described = package.get_spec().description
    assert [port.name for port in described.input] == ["pixel_values"]
    assert list(described.input[0].type.multiArrayType.shape) == [1, 3, 32, 32]
    made = operations(package)
    assert made.count("conv") == 1 and made.count("linear") == 7 and made.count("softmax") == 1
    assert "cast" not in made  # single precision throughout
