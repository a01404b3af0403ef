"""Processors of images and texts beside transformers': the same names, the same tensors; saved and read again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import enfold.transformers as tf
from parity.pipelines.image_runs import pictures
from parity.pipelines.mixed_runs import VOCABULARY
from parity.processor_runs import FOLDERS, TEXTS, answers, calls

HERE = Path(__file__).resolve().parent
SCRIPT = """
import json, sys
sys.path.insert(0, sys.argv[2])
import transformers
from parity.processor_runs import answers
print(json.dumps(answers(transformers, sys.argv[1])))
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for every processor."""
    root = tmp_path_factory.mktemp("processors")
    for folder, (_, part, settings) in FOLDERS.items():
        (root / folder).mkdir()
        getattr(tf, part)(**settings).save_pretrained(root / folder)
        (root / folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
        tokenizer = {"tokenizer_class": "BertTokenizer", "model_max_length": 40}
        (root / folder / "tokenizer_config.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    return root


def alike(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Hold what is made to the peer's: the same names, equal ids, pixels to 1e-5."""
    assert set(ours) == set(theirs)
    for call, made in theirs.items():
        assert set(ours[call]) == set(made), call
        for name, value in made.items():
            np.testing.assert_allclose(np.array(ours[call][name]), np.array(value), atol=1e-5, err_msg=f"{call} {name}")


@pytest.mark.peer
def test_the_same_is_made(peer: Callable[..., Any], root: Path) -> None:
    theirs = peer(SCRIPT, root, HERE.parent)
    for folder, made in answers(tf, str(root)).items():
        alike(made, theirs[folder])


@pytest.mark.slow
def test_the_fourth_series_makes_the_same(peer: Callable[..., Any], root: Path) -> None:
    theirs = peer(SCRIPT, root, HERE.parent, environment="transformers4")
    for folder, made in answers(tf, str(root)).items():
        alike(made, theirs[folder])


@pytest.mark.parametrize("folder", [folder for folder in FOLDERS if folder != "owlvit"])  # CLIP's tokenizer alone
def test_a_saved_processor_makes_the_same(root: Path, tmp_path: Path, folder: str) -> None:
    name = FOLDERS[folder][0]
    processor = getattr(tf, name).from_pretrained(root / folder)
    processor.save_pretrained(tmp_path)
    again = tf.AutoProcessor.from_pretrained(tmp_path)
    assert type(again).__name__ == name
    alike(calls(again, folder), calls(processor, folder))
    assert again.batch_decode(again.tokenizer(TEXTS)["input_ids"], skip_special_tokens=True)[0] == "a cat"
    with pytest.raises(ValueError, match=name):
        processor()


def test_objects_are_named_by_their_texts(root: Path) -> None:
    import torch

    processor = tf.OwlViTProcessor(tf.AutoImageProcessor.from_pretrained(root / "owlvit"))

    class Output:
        logits = torch.tensor([[[4.0, -9.0], [-9.0, 3.0]]])
        pred_boxes = torch.tensor([[[0.5, 0.5, 0.2, 0.2], [0.3, 0.3, 0.1, 0.1]]])

    found = processor.post_process_grounded_object_detection(Output, 0.5, [(10, 20)], [["a cat", "a dog"]])[0]
    assert found["text_labels"] == ["a cat", "a dog"] and found["boxes"][0].tolist() == pytest.approx([8, 4, 12, 6])
    with pytest.raises(ValueError, match="2 images"):
        processor.post_process_grounded_object_detection(Output, 0.5, None, [["a"], ["b"]])


def test_targets_of_what_is_written_on_images_are_labels(root: Path) -> None:
    processor = tf.TrOCRProcessor.from_pretrained(root / "trocr")
    with processor.as_target_processor():
        assert processor(TEXTS)["input_ids"] == processor.tokenizer(TEXTS)["input_ids"]
    assert set(processor(pictures()[:1], TEXTS[:1], return_tensors="np")) == {"pixel_values", "labels"}
