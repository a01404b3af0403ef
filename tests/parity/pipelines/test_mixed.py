"""The pipelines for two kinds of input at once beside transformers': the same questions, the same answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import enfold.transformers as tf
from parity.architectures.harness import scramble
from parity.pipelines.comparing import same
from parity.pipelines.image_runs import pictures
from parity.pipelines.mixed_runs import LABELS, MODELS, QUESTIONS, RUNS, VOCABULARY, answers, inputs

pytestmark = pytest.mark.peer

HERE = Path(__file__).resolve().parent
SCRIPT = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import torch, transformers, transformers.pipelines
from parity.pipelines.mixed_runs import answers
torch.set_num_threads(1)
print(json.dumps(answers(transformers, Path(sys.argv[1]))))
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for every model."""
    root = tmp_path_factory.mktemp("mixed")
    for folder, (name, config, part, settings) in MODELS.items():
        kind = getattr(tf, name)
        model = kind(config(tf) if callable(config) else kind.config_class(**config))
        scramble(model)
        model.save_pretrained(root / folder)
        getattr(tf, part)(**settings).save_pretrained(root / folder)
        (root / folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
        tokenizer = {"tokenizer_class": "BertTokenizer", "model_input_names": ["input_ids", "attention_mask"]}
        (root / folder / "tokenizer_config.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def peers(peer: Callable[..., Any], root: Path) -> dict[str, Any]:
    """What the peer answers."""
    return peer(SCRIPT, root, HERE.parent.parent)


@pytest.fixture(scope="module")
def ours(root: Path) -> dict[str, Any]:
    """What we answer."""
    return answers(tf, root)


@pytest.mark.parametrize("name", RUNS)
def test_answers_are_the_same(peers: dict[str, Any], ours: dict[str, Any], name: str) -> None:
    for kind in ("", "-list"):
        same(ours[f"{name}{kind}"], peers[f"{name}{kind}"], 2e-5)


@pytest.mark.slow
def test_answers_are_those_of_the_fourth_series(peer: Callable[..., Any], root: Path, ours: dict[str, Any]) -> None:
    theirs = peer(SCRIPT, root, HERE.parent.parent, environment="transformers4")
    for name, answer in ours.items():
        same(answer, theirs[name], 2e-5, name)


def test_something_is_found_and_written(ours: dict[str, Any]) -> None:
    assert min(map(len, ours["found"])) > 3
    assert all(text["generated_text"] for texts in ours["written"] for text in texts)
    assert ours["music"][0]["sampling_rate"] == 2400 and len(ours["music"][0]["audio"]) > 50


def test_sound_has_the_fourth_series_axes(root: Path) -> None:
    pipe, options = tf.pipeline("text-to-speech", model=str(root / "musicgen")), RUNS["music"][2]
    assert pipe("drums.", **options)["audio"].shape[:2] == (1, 1)


@pytest.mark.parametrize("name", ["shown", "shown-each", "heard", "asked", "written"])
def test_batches_do_not_change_answers(root: Path, name: str) -> None:
    task, folder, options = RUNS[name]
    pipe, asked = tf.pipeline(task, model=str(root / folder)), inputs(task)
    asked = [*asked, *asked]
    same(pipe(asked, batch_size=3, **options), [pipe(one, **options) for one in asked])


def test_every_form_of_a_question_is_answered(root: Path) -> None:
    pipe = tf.pipeline("vqa", model=str(root / "vilt"))
    first, second = pictures()[:2]
    alone = pipe(image=first, question=QUESTIONS[0])
    same(pipe({"image": first, "question": QUESTIONS[0]}), alone)
    same(pipe([{"image": first, "question": QUESTIONS[0]}]), [alone])
    all_of_them = pipe([first, second], QUESTIONS)
    same(all_of_them, [pipe(picture, question) for question in QUESTIONS for picture in (first, second)])
    same(pipe([first, second], QUESTIONS[0]), all_of_them[:2])
    same(pipe(first, QUESTIONS), [all_of_them[0], all_of_them[2]])


def test_every_form_of_a_search_is_answered(root: Path) -> None:
    pipe = tf.pipeline("zero-shot-object-detection", model=str(root / "owlvit"), threshold=0.0001)
    first, second = pictures()[:2]
    alone = pipe(first, candidate_labels=LABELS)
    same(pipe(first, text_queries=LABELS), alone)
    same(pipe([first, second], candidate_labels=[LABELS, LABELS])[0], alone)
    same(next(iter(pipe({"image": one, "candidate_labels": LABELS} for one in (first, second)))), alone)


@pytest.mark.parametrize(
    ("task", "folder", "call", "message"),
    [
        ("zero-shot-image-classification", "clip", {"image": np.zeros((9, 9, 3), "uint8")}, "candidate_labels"),
        ("zero-shot-image-classification", "clip", {"candidate_labels": ["a"]}, "needs a picture"),
        (
            "zero-shot-image-classification",
            "clip",
            {"image": "x", "candidate_labels": ["a"], "hypothesis_template": "no place"},
            "no {}",
        ),
        ("zero-shot-object-detection", "owlvit", {"image": {"image": 1}}, "candidate_labels"),
        ("visual-question-answering", "vilt", {"image": {"image": 1}}, "question"),
        ("image-to-text", "blip", {"inputs": np.zeros((2, 2, 3), "uint8"), "prompt": 4}, "prompt"),
        (
            "image-to-text",
            "blip",
            {"inputs": "x", "max_new_tokens": 3, "generate_kwargs": {"max_new_tokens": 3}},
            "twice",
        ),
    ],
)
def test_what_is_missing_is_said(root: Path, task: str, folder: str, call: dict[str, Any], message: str) -> None:
    pipe = tf.pipeline(task, model=str(root / folder))
    with pytest.raises(ValueError, match=message):
        pipe(**call)
