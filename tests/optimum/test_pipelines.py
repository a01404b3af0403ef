"""``optimum.pipelines.pipeline``: the runtime that is asked for, or the one that is there, answers as torch does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")

from enfold import transformers
from enfold.errors import EnfoldError
from enfold.optimum import pipelines
from enfold.optimum.pipelines import pipeline

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{n}" for n in range(60))]
SIZES = {"vocab_size": 65, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
SIZES |= {"intermediate_size": 64, "max_position_embeddings": 64}
TEXTS = ["w1 w2 w3", "w9"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights and a tokenizer of a classifier."""
    folder = tmp_path_factory.mktemp("classifier")
    torch.manual_seed(0)
    transformers.BertForSequenceClassification(transformers.BertConfig(**SIZES)).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    transformers.BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


def scores(answers: Any) -> list[float]:
    return [answer["score"] for answer in answers]


@pytest.mark.parametrize(("accelerator", "prefix"), [("ov", "OV"), ("ort", "ORT"), (None, "OV")])
def test_a_runtime_answers_as_torch(folder: Path, accelerator: str | None, prefix: str) -> None:
    expected = transformers.pipeline("text-classification", model=str(folder))(TEXTS)
    classify = pipeline("sentiment-analysis", model=folder, accelerator=accelerator)
    assert type(classify.model).__name__ == f"{prefix}ModelForSequenceClassification"
    assert scores(classify(TEXTS)) == pytest.approx(scores(expected), abs=1e-4)


def test_the_task_is_what_the_model_was_made_for(folder: Path) -> None:
    assert pipeline(model=folder, accelerator="ov").task == "text-classification"


def test_options_of_loading_and_a_configuration_reach_the_model(folder: Path) -> None:
    config = transformers.AutoConfig.from_pretrained(folder, id2label={0: "bad", 1: "good"})
    options = {"ov_config": {"INFERENCE_NUM_THREADS": 1}}
    classify = pipeline("text-classification", folder, config, accelerator="ov", model_kwargs=options)
    assert classify.model.ov_config == options["ov_config"]
    assert classify(TEXTS[0])[0]["label"] in ("bad", "good")


def test_where_files_are_is_told_to_the_model(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        pipeline("text-classification", model=folder, subfolder="nowhere", accelerator="ort")


def test_what_openvino_has_no_class_for_is_onnx_runtime_s() -> None:
    found = pipelines._class("object-detection", "unread", None, {})
    assert found.__name__ == "ORTModelForObjectDetection"
    with pytest.raises(EnfoldError, match="accelerator='ort' does"):
        pipeline("object-detection", model="unread", accelerator="ov")


def test_other_runtimes_and_tasks_are_named() -> None:
    with pytest.raises(EnfoldError, match="'ov' or 'ort', not 'ipex'"):
        pipeline("fill-mask", model="unread", accelerator="ipex")
    with pytest.raises(EnfoldError, match="did you mean 'fill-mask'"):
        pipeline("fil-mask", model="unread", accelerator="ort")
