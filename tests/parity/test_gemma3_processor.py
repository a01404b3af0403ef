"""Gemma 3's processor beside transformers': the same ids, kinds and pixels, with pictures whole and cut."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

import enfold.transformers as tf
from enfold.errors import EnfoldError
from parity.gemma3_runs import CUTTING, LOOK, MARKS, STATES, answers
from parity.pipelines.mixed_runs import VOCABULARY

HERE = Path(__file__).resolve().parent
SCRIPT = """
import json, sys
sys.path.insert(0, sys.argv[2])
import transformers
from parity.gemma3_runs import answers
print(json.dumps(answers(transformers, sys.argv[1])))
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an image processor and a tokenizer that has the marks."""
    root = tmp_path_factory.mktemp("gemma3")
    tf.Gemma3ImageProcessor(**LOOK).save_pretrained(root)
    words = [*VOCABULARY, *MARKS.values()]
    (root / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    settings = {"tokenizer_class": "BertTokenizer", "model_max_length": 400, "extra_special_tokens": MARKS}
    (root / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return root


def alike(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Hold what is made to the peer's."""
    for call, made in theirs.items():
        assert set(ours[call]) == set(made), call
        for name, value in made.items():
            np.testing.assert_allclose(np.array(ours[call][name]), np.array(value), atol=1e-5, err_msg=f"{call} {name}")


@pytest.mark.peer
def test_the_same_is_made(peer: Callable[..., Any], root: Path) -> None:
    alike(answers(tf, str(root)), peer(SCRIPT, root, HERE.parent))


@pytest.mark.slow
def test_the_fourth_series_makes_the_same(peer: Callable[..., Any], root: Path) -> None:
    alike(answers(tf, str(root)), peer(SCRIPT, root, HERE.parent, environment="transformers4"))


def test_a_saved_processor_is_found_by_auto_and_makes_the_same(root: Path, tmp_path: Path) -> None:
    parts = tf.AutoImageProcessor.from_pretrained(root), tf.AutoTokenizer.from_pretrained(root)
    processor = tf.Gemma3Processor(*parts, image_seq_length=STATES)
    processor.save_pretrained(tmp_path)
    again = tf.AutoProcessor.from_pretrained(tmp_path)
    assert type(again) is tf.Gemma3Processor and again.image_seq_length == STATES
    given = {"images": PIL.Image.new("RGB", (90, 20)), "text": f"a {MARKS['boi_token']}", **CUTTING}
    assert again(**given)["input_ids"] == processor(**given)["input_ids"]
    assert len(again(**given)["pixel_values"]) == 5  # the whole and four parts
    assert "token_type_ids" in again.model_input_names and "num_crops" not in again.model_input_names


def test_what_does_not_fit_is_said(root: Path) -> None:
    processor = tf.Gemma3Processor(*(auto.from_pretrained(root) for auto in (tf.AutoImageProcessor, tf.AutoTokenizer)))
    picture, begin = PIL.Image.new("RGB", (9, 9)), MARKS["boi_token"]
    with pytest.raises(ValueError, match="images, text, or both"):
        processor()
    with pytest.raises(ValueError, match=r"\[0\] places of images .* \[1\] images"):
        processor(picture, "no place")
    with pytest.raises(ValueError, match="cut inside an image"):
        processor(picture, begin, truncation=True, max_length=20)
    with pytest.raises(TypeError, match="string"):
        processor(picture, 7)
    with pytest.raises(EnfoldError, match="no image"):
        processor([], begin)
    with pytest.raises(EnfoldError, match="pan_and_scan_min_crop_size"):
        processor(picture, begin, do_pan_and_scan=True)
