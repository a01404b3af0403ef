"""Pipelines of one's own: registered, written beside the model, and read back only when asked to run their code."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import enfold.transformers as tf
from enfold.transformers.pipelines.custom import CustomPipelineError
from enfold.transformers.pipelines.registry import UnknownTask
from enfold.transformers.remote import RemoteCodeError
from tiny_models import WORDS as VOCABULARY
from tiny_models import folder as made

CODE = """
from enfold.transformers import Pipeline
from .pair_words import joined


class PairPipeline(Pipeline):
    def _sanitize_parameters(self, **kwargs):
        return {name: kwargs[name] for name in ("second",) if name in kwargs}, {}, {}

    def preprocess(self, text, second=""):
        return self.tokenizer(joined(text, second), return_tensors=self.framework)

    def _forward(self, inputs):
        return self.model(**inputs)

    def postprocess(self, outputs):
        return {"label": self.model.config.id2label[int(outputs.logits.argmax())], "size": outputs.logits.shape[-1]}
"""
WORDS = """
def joined(*texts):
    return " ".join(texts)
"""


def tiny(place: Path) -> str:
    """Return a folder with a classifier of three classes."""
    numbers = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = tf.BertConfig(vocab_size=len(VOCABULARY), num_labels=3, **numbers)
    return made(place, tf.BertForSequenceClassification(config))


@pytest.fixture
def registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The class of a module that a user wrote, registered for a task."""
    place = tmp_path / "written" / "mine"
    place.mkdir(parents=True)
    (place / "__init__.py").write_text("")
    (place / "pair_pipeline.py").write_text(CODE)
    (place / "pair_words.py").write_text(WORDS)
    monkeypatch.syspath_prepend(str(place.parent))
    kind = importlib.import_module("mine.pair_pipeline").PairPipeline
    tf.PIPELINE_REGISTRY.register_pipeline(
        "pair-classification", kind, pt_model=tf.AutoModelForSequenceClassification, type="text"
    )
    yield kind
    tf.PIPELINE_REGISTRY.supported_tasks.pop("pair-classification", None)
    for name in [name for name in sys.modules if name.partition(".")[0] == "mine"]:
        del sys.modules[name]


@pytest.fixture
def saved(registered: Any, tmp_path: Path) -> Path:
    """A folder that such a pipeline wrote; the task is not registered any more."""
    pipe = tf.pipeline("pair-classification", model=tiny(tmp_path / "model"))
    assert type(pipe) is registered
    pipe.save_pretrained(str(tmp_path / "saved"))
    del tf.PIPELINE_REGISTRY.supported_tasks["pair-classification"]
    return tmp_path / "saved"


def test_a_registered_pipeline_is_written_with_its_code(saved: Path) -> None:
    assert (saved / "pair_pipeline.py").read_text() == CODE
    assert (saved / "pair_words.py").read_text() == WORDS
    assert json.loads((saved / "config.json").read_text())["custom_pipelines"] == {
        "pair-classification": {
            "impl": "pair_pipeline.PairPipeline",
            "pt": ["AutoModelForSequenceClassification"],
            "type": "text",
        }
    }


@pytest.mark.parametrize("task", [None, "pair-classification"])
def test_its_code_is_run_when_asked_for(saved: Path, task: str | None, tmp_path: Path) -> None:
    pipe = tf.pipeline(task, model=str(saved), trust_remote_code=True)
    assert pipe.task == "pair-classification" and type(pipe).__name__ == "PairPipeline"
    assert pipe("the cat", second="a dog")["size"] == 3
    assert [answer["size"] for answer in pipe(["cat", "dog"])] == [3, 3]
    pipe.save_pretrained(str(tmp_path / "again"))
    assert (tmp_path / "again" / "pair_words.py").read_text() == WORDS
    assert type(tf.pipeline(model=str(tmp_path / "again"), trust_remote_code=True)).__name__ == "PairPipeline"


def test_its_code_is_not_run_unasked(saved: Path) -> None:
    for task in (None, "pair-classification"):
        with pytest.raises(RemoteCodeError, match=r"brings code of its own for pair-classification.*trust_remote_code"):
            tf.pipeline(task, model=str(saved))
    plain = tf.pipeline("text-classification", model=str(saved))  # a task that is here needs no code
    assert type(plain) is tf.TextClassificationPipeline
    with pytest.raises(UnknownTask, match="unknown task 'pair-clasification'"):
        tf.pipeline("pair-clasification", model=str(saved))


def test_a_class_of_ones_own_does_a_known_task(tmp_path: Path, registered: Any) -> None:
    model = tiny(tmp_path / "model")
    assert type(tf.pipeline("text-classification", model=model, pipeline_class=registered)) is registered


def test_a_class_of_ones_own_stands_for_the_code_of_a_repository(saved: Path, registered: Any) -> None:
    assert type(tf.pipeline(model=str(saved), pipeline_class=registered)) is registered


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"impl": 3}, r"custom_pipelines\['odd'\] is an object with impl='module.Class'"),
        ({"impl": "m.P", "pt": ["AutoModelForSequenceClasification"]}, "did you mean 'AutoModelForSequenceClassif"),
        ({"impl": "m.P", "pt": ["pipeline"]}, "auto classes are expected"),
        ({"impl": "../m.P"}, r"custom_pipelines\['odd'\] is 'module.Class'"),
        ({"impl": "pair_pipeline.Pear"}, "pair_pipeline.py has no Pear, which custom_pipelines"),
    ],
)
def test_what_a_configuration_says_wrongly_is_said(saved: Path, told: Any, message: str) -> None:
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps({**config, "custom_pipelines": {"odd": told}}))
    with pytest.raises((CustomPipelineError, RemoteCodeError), match=message):
        tf.pipeline(model=str(saved), trust_remote_code=True)


def test_one_of_several_must_be_chosen(saved: Path) -> None:
    config = json.loads((saved / "config.json").read_text())
    tasks = {"one": config["custom_pipelines"]["pair-classification"], "two": {"impl": "m.P"}}
    (saved / "config.json").write_text(json.dumps({**config, "custom_pipelines": tasks}))
    with pytest.raises(UnknownTask, match="brings pipelines for one, two: pass task="):
        tf.pipeline(model=str(saved), trust_remote_code=True)
    assert tf.pipeline("one", model=str(saved), trust_remote_code=True).task == "one"
