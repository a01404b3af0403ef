"""The evaluate package beside the ecosystem's: rouge_score, NLTK's stemmer, sacrebleu and evaluate itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from enfold.evaluate import load
from enfold.evaluate.text.mteval import tokenize_13a
from enfold.evaluate.text.porter import stem

pytestmark = pytest.mark.peer

ENDINGS = (
    "ational tional enci anci izer bli alli entli eli ousli ization ation ator alism iveness fulness ousness aliti "
    "iviti biliti fulli logi icate ative alize iciti ical ful ness al ance ence er ic able ible ant ement ment ent ion "
    "sion tion ou ism ate iti ous ive ize ies ied y e ll s ed ing eed sses ss"
).split()
WORDS = (
    "the cat cats sat sitting on a mat mats happily because dogs, running ran! 3.5 10-20 it's\n naïve RELATIONAL".split(
        " "
    )
)

PEER = """
import json, sys
import numpy as np
from nltk.stem.porter import PorterStemmer
from rouge_score import rouge_scorer, scoring
from sacrebleu.metrics import BLEU
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

data = json.loads(open(sys.argv[1]).read())
said, right, many = data["said"], data["right"], data["many"]
kinds = ["rouge1", "rouge2", "rouge3", "rougeL", "rougeLsum"]
result = {}
for stemmed in (False, True):
    scorer = rouge_scorer.RougeScorer(kinds, use_stemmer=stemmed)
    rows = [scorer.score(b, a) for a, b in zip(said, right)]
    several = [scorer.score_multi(b, a) for a, b in zip(said, many)]
    for name, scores in (("one", rows), ("many", several)):
        result[f"{name}-{stemmed}"] = {kind: [row[kind].fmeasure for row in scores] for kind in kinds}
np.random.seed(11)
aggregator = scoring.BootstrapAggregator()
for row in rows:
    aggregator.add_scores(row)
result["aggregated"] = {kind: value.mid.fmeasure for kind, value in aggregator.aggregate().items()}
stemmer = PorterStemmer()
result["stems"] = [stemmer.stem(word) for word in data["words"]]
result["tokens"] = [Tokenizer13a()(text).split() for text in said]
score = BLEU(smooth_method="none", tokenize="13a").corpus_score(said, [right])
result["bleu"] = {"bleu": score.score / 100, "precisions": [x / 100 for x in score.precisions],
                  "brevity_penalty": score.bp, "translation_length": score.sys_len, "reference_length": score.ref_len}
print(json.dumps(result))
"""

# Run on both sides: by the peers' Python, and by ours with the drop-in.
PROGRAM = '''
import json, sys
import datasets
import evaluate

open("twice.py", "w").write("""
import datasets
import evaluate

class TwiceTheSum(evaluate.Metric):
    def _info(self):
        features = datasets.Features({"predictions": datasets.Value("int32"), "references": datasets.Value("int32")})
        return evaluate.MetricInfo(description="d", citation="c", features=features, inputs_description="i")

    def _compute(self, predictions, references, factor=2):
        return {"total": factor * sum(predictions), "kind": type(predictions).__name__,
                "item": type(predictions[0]).__name__, "references": references}
""")
out = {"version": evaluate.__version__}
metric = evaluate.load("twice.py")
out["attributes"] = [metric.name, metric.module_type, metric.description, metric.citation, metric.inputs_description,
                     metric.experiment_id, metric.info.config_name, sorted(metric.features)]
out["whole"] = metric.compute(predictions=[1, 2, "3"], references=[True, 0.0, 1], factor=3)
metric.add(prediction=5, reference=0)
metric.add(predictions=6, references=0)
metric.add_batch(predictions=[1], references=[2])
out["length"] = len(metric)
out["pieces"] = metric.compute()
for name, inputs in {"lengths": ([1], [1, 2]), "words": (["x"], [1]), "nothing": (None, None)}.items():
    try:
        evaluate.load("twice.py").compute(predictions=inputs[0], references=inputs[1])
        out[name] = "no error"
    except ValueError as error:
        out[name] = "ValueError"
for force in (False, True):
    for group in ([evaluate.load("twice.py")] * 2, {"a": evaluate.load("twice.py"), "b": evaluate.load("twice.py")},
                  [evaluate.load("twice.py")]):
        both = evaluate.combine(group, force_prefix=force)
        both.add_batch(predictions=[1], references=[0]) if len(group) == 1 else None
        out[f"combined-{force}-{type(group).__name__}-{len(group)}"] = both.compute(predictions=[4], references=[1])
saved = evaluate.save("results/run.json", bleu=0.5)
out["saved"] = [str(saved), sorted(json.load(open(saved)))]
print(json.dumps(out))
'''


@pytest.fixture(scope="module")
def corpus() -> dict[str, Any]:
    rng = np.random.default_rng(3)

    def text() -> str:
        return " ".join(rng.choice(WORDS, rng.integers(0, 25)))

    words = [
        "".join(rng.choice(list("aeioubcdlstyxzw"), rng.integers(0, 6))) + rng.choice(ENDINGS) for _ in range(3000)
    ]
    words = [word + rng.choice(["", "s", "ed", "ing", "ly", "y"]) for word in words]
    said = [text() for _ in range(60)]
    many = [[text() for _ in range(rng.integers(1, 4))] for _ in said]
    return {"said": said, "right": [text() for _ in said], "many": many, "words": words}


@pytest.fixture(scope="module")
def theirs(peer: Callable[..., Any], corpus: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("corpus") / "corpus.json"
    path.write_text(json.dumps(corpus))
    return peer(PEER, path)


@pytest.mark.parametrize("stemmed", [False, True])
@pytest.mark.parametrize(("name", "references"), [("one", "right"), ("many", "many")])
def test_rouge_of_every_text_is_rouge_scores(
    corpus: dict[str, Any], theirs: Any, name: str, references: str, stemmed: bool
) -> None:
    expected = theirs[f"{name}-{stemmed}"]
    got = load("rouge").compute(
        predictions=corpus["said"],
        references=corpus[references],
        rouge_types=list(expected),
        use_stemmer=stemmed,
        use_aggregator=False,
    )
    assert list(got) == list(expected)
    for kind, scores in expected.items():
        np.testing.assert_allclose(got[kind], scores, atol=1e-12, err_msg=kind)
        assert any(0 < score < 1 for score in scores)


def test_the_same_seed_draws_the_same_resamples(corpus: dict[str, Any], theirs: Any) -> None:
    expected = theirs["aggregated"]
    got = load("rouge", seed=11).compute(
        predictions=corpus["said"], references=corpus["right"], rouge_types=list(expected), use_stemmer=True
    )
    assert got == pytest.approx(expected, abs=1e-12)


def test_stems_are_nltks(corpus: dict[str, Any], theirs: Any) -> None:
    assert [stem(word) for word in corpus["words"]] == theirs["stems"]


def test_bleu_is_sacrebleus_without_smoothing(corpus: dict[str, Any], theirs: Any) -> None:
    assert [tokenize_13a(text) for text in corpus["said"]] == theirs["tokens"]
    got = load("bleu").compute(predictions=corpus["said"], references=corpus["right"])
    for name, value in theirs["bleu"].items():
        assert got[name] == pytest.approx(value, abs=1e-12), name
    assert 0 < got["bleu"] < 1


# A module in a folder of its own, with a file beside it, as those of evaluate's repository are.
FOLDER = '''
import json, os
import datasets
import evaluate

os.mkdir("answers")
open("answers/helper.py", "w").write("def same(a, b): return a.lower() == b.lower()")
open("answers/answers.py", "w").write("""
import datasets
import evaluate
from evaluate.utils.logging import get_logger
from .helper import same

get_logger(__name__).debug("loaded")

@evaluate.utils.file_utils.add_start_docstrings("Counts. ", "Twice. ")
class Answers(evaluate.Metric):
    "See others."
    def _info(self):
        answer = {"text": datasets.Value("string"), "answer_start": datasets.Value("int32")}
        return evaluate.MetricInfo(description="d", citation="c", inputs_description="i", features=datasets.Features({
            "predictions": {"id": datasets.Value("string"), "prediction_text": datasets.Value("string")},
            "references": {"id": datasets.Value("string"), "answers": datasets.features.Sequence(answer)},
        }))

    def _compute(self, predictions, references):
        hits = sum(same(a["prediction_text"], b["answers"]["text"][0]) for a, b in zip(predictions, references))
        return {"hits": hits, "first": references[0]}
""")
answers = evaluate.load("answers")
out = {"doc": type(answers).__doc__}
out["answers"] = answers.compute(
    predictions=[{"id": "1", "prediction_text": "Cat"}, {"id": "2", "prediction_text": "dog"}],
    references=[{"id": str(i), "answers": {"text": ["cat", "mat"], "answer_start": [1, 2]}} for i in (1, 2)])
evaluate.enable_progress_bar()
out["bars"] = evaluate.utils.is_progress_bar_enabled()
evaluate.logging.set_verbosity_error()
out["verbosity"] = evaluate.logging.get_verbosity()
print(json.dumps(out))
'''


@pytest.mark.parametrize("program", [PROGRAM, FOLDER], ids=["file", "folder"])
def test_a_module_of_ones_own_behaves_as_in_the_ecosystem(
    peer: Callable[..., Any], tmp_path: Path, program: str
) -> None:
    expected = peer(program)
    (tmp_path / "program.py").write_text(program)
    command = [sys.executable, "-m", "enfold.dropin", "program.py"]
    done = subprocess.run(command, cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == expected
