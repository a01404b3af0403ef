"""The metrics beside the libraries that define them: sacrebleu, jiwer, seqeval, NLTK, CharacTER, scikit-learn."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from enfold.evaluate import load
from enfold.evaluate.text.words import sentence_words

pytestmark = pytest.mark.peer

CHRF = [{}, {"word_order": 2}, {"whitespace": True, "lowercase": True}, {"eps_smoothing": True, "beta": 3}]
TER = [
    ({}, {}),
    ({"normalized": True}, {"normalized": True}),
    ({"ignore_punct": True, "case_sensitive": True}, {"no_punct": True, "case_sensitive": True}),
    ({"normalized": True, "support_zh_ja_chars": True, "ignore_punct": True},
     {"normalized": True, "asian_support": True, "no_punct": True}),
]  # fmt: skip
BLEU = [
    {},
    {"lowercase": True, "tokenize": "intl"},
    {"tokenize": "zh", "smooth_method": "add-k", "smooth_value": 2},
    {"tokenize": "char"},
    {"tokenize": "none", "smooth_method": "floor"},
    {"smooth_method": "none"},
]
SEQEVAL = [{}, {"suffix": True}, {"mode": "strict", "scheme": "IOB2"}, {"mode": "strict"}, {"zero_division": 1}] + [
    {"mode": "strict", "scheme": scheme} for scheme in ("IOB1", "IOE1", "IOE2", "IOBES", "BILOU")
]

PEER = """
import json, sys, warnings
warnings.simplefilter("ignore")
import cer, jiwer
import nltk.corpus
class NoData:  # of Unicode properties, which the rules for Western languages do not ask for
    def chars(self, category):
        return "0"
nltk.corpus.perluniprops = NoData()
from nltk.tokenize import NLTKWordTokenizer
from nltk.tokenize.nist import NISTTokenizer
from nltk.translate import gleu_score, nist_score, meteor_score
from sacrebleu.metrics import BLEU, CHRF, TER
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a
from seqeval.metrics import accuracy_score, classification_report
import seqeval.scheme
from sklearn.metrics import classification_report as tag_report

data = json.loads(open(sys.argv[1]).read())
said, right, many = data["said"], data["right"], data["many"]
out = {}
widest = max(map(len, many))
columns = [[group[i] if i < len(group) else None for group in many] for i in range(widest)]
out["chrf"] = [CHRF(**options).corpus_score(said, columns).score for options in data["chrf"]]
found = [TER(**options).corpus_score(said, columns) for _, options in data["ter"]]
out["ter"] = [[score.score, score.num_edits, score.ref_length] for score in found]
out["bleu"] = []
for options in data["bleu"]:
    score = BLEU(**options).corpus_score(said, columns)
    out["bleu"].append([score.score, score.counts, score.totals, score.precisions, score.bp, score.sys_len,
                        score.ref_len])
out["short"] = []
for options in data["bleu"]:
    score = BLEU(effective_order=True, **options).corpus_score(["a b"], [["a b c"]])
    out["short"].append([score.score, score.precisions])
whole = jiwer.Compose([jiwer.ReduceToListOfListOfChars()])  # the ecosystem strips no text
out["wer"], out["cer"] = jiwer.wer(right, said), jiwer.cer(right, said, whole, whole)
out["joined"] = jiwer.cer("".join(right), "".join(said), whole, whole)
cut = Tokenizer13a()
tokens = [cut(text).split() for text in said]
groups = [[cut(text).split() for text in group] for group in many]
out["google_bleu"] = [gleu_score.corpus_gleu(groups, tokens),
                      gleu_score.corpus_gleu(groups, tokens, min_len=2, max_len=3)]
nist = NISTTokenizer()
out["nist_mt"] = [nist_score.corpus_nist(
    [[nist.tokenize(text, lowercase=low) for text in group] for group in many],
    [nist.tokenize(text, lowercase=low) for text in said], n=n) for n, low in ((5, False), (3, True))]
words = NLTKWordTokenizer()
out["words"] = [words.tokenize(text) for text in said]
class Nothing:
    def synsets(self, word):
        return []
class Some:
    def synsets(self, word):
        class Lemma:
            def __init__(self, name): self._name = name
            def name(self): return self._name
        class Synset:
            def lemmas(self): return [Lemma({"cat": "dog", "sat": "ran"}[word]), Lemma("two_words")]
        return [Synset()] if word in ("cat", "sat") else []
plain = [[words.tokenize(text) for text in group] for group in data["plain_many"]]
out["meteor"] = [
    sum(meteor_score.meteor_score(group, words.tokenize(text), wordnet=net)
        for text, group in zip(data["plain"], plain))
    / len(plain) for net in (Nothing(), Some())]
out["character"] = cer.calculate_cer_corpus([text.split() for text in data["plain"]],
                                            [group[0].split() for group in data["plain_many"]])["cer_scores"]
out["seqeval"] = []
for options, (a, b) in zip(data["seqeval"], data["tags"]):
    scheme = options.get("scheme")
    options = dict(options, scheme=getattr(seqeval.scheme, scheme) if scheme else None)
    report = classification_report(y_true=b, y_pred=a, output_dict=True, **options)
    overall = report.pop("micro avg"); report.pop("macro avg"); report.pop("weighted avg")
    scores = {kind: {"precision": float(row["precision"]), "recall": float(row["recall"]), "f1": float(row["f1-score"]),
                     "number": int(row["support"])} for kind, row in report.items()}
    scores |= {"overall_precision": float(overall["precision"]), "overall_recall": float(overall["recall"]),
               "overall_f1": float(overall["f1-score"]), "overall_accuracy": float(accuracy_score(b, a))}
    out["seqeval"].append(scores)
a, b = data["tags"][0]
out["poseval"] = tag_report([tag for tags in b for tag in tags], [tag for tags in a for tag in tags], output_dict=True,
                            zero_division=0)
print(json.dumps(out))
"""


@pytest.fixture(scope="module")
def corpus() -> dict[str, Any]:
    rng = random.Random(5)
    words = "the cat sat on mat a dog ran (hi) it's 3.5 10-20 end. Ünïcode 漢字。 x,y \"q\" ... Can't &amp;".split()
    words += ["\t", "\u3000", "", "it's漢", "&amp;quot;", "co-\n"]
    plain = "the cat cats sat on a mat dog ran running runs dogs".split()

    def text(choices: list[str], least: int = 0) -> str:
        return " ".join(rng.choices(choices, k=rng.randint(least, 30)))

    def moved(reference: str) -> str:
        parts = reference.split(" ")
        place = rng.randrange(len(parts) + 1)
        return " ".join(word for word in parts[place:] + parts[:place] if rng.random() < 0.9)

    many = [[text(words, 1) for _ in range(rng.randint(1, 3))] for _ in range(60)]
    plain_many = [[text(plain, 1) for _ in range(rng.randint(1, 3))] for _ in range(30)]
    said = [moved(group[0]) if rng.random() < 0.5 else text(words) for group in many]
    prefixes = {"IOE1": "IOE", "IOE2": "IOE", "IOBES": "IOBES", "BILOU": "IOBLU"}

    def tags(options: dict[str, Any], length: int) -> list[str]:
        kinds = [rng.choice(prefixes.get(options.get("scheme", ""), "IOB")) for _ in range(length)]
        if options.get("suffix"):
            return [kind if kind == "O" else f"{rng.choice(['PER', 'LOC'])}-{kind}" for kind in kinds]
        return [kind if kind == "O" else f"{kind}-{rng.choice(['PER', 'LOC', 'ORG-X'])}" for kind in kinds]

    tagged = []
    for options in SEQEVAL:
        lengths = [rng.randint(1, 9) for _ in range(60)]
        right = [tags(options, length) for length in lengths]
        tagged.append(([row if rng.random() < 0.4 else tags(options, len(row)) for row in right], right))
    return {
        "said": said, "many": many, "right": [group[0] for group in many], "plain_many": plain_many,
        "plain": [moved(group[0]) or "cat" for group in plain_many], "tags": tagged,
        "chrf": CHRF, "ter": TER, "bleu": BLEU, "seqeval": SEQEVAL,
    }  # fmt: skip


@pytest.fixture(scope="module")
def theirs(peer: Callable[..., Any], corpus: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("corpus") / "corpus.json"
    path.write_text(json.dumps(corpus))
    return peer(PEER, path)


def test_chrf_is_sacrebleus(corpus: dict[str, Any], theirs: Any) -> None:
    for options, expected in zip(CHRF, theirs["chrf"], strict=True):
        got = load("chrf").compute(corpus["said"], corpus["many"], **options)
        assert got["score"] == pytest.approx(expected, abs=1e-9), options
        assert list(got) == ["score", "char_order", "word_order", "beta"]


def test_ter_is_sacrebleus(corpus: dict[str, Any], theirs: Any) -> None:
    for (options, _), expected in zip(TER, theirs["ter"], strict=True):
        got = load("ter").compute(corpus["said"], corpus["many"], **options)
        assert list(got.values()) == pytest.approx(expected, abs=1e-9), options
        assert type(got["num_edits"]) is int


def test_sacrebleu_is_itself(corpus: dict[str, Any], theirs: Any) -> None:
    for options, expected in zip(BLEU, theirs["bleu"], strict=True):
        got = load("sacrebleu").compute(corpus["said"], corpus["many"], **options)
        for value, other in zip(got.values(), expected, strict=True):
            assert value == pytest.approx(other, abs=1e-9), options
        assert type(got["sys_len"]) is int
    for options, expected in zip(BLEU, theirs["short"], strict=True):
        got = load("sacrebleu").compute(["a b"], [["a b c"]], use_effective_order=True, **options)
        assert got["score"] == pytest.approx(expected[0], abs=1e-9), options
        assert got["precisions"] == pytest.approx(expected[1], abs=1e-9), options


def test_error_rates_are_jiwers(corpus: dict[str, Any], theirs: Any) -> None:
    said, right = corpus["said"], corpus["right"]
    assert load("wer").compute(said, right) == pytest.approx(theirs["wer"], abs=1e-12)
    assert load("cer").compute(said, right) == pytest.approx(theirs["cer"], abs=1e-12)
    assert load("cer").compute(said, right, concatenate_texts=True) == pytest.approx(theirs["joined"], abs=1e-12)


def test_google_bleu_and_nist_are_nltks(corpus: dict[str, Any], theirs: Any) -> None:
    said, many = corpus["said"], corpus["many"]
    got = [load("google_bleu").compute(said, many), load("google_bleu").compute(said, many, min_len=2, max_len=3)]
    assert [one["google_bleu"] for one in got] == pytest.approx(theirs["google_bleu"], abs=1e-12)
    got = [load("nist_mt").compute(said, many), load("nist_mt").compute(said, many, n=3, lowercase=True)]
    assert [one["nist_mt"] for one in got] == pytest.approx(theirs["nist_mt"], abs=1e-9)


def test_words_and_meteor_are_nltks(corpus: dict[str, Any], theirs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [sentence_words(text) for text in corpus["said"]] == theirs["words"]
    nets = (lambda: None, lambda: lambda word: {"cat": ["dog"], "sat": ["ran"]}.get(word, []))
    for net, expected in zip(nets, theirs["meteor"], strict=True):
        monkeypatch.setattr("enfold.evaluate.metrics.meteor._wordnet", net)
        got = load("meteor").compute(corpus["plain"], corpus["plain_many"])
        assert got["meteor"] == pytest.approx(expected, abs=1e-12)


def test_character_is_its_package(corpus: dict[str, Any], theirs: Any) -> None:
    right = [group[0] for group in corpus["plain_many"]]
    got = load("character").compute(corpus["plain"], right, return_all_scores=True)
    assert got["cer_scores"] == pytest.approx(theirs["character"], abs=1e-12)


def test_seqeval_is_itself(corpus: dict[str, Any], theirs: Any) -> None:
    for options, (said, right), expected in zip(SEQEVAL, corpus["tags"], theirs["seqeval"], strict=True):
        got = load("seqeval").compute(said, right, **options)
        assert list(got) == list(expected)
        for name, value in expected.items():
            assert got[name] == pytest.approx(value, abs=1e-12), (options, name)


def test_poseval_is_scikit_learns_report(corpus: dict[str, Any], theirs: Any) -> None:
    got = load("poseval").compute(*corpus["tags"][0])
    assert list(got) == list(theirs["poseval"])
    for name, value in theirs["poseval"].items():
        assert got[name] == pytest.approx(value, abs=1e-12), name
